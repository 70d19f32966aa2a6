"""Where the picture of a recording stands still: a pause, a title, black.

A classifier that never saw a pause must call it something. That nothing moves can be seen without
a classifier, so such stretches are told apart first, as FFmpeg's freezedetect and blackdetect do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, groupby, islice

import numpy as np
from torch import Tensor

from filmstrip.video.picture import Picture

STILL_SECONDS = 0.75
"""How long a picture must stay the same: longer than a slow camera shows one frame."""

_SAME_LEVELS = 0.5
"""Mean difference, in grey levels of 255, up to which two pictures are one encoded twice."""


class PictureRuns:
    """Numbers pictures in order: as long as one stays the same, its number does.

    A picture is held against the first of its run, so that a slow change is a change.
    """

    def __init__(self) -> None:
        self._first: Picture | None = None
        self._number = 0

    def number(self, picture: Picture) -> int:
        """The number of the run that a picture (H, W, 3) uint8 belongs to."""
        if self._first is None or _difference(self._first, picture) > _SAME_LEVELS:
            self._first = picture
            self._number += 1
        return self._number


def _difference(one: Picture, other: Picture) -> float:
    return float(np.abs(one.astype(np.int16) - other).mean())


def with_stillness(
    instants: Iterable[tuple[int, Tensor]], num_still: int
) -> Iterator[tuple[bool, Tensor]]:
    """Whether each instant is part of a still, beside its features.

    Args:
        instants: number of the run of its picture, and features.
        num_still: instants from which a run is a still; no more are ever held back.
    """
    for _, run in groupby(instants, key=lambda instant: instant[0]):
        first = list(islice(run, num_still))
        is_still = len(first) == num_still
        for _, features in chain(first, run):
            yield is_still, features
