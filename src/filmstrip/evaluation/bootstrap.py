"""Whole groups drawn with replacement, and the intervals of what is measured on each draw.

Clips cut from one recording resemble each other: drawn one by one they would feign more evidence
than there is. So the unit that is drawn is the group, with all its clips (the cluster bootstrap:
Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8). Where each clip
is a group of its own this is the ordinary bootstrap over clips. The intervals are percentiles
(Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). From few
groups they come out too narrow, which is why the number of groups is reported beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from filmstrip.evaluation.predictions import Floats, Ints

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


def interval(values: Floats, point: float, tail: float) -> Interval:
    """The [low, high] that leaves out the share ``tail`` of the values (R,) on either side.

    Values that are NaN, of draws that cannot tell, do not count; without any left it is [0, 1].
    F1 of few clips is biased in resamples; the interval is widened to hold the figure itself.
    """
    known = values[~np.isnan(values)]
    if known.size == 0:
        return [0.0, 1.0]
    low, high = np.quantile(known, [tail, 1 - tail])
    return [min(float(low), float(point)), max(float(high), float(point))]


def interval_of_mean(
    values: Floats, groups: Sequence[str] | None, num_resamples: int = 1000, seed: int = 0
) -> tuple[Interval, Units]:
    """The 95 % interval of the mean of ``values`` (N,), one for each answer, and what was drawn."""
    units = Units.of(groups, len(values))
    blocks = [
        weights @ values / weights.sum(axis=1) for weights in draws(units, num_resamples, seed)
    ]
    return interval(np.concatenate(blocks), float(values.mean()), 0.025), units
