"""The answers of trained classifiers to the clips of an index, and ``predictions.csv``."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from filmstrip.dataset.clip_table import counted_clips, first_of, read_clips
from filmstrip.dataset.index import VideoIndex
from filmstrip.errors import RunError
from filmstrip.evaluation.calibration import is_answered
from filmstrip.features.entry import ClipFacts
from filmstrip.model.specs import ClassifierSpec
from filmstrip.storage import write_table
from filmstrip.training.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of one classifier to the clips of an index.

    Attributes:
        index: the clips, each with its split.
        probs: (N, K), after the temperature, in the order of the index's rows.
        facts: what is known of each clip besides its picture, in the same order.
        spec: the classifier's.
    """

    index: VideoIndex
    probs: NDArray[np.float64]
    facts: Sequence[ClipFacts]
    spec: ClassifierSpec

    @property
    def is_answered(self) -> NDArray[np.bool_]:
        """(N,) whether the classifier answers the clip, not abstaining."""
        return is_answered(self.probs, self.spec.threshold)

    def chosen(self, split: str) -> NDArray[np.int64]:
        """Places of the clips of one split."""
        return np.array([i for i, row in enumerate(self.index.rows) if row.split == split], int)


@dataclass(frozen=True, slots=True)
class ClipAnswer:
    """A line of ``predictions.csv``, as far as runs are compared by it."""

    label: str
    group: str
    predicted: str


def write_predictions(folder: RunFolder, answers: Sequence[Answers]) -> None:
    """Write ``predictions.csv``: every clip of one split, or the test clips of all folds."""
    class_names = answers[0].index.class_names
    columns = ["path", "label", "group", "split", "fold", "predicted", "confidence", "abstains"]
    prob_columns = [f"prob_{label}" for label in class_names]
    table = []
    for number, part in enumerate(answers, start=1):
        index = part.index
        for name, row, probs, answered in zip(
            index.names, index.rows, part.probs, part.is_answered, strict=True
        ):
            if len(answers) > 1 and row.split != "test":
                continue
            table.append(
                {
                    "path": name,
                    "label": row.label,
                    "group": row.group,
                    "split": row.split,
                    "fold": number if len(answers) > 1 else "",
                    "predicted": class_names[int(probs.argmax())],
                    "confidence": f"{probs.max():.6f}",
                    "abstains": "no" if answered else "yes",
                    **dict(zip(prob_columns, (f"{prob:.6f}" for prob in probs), strict=True)),
                }
            )
    write_table(folder.predictions_file, [*columns, *prob_columns], table)


def read_predictions(folder: RunFolder, split: str) -> dict[str, ClipAnswer]:
    """The answers that ``predictions.csv`` holds of one split, by the clips' names.

    Raises:
        RunError: the run is not finished, or has no clip in ``split``.
    """
    try:
        with folder.predictions_file.open(
            encoding="utf-8", errors="surrogateescape", newline=""
        ) as file:
            found = {
                row["path"]: ClipAnswer(row["label"], row["group"] or row["path"], row["predicted"])
                for row in csv.DictReader(file)
                if row["split"] == split
            }
    except (OSError, KeyError, csv.Error) as error:
        raise RunError(
            f"{folder.path}: is not a finished run (no readable {folder.predictions_file.name})",
            "the --out folder of a finished 'filmstrip train'",
            "check the path, or finish the run with --resume.",
        ) from error
    if not found:
        raise RunError(
            f"{folder.predictions_file}: has no clip in the split {split!r}",
            "a split of the run: train, val or test; of a run with folds, test",
            "choose another --split.",
        )
    return found


def paired_predictions(
    first: RunFolder, second: RunFolder, split: str
) -> list[tuple[ClipAnswer, ClipAnswer]]:
    """The answers of two runs to the same clips, matched by name.

    Raises:
        RunError: a run is not finished, or the two were not asked about the same clips.
    """
    of_first, of_second = read_predictions(first, split), read_predictions(second, split)
    common = of_first.keys() & of_second.keys()
    if len(common) < max(len(of_first), len(of_second)):
        lone = min(of_first.keys() ^ of_second.keys())
        raise RunError(
            f"{first.path} and {second.path}: have other clips in {split} ({len(of_first)} and "
            f"{len(of_second)}, of which {len(common)} are the same; {lone} is in one only)",
            "two runs that were measured on the same clips of the same data",
            f"train the second with --splits {first.splits_file} (with folds: with the same "
            "--folds and seed).",
        )
    relabelled = [name for name in of_first if of_first[name].label != of_second[name].label]
    if relabelled:
        name = relabelled[0]
        raise RunError(
            f"{first.path} and {second.path}: {name} is {of_first[name].label!r} in one and "
            f"{of_second[name].label!r} in the other",
            "two runs on the same labels",
            "train both on the same data again.",
        )
    edited = _edited(first, second, of_first)
    if edited:
        raise RunError(
            f"{first.path} and {second.path}: {counted_clips(edited)} of {len(of_first)} were "
            f"edited between the two: {first_of(edited)}",
            "two runs that were measured on the same clips",
            "train both on the same data again.",
        )
    return [(answer, of_second[name]) for name, answer in of_first.items()]


def _edited(first: RunFolder, second: RunFolder, names: Iterable[str]) -> list[str]:
    """The clips that were edited between two runs, as far as both know their contents."""
    if not (first.clips_file.is_file() and second.clips_file.is_file()):
        return []  # one of them is of an older version
    clips, others = read_clips(first.clips_file), read_clips(second.clips_file)
    return [
        name
        for name in names
        if name in clips and name in others and clips[name].content != others[name].content
    ]
