"""The figures of many draws at once, with scikit-learn's definitions.

scikit-learn measures one set of clips in a call; a thousand draws by it would take minutes. The
tests hold its numbers against these.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from filmstrip.evaluation.calibration import NUM_BINS, bins_of
from filmstrip.evaluation.predictions import Bools, Floats, Ints, Predictions

# Comparisons of two clips' scores that are held at once, to keep memory flat.
_COMPARISONS_AT_ONCE = 2**24


def measure(part: Predictions, is_answered: Bools, weights: Floats) -> dict[str, Floats]:
    """The figures of R draws; NaN where a draw has nothing to divide by.

    All that is counted by class follows from the C cells (truth, predicted) of the confusion that
    hold a clip. C is at most N, so a draw costs O(N + K), whatever K squared is.

    Args:
        part: N clips.
        is_answered: (N,) whether the model answers it.
        weights: (R, N) how often each clip is drawn.

    Returns:
        Each figure (R,), of classes (R, K), and ``cells`` (R, C).
    """
    num_classes = part.num_classes
    occupied, cell_of_clip = np.unique(
        part.labels * num_classes + part.predicted, return_inverse=True
    )
    truth, predicted = np.divmod(occupied, num_classes)
    cells = _summed(weights, cell_of_clip, len(occupied))
    num_right = _summed(cells * (truth == predicted), truth, num_classes)
    num_true = _summed(cells, truth, num_classes)
    num_predicted = _summed(cells, predicted, num_classes)
    gaps = _summed(weights * (part.confidence - part.is_right), bins_of(part.confidence), NUM_BINS)
    num_clips = weights.sum(axis=1)
    num_answered = weights @ is_answered
    with np.errstate(invalid="ignore"):  # 0 / 0 is meant: it marks what a draw cannot tell
        f1 = 2 * num_right / (num_true + num_predicted)
        return {
            "accuracy": num_right.sum(axis=1) / num_clips,
            "top5": weights @ part.in_top5 / num_clips,
            "loss": weights @ part.losses / num_clips,
            "macro_f1": np.mean(f1, axis=1, where=num_true > 0),
            "ece": np.abs(gaps).sum(axis=1) / num_clips,
            "brier": weights @ part.squared_errors / num_clips,
            "coverage": num_answered / num_clips,
            "accuracy_answered": weights @ (is_answered & part.is_right) / num_answered,
            "precision": num_right / num_predicted,
            "recall": num_right / num_true,
            "f1": f1,
            "cells": cells,
        }


def average_precisions(scores: Floats, labels: Ints, weights: Floats) -> Floats:
    """Average precision of each class in each of R draws; NaN where a draw lacks the class.

    It is the mean, over the clips of the class, of the precision among the clips that score at
    least as high.

    Args:
        scores: (N, K) of N clips, greater for the more probable class.
        labels: (N,) true classes.
        weights: (R, N) how often each clip is drawn.

    Returns:
        (R, K).
    """
    num_clips, num_classes = scores.shape
    drawn: npt.NDArray[np.float32] = weights.astype(np.float32)  # counts stay exact in float32
    columns = max(1, _COMPARISONS_AT_ONCE // num_clips)
    result = np.full((len(weights), num_classes), np.nan)
    for k in np.unique(labels):
        members = np.flatnonzero(labels == k)
        own = drawn[:, members]
        total = np.zeros(len(weights))
        for start in range(0, len(members), columns):
            chosen = members[start : start + columns]
            # (N, M): whether clip n scores at least as high as clip m of the class.
            ahead = (scores[:, None, k] >= scores[chosen, k]).astype(np.float32)
            num_ahead = drawn @ ahead
            num_right = own @ ahead[members]
            counts = drawn[:, chosen]
            # A clip that is not drawn may have none ahead: it counts for nothing.
            precision = num_right.astype(np.float64) / np.maximum(num_ahead, 1)
            total += (counts * precision).sum(axis=1)
        num_drawn = own.sum(axis=1, dtype=np.float64)
        is_drawn = num_drawn > 0
        result[is_drawn, k] = total[is_drawn] / num_drawn[is_drawn]
    return result


def _summed(values: Floats, keys: Ints, num_keys: int) -> Floats:
    """The columns of ``values`` (R, M) summed by their ``keys`` (M,) in [0, num_keys)."""
    order = np.argsort(keys, kind="stable")
    present, starts = np.unique(keys[order], return_index=True)
    sums = np.zeros((len(values), num_keys))
    sums[:, present] = np.add.reduceat(values[:, order], starts, axis=1)
    return sums
