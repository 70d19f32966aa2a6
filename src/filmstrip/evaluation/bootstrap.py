"""Whole groups drawn with replacement, and the intervals of what is measured on each draw.

Clips cut from one recording resemble each other: drawn one by one they would feign more evidence
than there is. So the unit that is drawn is the group, with all its clips (the cluster bootstrap:
Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8). Where each clip
is a group of its own this is the ordinary bootstrap over clips. The intervals are percentiles
(Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). From few
groups they come out too narrow, which is why the number of groups is reported beside them.

Where all draws give the same value, such as an accuracy of 1, resampling shows no uncertainty at
all. Such an interval is Wilson's for as many independent, equal outcomes as there are units:
``interval_without_spread``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import binomtest

from filmstrip.evaluation.predictions import Bools, Floats, Ints

Interval = list[float]

FEWEST_GROUPS = 10
"""Intervals from fewer whole groups come out too narrow."""

# Weights that are held at once, to keep memory flat.
_WEIGHTS_AT_ONCE = 2**22


@dataclass(frozen=True, slots=True)
class Units:
    """What is drawn.

    Attributes:
        name: ``groups``, or ``clips`` where each clip is a group of its own.
        num_units: how many there are.
        of_clip: (N,) the unit of each clip, in [0, num_units).
    """

    name: Literal["groups", "clips"]
    num_units: int
    of_clip: Ints

    def num_of(self, chosen: Bools) -> int:
        """Return how many units have at least one of the chosen clips (N,)."""
        return len(np.unique(self.of_clip[chosen]))

    @classmethod
    def of(cls, groups: Sequence[str] | None, num_clips: int) -> Units:
        """The units of clips with the given groups; without, or with a single one, the clips.

        A single group can be drawn in one way only: its clips are drawn instead, and ``name``
        says so.
        """
        if groups is not None and len(groups) != num_clips:
            raise ValueError(f"{len(groups)} groups do not fit {num_clips} clips")
        names, of_clip = np.unique([] if groups is None else groups, return_inverse=True)
        if 1 < len(names) < num_clips:
            return cls("groups", len(names), of_clip)
        return cls("clips", num_clips, np.arange(num_clips))


def draws(units: Units, num_resamples: int, seed: int) -> Iterator[Floats]:
    """How often each clip is drawn in each resample: (R, N) in blocks of rows.

    The same seed gives the same draws, and fewer resamples the first of them.
    """
    rng = np.random.default_rng(seed)
    rows = max(1, _WEIGHTS_AT_ONCE // len(units.of_clip))
    equally = np.full(units.num_units, 1 / units.num_units)
    for start in range(0, num_resamples, rows):
        num_rows = min(rows, num_resamples - start)
        counts = rng.multinomial(units.num_units, equally, size=num_rows)
        yield counts[:, units.of_clip].astype(np.float64)


def interval(values: Floats, point: float, tail: float, num_units: int = 0) -> Interval:
    """The [low, high] that leaves out the share ``tail`` of the values (R,) on either side.

    Values that are NaN, of draws that cannot tell, do not count; without any left it is [0, 1].
    F1 of few clips is biased in resamples; the interval is widened to hold the figure itself.

    Args:
        values: (R,) the figure in each draw.
        point: the figure itself.
        tail: the share to leave out on either side, in (0, 0.5).
        num_units: for a share, F1 or average precision, how many units it rests on:
            ``interval_without_spread`` then applies where all draws agree. 0 for other figures.
    """
    known = values[~np.isnan(values)]
    if known.size == 0:
        return [0.0, 1.0]
    low, high = np.quantile(known, [tail, 1 - tail])
    spread = [min(float(low), float(point)), max(float(high), float(point))]
    if num_units and spread[0] == spread[1]:
        return interval_without_spread(point, num_units, confidence=1 - 2 * tail)
    return spread


def interval_without_spread(
    value: float, num_units: int, *, confidence: float = 0.95, lowest: float = 0.0
) -> Interval:
    """Return the interval of a share of which every draw gives the same value.

    It is Wilson's: as far from ``value`` as the upper end for 0 of ``num_units``.

    Args:
        value: the share, most often 0 or 1; or a difference of two shares.
        num_units: how many groups or clips it rests on.
        confidence: of the interval, in (0, 1).
        lowest: the least possible value: 0 for a share, -1 for a difference.

    Example:
        >>> [round(end, 3) for end in interval_without_spread(1.0, 214)]
        [0.982, 1.0]
    """
    _, margin = wilson_interval(0, num_units, confidence)
    return [max(lowest, value - margin), min(1.0, value + margin)]


def wilson_interval(num_right: int, num_units: int, confidence: float = 0.95) -> Interval:
    """Return Wilson's interval of a share of independent outcomes."""
    share = binomtest(num_right, num_units).proportion_ci(confidence, method="wilson")
    return [float(share.low), float(share.high)]


def interval_of_mean(
    values: Floats,
    groups: Sequence[str] | None,
    num_resamples: int = 1000,
    seed: int = 0,
    *,
    lowest: float = 0.0,
) -> tuple[Interval, Units]:
    """The 95 % interval of the mean of ``values`` (N,), one for each answer, and what was drawn.

    The values are at least ``lowest`` and at most 1.
    """
    units = Units.of(groups, len(values))
    blocks = [
        weights @ values / weights.sum(axis=1) for weights in draws(units, num_resamples, seed)
    ]
    drawn, point = np.concatenate(blocks), float(values.mean())
    spread = interval(drawn, point, 0.025)
    if spread[0] == spread[1]:
        spread = interval_without_spread(point, units.num_units, lowest=lowest)
    return spread, units
