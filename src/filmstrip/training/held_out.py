"""Held-out answers to every clip that a classifier learns from, by cross-validation inside it.

A temperature that rests on a dozen validation clips is mostly chance. Where a validation part is so
small, and is learnt from in the end, all these clips are dealt into folds of whole groups, and each
fold is answered by a classifier that learnt from the others for as long as the final one does.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from filmstrip.dataset.index import VideoIndex
from filmstrip.dataset.split import fold_splits
from filmstrip.errors import DatasetError
from filmstrip.storage import replacing
from filmstrip.training.reporter import Reporter

ENOUGH_CLIPS = 100
"""A validation part of so many clips tells a temperature to about a tenth by itself."""

Learn = Callable[[Path, VideoIndex], Tensor]
"""Trains into a folder on the train side of an index; gives logits (N, K) of all its clips."""


def held_out_logits(
    index: VideoIndex, num_folds: int, seed: int, folder: Path, learn: Learn, reporter: Reporter
) -> Tensor | None:
    """Logits (N, K) of each clip of ``index`` by a classifier that never learnt from its group.

    Args:
        index: the clips that the final classifier learns from; their sides are set aside.
        num_folds: how many classifiers are trained.
        seed: deals the groups.
        folder: keeps the logits, so that a run that is resumed trains none of them again.
        learn: trains one.
        reporter: hears of it.

    Returns:
        The logits; None where the groups cannot fill so many folds.
    """
    kept = folder / "logits.npy"
    if kept.is_file():
        known = _read(kept, (len(index), len(index.class_names)))
        if known is not None:
            return known
        reporter.note(f"WARNING: {kept} is damaged. Its trainings are done again.")
    try:
        parts = fold_splits(index, num_folds, seed, val_fraction=0.0)
    except DatasetError:
        reporter.note(
            f"Too few groups for {num_folds} folds inside the training part: the temperature rests "
            "on the validation part alone."
        )
        return None
    logits = torch.empty(len(index), len(index.class_names))
    for number, part in enumerate(parts, start=1):
        reporter.note(f"Held-out answers for the calibration, {number} of {num_folds}")
        answers = learn(folder / str(number), part)
        is_held = torch.tensor([row.split == "test" for row in part.rows])
        logits[is_held] = answers[is_held]
    with replacing(kept) as temporary:
        np.save(temporary, logits.numpy())
    for number in range(1, num_folds + 1):
        shutil.rmtree(folder / str(number) / "checkpoints", ignore_errors=True)
    return logits


def _read(path: Path, shape: tuple[int, int]) -> Tensor | None:
    """Logits that were kept; None if they are damaged."""
    try:
        logits = np.load(path, allow_pickle=False)
    except (EOFError, ValueError):
        return None
    if not isinstance(logits, np.ndarray) or (logits.shape, logits.dtype) != (shape, np.float32):
        return None
    return torch.from_numpy(logits)
