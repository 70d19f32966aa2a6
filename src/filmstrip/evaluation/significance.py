"""Whether one classifier is better than another on the same clips, or was only luckier.

McNemar's test looks at the clips that one of the two answers rightly and the other wrongly; were
both equally good, either would win such a clip as by the toss of a coin (McNemar, 1947; exact
form; Dietterich, Approximate Statistical Tests for Comparing Supervised Classification Learning
Algorithms, 1998). It takes clips as independent. Where several come from one recording, the
interval of the difference, for which whole groups are drawn, is the safer witness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from filmstrip.evaluation.bootstrap import Interval, interval_of_mean
from filmstrip.evaluation.predictions import Bools


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two classifiers on the same clips.

    Attributes:
        both_right: how many clips both answer rightly.
        only_first: how many the first alone does.
        only_second: how many the second alone does.
        both_wrong: how many neither does.
        p_value: of McNemar's exact test, two-sided.
        interval: 95 % interval of ``difference``.
        units: what was drawn for it, ``groups`` or ``clips``.
        num_units: how many of them there are.
    """

    both_right: int
    only_first: int
    only_second: int
    both_wrong: int
    p_value: float
    interval: Interval
    units: str
    num_units: int

    @property
    def num_clips(self) -> int:
        """How many clips were answered by both."""
        return self.both_right + self.only_first + self.only_second + self.both_wrong

    @property
    def first_accuracy(self) -> float:
        """The first one's share of right answers."""
        return (self.both_right + self.only_first) / self.num_clips

    @property
    def second_accuracy(self) -> float:
        """The second one's share of right answers."""
        return (self.both_right + self.only_second) / self.num_clips

    @property
    def difference(self) -> float:
        """The second one's accuracy less the first one's."""
        return (self.only_second - self.only_first) / self.num_clips


def compare(
    first_is_right: npt.ArrayLike,
    second_is_right: npt.ArrayLike,
    groups: Sequence[str] | None = None,
    *,
    num_resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Test whether two classifiers differ.

    Args:
        first_is_right: (N,) bool, for each clip whether the first answers it rightly.
        second_is_right: (N,) bool, the same clips in the same order.
        groups: (N,) clips of one group are drawn together; without, each clip by itself.
        num_resamples: draws for the interval.
        seed: of the draws.

    Raises:
        ValueError: the arrays disagree or are empty.
    """
    first, second = np.asarray(first_is_right, dtype=bool), np.asarray(second_is_right, dtype=bool)
    if first.ndim != 1 or first.shape != second.shape or not first.size:
        raise ValueError(f"{first.shape} and {second.shape} are not the same clips, one or more")
    only_first, only_second, p_value = mcnemar(first, second)
    gain = second.astype(np.float64) - first
    spread, units = interval_of_mean(gain, groups, num_resamples, seed, lowest=-1)
    return Comparison(
        both_right=int((first & second).sum()),
        only_first=only_first,
        only_second=only_second,
        both_wrong=int((~first & ~second).sum()),
        p_value=p_value,
        interval=spread,
        units=units.name,
        num_units=units.num_units,
    )


def mcnemar(first: Bools, second: Bools) -> tuple[int, int, float]:
    """McNemar's exact test, two-sided.

    Args:
        first: (N,) for each clip whether the first classifier answers it rightly.
        second: (N,) the same clips in the same order.

    Returns:
        How many clips the first alone answers rightly, how many the second alone, and the p-value.
    """
    only_first = int((first & ~second).sum())
    only_second = int((second & ~first).sum())
    num_discordant = only_first + only_second
    p_value = binomtest(only_second, num_discordant).pvalue if num_discordant else 1.0
    return only_first, only_second, float(p_value)
