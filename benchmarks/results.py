"""Writes docs/results.md: the recipes on UT-Interaction, five folds with whole sequences held out.

    python benchmarks/results.py DATA WEIGHTS

DATA is the UT-Interaction folder (six classes of twenty clips, groups from ``seqNN``), WEIGHTS the
folder of the ImageNet weights that the commands below name. Each line of the table is a command,
or a control of ``order_blind.py``; runs are kept below ``runs/results`` and taken up again. Delete
those of a recipe that has changed.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.console import Console

from filmstrip.recipes.catalogue import load_recipe
from filmstrip.training.run_folder import RunFolder
from order_blind import mean_and_deviation, shuffled_cache

NUM_FOLDS = 5
SEEDS = (0, 1, 2)
RUNS = Path("runs/results")
PAGE = Path("docs/results.md")
SELECTION = Path(__file__).with_name("selection.md")
"""Written by hand, part of the page: what the table shows of our own recipes, and their choice."""


@dataclass(frozen=True)
class Row:
    """One line of the table: a recipe, the weights file it takes, and its overrides.

    ``note`` tells it from other rows of the recipe; ``is_shuffled`` says that the frames of its
    features are put in random order.
    """

    recipe: str
    weights: str = ""
    overrides: tuple[str, ...] = ()
    note: str = ""
    is_shuffled: bool = False

    @property
    def name(self) -> str:
        more = self.note.split() or [text.replace("=", "-") for text in self.overrides]
        return "-".join([self.recipe, *more])

    @property
    def label(self) -> str:
        return f"`{self.recipe}`, {self.note}" if self.note else f"`{self.recipe}`"

    def command(self, data: str, weights: str, out: str, seed: int) -> list[str]:
        command = ["filmstrip", "train", data, "--recipe", self.recipe, "--out", out]
        command += ["--folds", str(NUM_FOLDS), "--seed", str(seed)]
        if self.weights:
            command += ["--weights", f"{weights}/{self.weights}"]
        for text in self.overrides:
            command += ["--set", text]
        return command


OURS = "lite-gru"
CAFFE = "backbone.stride_on=conv1"
SAME_FEATURES = (
    "sampling={kind: rate, frames_per_second: 10, max_frames: 64}",
    "backbone.stage=3",
    "backbone.grid=4",
    "scaler.kind=pca",
    "training.views=[plain, flip]",
    "training.refit=true",
    "views=[plain, flip]",
)
"""What ``mean-linear`` is given to see what ``lite-gru`` and ``lite-bigru`` see."""

ROWS = (
    Row("vgg16-lstm", "vgg16_features.safetensors"),
    Row("vgg16-bilstm", "vgg16_features.safetensors"),
    Row("resnet50-gru", "resnet50_caffe_stride.safetensors", (CAFFE,)),
    Row("lite-gru"),
    Row("lite-bigru"),
    Row("mean-linear"),
    Row("mean-linear", overrides=SAME_FEATURES, note="same features"),
    Row("lite-gru", note="frames shuffled", is_shuffled=True),
)


def run(row: Row, data: Path, weights: Path, seed: int) -> dict[str, Any]:
    """The figures of one run, trained now or taken up."""
    out = RUNS / f"{row.name}-{seed}"
    if is_finished(row, out, seed):
        return read_metrics(out)
    command = row.command(str(data), str(weights), str(out), seed)
    environment = dict(os.environ)
    if row.is_shuffled:
        cache = shuffled_cache(data, load_recipe(row.recipe), RUNS / "shuffled")
        environment["FILMSTRIP_CACHE"] = str(cache)
    subprocess.run(
        [str(Path(sys.executable).parent / "filmstrip"), *command[1:], "--resume"],
        check=True,
        stdout=subprocess.DEVNULL,
        env=environment,
    )
    return read_metrics(out)


def read_metrics(out: Path) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return metrics


def is_finished(row: Row, out: Path, seed: int) -> bool:
    """Whether the run is there, of the recipe as it is now but for the words of its deviations."""
    if not (out / "metrics.json").is_file():
        return False
    recipe = load_recipe(row.recipe, [f"training.seed={seed}", *row.overrides])
    begun = RunFolder(out).request().recipe
    return begun.model_copy(update={"deviations": recipe.deviations}) == recipe


def table_line(label: str, results: list[dict[str, Any]]) -> str:
    seeds = [metrics["summary"]["accuracy"]["mean"] for metrics in results]
    folds = [fold["accuracy"] for metrics in results for fold in metrics["folds"]]
    f1 = mean(metrics["test"]["macro_f1"] for metrics in results)
    calibration_error = mean(metrics["test"]["ece"] for metrics in results)
    cells = [
        label,
        f"{mean(seeds):.3f}",
        ", ".join(f"{accuracy:.3f}" for accuracy in seeds),
        f"{stdev(folds):.3f}",
        f"{min(folds):.2f} to {max(folds):.2f}",
        f"{f1:.3f}",
        f"{calibration_error:.3f}",
    ]
    return "| " + " | ".join(cells) + " |"


def leaks(results: list[dict[str, Any]]) -> str:
    """What is right without looking at any picture, in a sentence."""
    majority = mean(metrics["baselines"]["majority"] for metrics in results)
    metadata = mean(metrics["baselines"]["metadata"] for metrics in results)
    return (
        f"The clips are cropped tightly: width, height and duration alone give {metadata:.3f}, "
        f"the commonest class {majority:.3f}."
    )


def page(lines: list[str], leaks: str) -> str:
    commands = "\n".join(
        shlex.join(row.command("ut_interaction", "weights", f"runs/{row.name}", 0))
        for row in ROWS
        if not row.is_shuffled
    )
    return f"""# Results on UT-Interaction

