"""Writes docs/results.md: the recipes on UT-Interaction, five folds with whole sequences held out.

    python benchmarks/results.py DATA WEIGHTS

DATA is the UT-Interaction folder (six classes of twenty clips, groups from ``seqNN``), WEIGHTS the
folder of the ImageNet weights that the commands below name. Each line of the table is a command;
runs are kept below ``runs/results`` and taken up again.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.console import Console

NUM_FOLDS = 5
SEEDS = (0, 1, 2)
RUNS = Path("runs/results")
PAGE = Path("docs/results.md")


@dataclass(frozen=True)
class Row:
    """One line of the table: a recipe, the weights file it takes, and its overrides."""

    recipe: str
    weights: str = ""
    overrides: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return "-".join([self.recipe, *(text.replace("=", "-") for text in self.overrides)])

    def command(self, data: str, weights: str, out: str, seed: int) -> list[str]:
        command = ["filmstrip", "train", data, "--recipe", self.recipe, "--out", out]
        command += ["--folds", str(NUM_FOLDS), "--seed", str(seed)]
        if self.weights:
            command += ["--weights", f"{weights}/{self.weights}"]
        for text in self.overrides:
            command += ["--set", text]
        return command


CAFFE = "backbone.stride_on=conv1"
ROWS = (
    Row("vgg16-lstm", "vgg16_features.safetensors"),
    Row("vgg16-bilstm", "vgg16_features.safetensors"),
    Row("resnet50-gru", "resnet50_caffe_stride.safetensors", (CAFFE,)),
    Row("lite-gru"),
    Row("mean-linear"),
)


def run(row: Row, data: Path, weights: Path, seed: int) -> dict[str, Any]:
    """The figures of one run, trained now or taken up."""
    out = RUNS / f"{row.name}-{seed}"
    command = row.command(str(data), str(weights), str(out), seed)
    subprocess.run(
        [str(Path(sys.executable).parent / "filmstrip"), *command[1:], "--resume"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    metrics: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return metrics


def table_line(row: Row, results: list[dict[str, Any]]) -> str:
    seeds = [metrics["summary"]["accuracy"]["mean"] for metrics in results]
    folds = [fold["accuracy"] for metrics in results for fold in metrics["folds"]]
    f1 = mean(metrics["test"]["macro_f1"] for metrics in results)
    majority = mean(metrics["baselines"]["majority"] for metrics in results)
    metadata = mean(metrics["baselines"]["metadata"] for metrics in results)
    cells = [
        f"`{row.recipe}`",
        f"{mean(seeds):.3f}",
        ", ".join(f"{accuracy:.3f}" for accuracy in seeds),
        f"{stdev(folds):.3f}",
        f"{min(folds):.2f} to {max(folds):.2f}",
        f"{f1:.3f}",
        f"{majority:.3f}",
        f"{metadata:.3f}",
    ]
    return "| " + " | ".join(cells) + " |"


def page(lines: list[str]) -> str:
    commands = "\n".join(
        shlex.join(row.command("ut_interaction", "weights", f"runs/{row.name}", 0)) for row in ROWS
    )
    return f"""# Results on UT-Interaction

Six actions of two people, 120 clips in 20 sequences (`seqNN` in the file name). Five folds, whole
sequences held out; in each fold a validation part of whole sequences chooses the epoch, and the
test part is read once. Each figure is the mean over {len(SEEDS)} seeds (split, weights, shuffling)
of the mean over the folds; the deviation is that of the {len(SEEDS) * NUM_FOLDS} folds, of 24 clips
each.

The clips are cropped tightly, so a clip's width, height and duration tell much of its class: that
baseline, and the commonest class, stand beside every figure.

| Recipe | Accuracy | by seed | Deviation over folds | Folds from, to | Macro F1 | \
Commonest class | Size and duration alone |
|---|---|---|---|---|---|---|---|
{chr(10).join(lines)}

Backbones: ImageNet weights, frozen. `mean-linear` is blind to the order of frames: what a recurrent
recipe has above it, it owes to order, or to its grid. The source of `resnet50-gru` trains its
ResNet-50 from scratch; here it is given weights, and `cnn-lstm`, which learns all from scratch, is
left out: the training parts have about 80 clips. `xception-gru` is missing because no public
package carries Xception's weights.

Written by `make results DATA=… WEIGHTS=…`, which runs for seeds {", ".join(map(str, SEEDS))}:

```console
{commands}
```

UT-Interaction: M. S. Ryoo and J. K. Aggarwal, SDHA 2010 challenge.
"""


def main() -> None:
    data, weights = (Path(text) for text in sys.argv[1:3])
    messages = Console(stderr=True)
    lines = []
    for row in ROWS:
        results = []
        for seed in SEEDS:
            messages.rule(f"{row.name}, seed {seed}")
            results.append(run(row, data, weights, seed))
        lines.append(table_line(row, results))
        messages.print(lines[-1])
    PAGE.write_text(page(lines), encoding="utf-8")
    messages.print(f"Written: {PAGE}")


if __name__ == "__main__":
    main()
