"""Where the picture of a recording stands still: a pause, a title, black.

A classifier that never saw a pause must call it something. That nothing moves can be seen without
a classifier, so such stretches are told apart first, as FFmpeg's freezedetect and blackdetect do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, groupby

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


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A frame of a recording, for as long as it is on screen.

    Attributes:
        run: number of the run of its picture.
        features: (V, D), one row a view.
        num_instants: at how many sampled instants it is on screen, at least one.
    """

    run: int
    features: Tensor
    num_instants: int


def with_stillness(frames: Iterable[Shown], num_still: int) -> Iterator[tuple[bool, Shown]]:
    """Whether each frame is part of a still.

    Args:
        frames: in order.
        num_still: instants from which a run is a still; no more frames are ever held back.
    """
    for _, run in groupby(frames, key=lambda shown: shown.run):
        first: list[Shown] = []
        num_instants = 0
        for shown in run:
            first.append(shown)
            num_instants += shown.num_instants
            if num_instants >= num_still:
                break
        for shown in chain(first, run):
            yield num_instants >= num_still, shown