Six actions of two people, 120 clips in 20 sequences (`seqNN` in the file name). Five folds, whole
sequences held out; in each fold a validation part of whole sequences gives the temperature and
chooses the epoch, or, with `training.refit`, is then learnt from, too. The test part is read once.
Each figure is the mean over {len(SEEDS)} seeds (split, weights, shuffling) of the mean over the
folds; the deviation is that of the {len(SEEDS) * NUM_FOLDS} folds, of 24 clips each.

{leaks}

| Recipe | Accuracy | by seed | Deviation over folds | Folds from, to | Macro F1 | \
Calibration error |
|---|---|---|---|---|---|---|
{chr(10).join(lines)}

Backbones: ImageNet weights, frozen. The calibration error (ECE, 15 bins) is that of the clips' test
answers of one seed, all folds together, after temperature scaling. Each fold's temperature rests on
about fourteen validation clips and a prior, and for 120 answers as sure as those of `lite-gru` and
`lite-bigru` exact probabilities, too, show 0.06 to 0.08 by chance.
The source of `resnet50-gru` trains its ResNet-50 from scratch; here it is given weights, and
`cnn-lstm`, which learns all from scratch, is left out: the training parts have about 80 clips.
`xception-gru` is missing because no public package carries Xception's weights. I3D, pretrained on
Kinetics-400 video, with a linear model reaches 0.84 on these clips.

The last rows, from `mean-linear` on, are blind to the order of frames. `same features` are those of
`lite-gru`: the same frames, stage, grid and mirrored copies, for `mean-linear` the same projection,
too. For `frames shuffled` the features of each clip were put in random order before `lite-gru` was
trained and tested on them. For the mean and deviation over time, the regularisation is the best of
five on the test parts, which flatters that row alone.

{SELECTION.read_text(encoding="utf-8").strip()}

## Commands

Written by `make results DATA=… WEIGHTS=…`, which runs for seeds {", ".join(map(str, SEEDS))}:

```console
{commands}
```

UT-Interaction: M. S. Ryoo and J. K. Aggarwal, SDHA 2010 challenge.
"""


def main() -> None:
    data, weights = (Path(text) for text in sys.argv[1:3])
    messages = Console(stderr=True)
    results: dict[str, list[dict[str, Any]]] = {}
    for row in ROWS:
        messages.rule(row.name)
        results[row.label] = [run(row, data, weights, seed) for seed in SEEDS]
        messages.print(table_line(row.label, results[row.label]))
    recipe = load_recipe(OURS)
    results["mean and deviation over time, logistic regression, same features"] = [
        mean_and_deviation(data, recipe, RUNS / f"{OURS}-{seed}") for seed in SEEDS
    ]
    lines = [table_line(label, found) for label, found in results.items()]
    PAGE.write_text(page(lines, leaks(results[f"`{OURS}`"])), encoding="utf-8")
    messages.print(f"Written: {PAGE}")


if __name__ == "__main__":
    main()
