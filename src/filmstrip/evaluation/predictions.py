"""Probabilities and true labels, checked, with what the figures need of each clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from filmstrip.errors import DatasetError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# How far the probabilities of one clip may sum from 1: half precision strays this far.
_SUM_TOLERANCE = 1e-2


@dataclass(frozen=True, slots=True)
class Predictions:
    """The answers to N clips of K classes.

    Of classes with equal probability the first counts as the more probable.

    Attributes:
        probs: (N, K).
        labels: (N,) the true classes.
        predicted: (N,) the most probable classes.
        in_top5: (N,) whether the true class is among the min(5, K) most probable.
    """

    probs: Floats
    labels: Ints
    predicted: Ints
    in_top5: Bools

    @classmethod
    def check(cls, probs: npt.ArrayLike, labels: npt.ArrayLike) -> Predictions:
        """Take probabilities (N, K), each row summing to 1, and labels (N,), integers in [0, K).

        Raises:
            DatasetError: there are no clips.
            ValueError: the arrays disagree, or ``probs`` are no probabilities.
        """
        p, y = np.asarray(probs, dtype=np.float64), np.asarray(labels)
        if y.size == 0:
            raise DatasetError(
                "a part of the data set with no clips in it",
                "at least one labelled clip to measure on",
                "check the split, and whether every clip of the part was skipped as unreadable.",
            )
        if y.ndim != 1 or p.ndim != 2 or len(p) != len(y):
            raise ValueError(f"probs {p.shape} and labels {y.shape} are not (N, K) and (N,)")
        num_classes = p.shape[1]
        if not np.issubdtype(y.dtype, np.integer) or y.min() < 0 or y.max() >= num_classes:
            raise ValueError(f"labels must be integers in [0, {num_classes})")
        # Written so that NaN fails too.
        if not (p.min() >= 0 and np.all(np.abs(p.sum(axis=1) - 1) <= _SUM_TOLERANCE)):
            raise ValueError("probs must be finite, not negative, and sum to 1 for each clip")
        best_first = np.argsort(-p, axis=1, kind="stable")[:, :5]
        return cls(p, y.astype(np.int64), best_first[:, 0], (best_first == y[:, None]).any(axis=1))

    def __len__(self) -> int:
        """The number of clips."""
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        """K."""
        return int(self.probs.shape[1])

    @property
    def is_right(self) -> Bools:
        """(N,) whether the most probable class is the true one."""
        return np.equal(self.predicted, self.labels)

    @property
    def confidence(self) -> Floats:
        """(N,) the probability of the most probable class."""
        confidence: Floats = self.probs.max(axis=1)
        return confidence

    @property
    def losses(self) -> Floats:
        """(N,) the cross-entropy in nats, finite for a certain mistake too."""
        of_truth = self.probs[np.arange(len(self)), self.labels]
        losses: Floats = -np.log(np.clip(of_truth, np.finfo(np.float64).eps, 1))
        return losses

    @property
    def squared_errors(self) -> Floats:
        """(N,) the squared distance, in [0, 2], from the probabilities to the truth's 0 and 1."""
        errors = self.probs - np.eye(self.num_classes)[self.labels]
        squared: Floats = (errors**2).sum(axis=1)
        return squared
