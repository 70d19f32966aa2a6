"""How well segments with labels are found in a long recording: F1 at an overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Stretch(NamedTuple):
    """Part of a recording that shows one class; half-open."""

    label: str
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, slots=True)
class SegmentScore:
    """What was found.

    Attributes:
        num_true: segments that there are.
        num_predicted: segments that were said.
        num_found: those said that overlap one of their class enough; each counts for one.
    """

    num_true: int
    num_predicted: int
    num_found: int

    @property
    def precision(self) -> float:
        """Of what was said, how much is right; 0 where nothing was said."""
        return self.num_found / self.num_predicted if self.num_predicted else 0.0

    @property
    def recall(self) -> float:
        """Of what there is, how much was said; 0 where there is nothing."""
        return self.num_found / self.num_true if self.num_true else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of both; 0 where there is nothing to find and nothing was said."""
        total = self.num_true + self.num_predicted
        return 2 * self.num_found / total if total else 0.0


def score_segments(
    truth: Sequence[Stretch], predicted: Sequence[Stretch], overlap: float = 0.5
) -> SegmentScore:
    """Count the segments that are found, after Lea et al., https://arxiv.org/abs/1611.05267.

    Args:
        truth: what the recording shows.
        predicted: what was said of it, in order.
        overlap: least intersection over union, in (0, 1], at which a segment is found. A true
            segment is found once: cutting it up is not rewarded.
    """
    left = list(truth)
    for stretch in predicted:
        best = max(left, key=lambda true: overlap_of(true, stretch), default=None)
        if best is not None and overlap_of(best, stretch) >= overlap:
            left.remove(best)
    return SegmentScore(len(truth), len(predicted), len(truth) - len(left))


def overlap_of(one: Stretch, other: Stretch) -> float:
    """Intersection over union; 0 for two classes."""
    if one.label != other.label:
        return 0.0
    shared = min(one.end_seconds, other.end_seconds) - max(one.start_seconds, other.start_seconds)
    if shared <= 0:
        return 0.0
    lengths = one.end_seconds - one.start_seconds + other.end_seconds - other.start_seconds
    return shared / (lengths - shared)
