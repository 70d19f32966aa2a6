"""Measures the check for unfamiliar inputs: one data set against others, with clips held out.

    python benchmarks/familiarity.py DATA OTHER… [--recipe NAME] [--set KEY=VALUE …]
    python benchmarks/familiarity.py --demo 20 ../shared/data/ut_interaction

For each data set in turn, clips are split into five folds of whole groups. In each fold the check
is set up from the other clips, as training does, and asked about the held-out clips and about all
clips of the other data sets. Printed are the area under the ROC curve, the share of other clips
that is flagged (TPR), and the share of held-out clips that is flagged. OTHER may be a folder of
unlabelled videos. Features come from the cache where it has them.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from filmstrip.dataset.index import VideoIndex, open_index
from filmstrip.dataset.split import fold_splits
from filmstrip.dataset.synthetic import render_dataset
from filmstrip.errors import DatasetError
from filmstrip.inference.extract import extract_videos
from filmstrip.model.familiarity import cosine_distances, nearest_mean
from filmstrip.recipes.catalogue import load_recipe
from filmstrip.recipes.recipe import Recipe
from filmstrip.training.familiarity import build_familiarity, measure_distances, reference_clips

NUM_FOLDS = 5


def clip_vectors(data: Path, recipe: Recipe) -> dict[Path, torch.Tensor]:
    """The mean features of each video, by its path."""
    found = extract_videos([data], recipe)
    return {
        row.path: found.store.read(found.extraction[row].keys[0]).float().mean(dim=0)
        for row in found.index.rows
    }


def measure(data: Path, vectors: dict[Path, dict[Path, torch.Tensor]]) -> None:
    """Print how the check of ``data`` sees its own held-out clips and the other data sets."""
    own = vectors[data]

    def stack(index: VideoIndex) -> torch.Tensor:
        return torch.stack([own[row.path] for row in index.rows])

    index = open_index(data)
    flagged: list[bool] = []
    areas: dict[Path, list[float]] = {other: [] for other in vectors if other != data}
    found: dict[Path, list[float]] = {other: [] for other in areas}
    num_held_out = 0
    for part in fold_splits(index, NUM_FOLDS, seed=0, val_fraction=0.0):
        train = part.subset("train")
        width = len(next(iter(own.values())))
        distances = measure_distances(stack, train, width, seed=0, is_blind=True)
        check = build_familiarity(stack(reference_clips(train, width, seed=0)), distances)
        num_held_out = check.spec.num_held_out_clips

        def score(clips: torch.Tensor, check=check) -> np.ndarray:
            every = cosine_distances(clips, check.references)
            return nearest_mean(every, check.spec.num_neighbours).numpy()

        inside = score(stack(part.subset("test")))
        flagged += (inside > check.spec.threshold).tolist()
        for other in areas:
            outside = score(torch.stack(list(vectors[other].values())))
            truth = np.r_[np.zeros(len(inside)), np.ones(len(outside))]
            areas[other].append(roc_auc_score(truth, np.r_[inside, outside]))
            found[other].append(float((outside > check.spec.threshold).mean()))
    print(
        f"{data.name}: {np.mean(flagged):.3f} of {len(flagged)} held-out clips flagged; "
        f"thresholds on about {num_held_out} clips"
    )
    for other, each in areas.items():
        print(
            f"  against {other.name} ({len(vectors[other])} videos): AUROC {np.mean(each):.3f} "
            f"(lowest fold {min(each):.3f}), TPR {np.mean(found[other]):.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--demo", type=int, default=0, help="add the demo's motions, N of each")
    parser.add_argument("--recipe", default="lite-gru")
    parser.add_argument("--set", nargs="*", default=["sampling.kind=rate"], dest="overrides")
    options = parser.parse_args()
    recipe = load_recipe(options.recipe, options.overrides)
    with tempfile.TemporaryDirectory() as folder:
        places = list(options.data)
        if options.demo:
            places.append(Path(folder) / "demo")
            render_dataset(places[-1], options.demo)
        vectors = {place: clip_vectors(place, recipe) for place in places}
        for place in places:
            try:
                measure(place, vectors)
            except DatasetError as error:
                print(f"{place.name}: only scored, not trained on ({error.given})")


if __name__ == "__main__":
    main()
