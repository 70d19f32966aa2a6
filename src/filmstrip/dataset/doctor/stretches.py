"""Black and frozen stretches of a video, found frame by frame with memory that stays flat."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from filmstrip.dataset.doctor.facts import Stretch

SHORTEST_SECONDS = 1.0
"""Shorter stretches are told of only where they fill more than half of the clip."""

# As FFmpeg's blackdetect filter has them: a picture is black if 98 % of it is below 10 % grey.
_BLACK_SHARE = 0.98
_BLACK_LEVEL = 0.10 * 255
# What an encoder's rounding changes in a still picture, in grey levels of a cell.
_STILL_MEAN = 0.6
_STILL_LARGEST = 6.0


class StretchFinder:
    """Hears the frames of one video in order, and knows its black and frozen stretches.

    A stretch is frozen while each frame looks like the stretch's first one, not like the frame
    before it: slow motion adds up, and is not taken for none.
    """

    def __init__(self) -> None:
        self._black = _Run()
        self._frozen = _Run()
        self._first: NDArray[np.int16] | None = None

    def hear(self, seconds: float, grey: NDArray[np.uint8]) -> None:
        """Take the next frame: a small grey picture (H, W) uint8."""
        is_black = float(np.mean(grey <= _BLACK_LEVEL)) >= _BLACK_SHARE
        self._black.hear(seconds, is_black)
        levels = grey.astype(np.int16)
        if is_black or self._first is None or not _looks_alike(levels, self._first):
            self._frozen.hear(seconds, False)
            self._first = None if is_black else levels
        self._frozen.hear(seconds, not is_black)

    def black(self, duration_seconds: float) -> tuple[Stretch, ...]:
        """The black stretches of a video that is so long."""
        return _worth_telling(self._black.stretches(duration_seconds), duration_seconds)

    def frozen(self, duration_seconds: float) -> tuple[Stretch, ...]:
        """The frozen stretches of a video that is so long."""
        return _worth_telling(self._frozen.stretches(duration_seconds), duration_seconds)


class _Run:
    """Joins the frames of which something is true into stretches of two frames or more."""

    def __init__(self) -> None:
        self._found: list[Stretch] = []
        self._start: float | None = None
        self._last = 0.0

    def hear(self, seconds: float, is_true: bool) -> None:
        if is_true:
            self._start = seconds if self._start is None else self._start
            self._last = seconds
            return
        self._found += self._open(seconds)
        self._start = None

    def stretches(self, duration_seconds: float) -> list[Stretch]:
        return [*self._found, *self._open(duration_seconds)]

    def _open(self, end_seconds: float) -> list[Stretch]:
        if self._start is None or self._last == self._start:
            return []
        return [Stretch(start_seconds=self._start, end_seconds=end_seconds)]


def _looks_alike(levels: NDArray[np.int16], first: NDArray[np.int16]) -> bool:
    change = np.abs(levels - first)
    return bool(change.max() <= _STILL_LARGEST and change.mean() <= _STILL_MEAN)


def _worth_telling(stretches: Iterable[Stretch], duration_seconds: float) -> tuple[Stretch, ...]:
    least = min(SHORTEST_SECONDS, duration_seconds / 2)
    return tuple(stretch for stretch in stretches if stretch.seconds >= least)
