"""Recordings that were cut: the last frame of one video goes on in the first frame of another.

The halves of a recording share no moment, so they are no near-duplicates, and yet a model that has
seen one knows the other's scene. What tells is the cut itself: across it the picture changes no
more than from frame to frame beside it, and no third video fits there nearly as well. The second
condition keeps apart the clips of a fixed camera, and clips that begin or end in the same title.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from filmstrip.dataset.doctor.fingerprints import Fingerprint

Floats = NDArray[np.float32]

# Measured on 420 pairs of halves (the 120 clips of UT-Interaction and 300 rendered ones, cut in the
# middle and encoded again) and on all pairs of those and of 1,500 other rendered clips. Root mean
# square differences of thumbnails are in grey levels.
_NOISE = 3.0
"""What encoding again changes."""
_MOST_STEPS = 2.0
"""How many times the change beside the cut the change across it may be; halves: 1.4 at most."""
_LEAST_CORRELATION = 0.8
_MOST_OF_NEXT_BEST = 0.7
"""The difference as a share of the next best video's there; halves of real clips: 0.4 at most."""
_LEAST_CONTRAST = 3.0
"""A fade to black goes on in every fade from black."""
_ROWS_AT_ONCE = 1024


def find_continuations(fingerprints: Mapping[Path, Fingerprint]) -> list[tuple[Path, Path]]:
    """All pairs of videos in which the second goes on where the first ends.

    Of copies, only one may be given: two would fit at one place equally well.
    """
    paths = [path for path, one in fingerprints.items() if len(one.thumbnails) > 1]
    if len(paths) < 2:
        return []
    pictures = [fingerprints[path].thumbnails for path in paths]
    firsts = np.stack([of[0] for of in pictures]).reshape(len(paths), -1).astype(np.float32)
    lasts = np.stack([of[-1] for of in pictures]).reshape(len(paths), -1).astype(np.float32)
    starts = np.array([_difference(of[0], of[1]) for of in pictures])
    ends = np.array([_difference(of[-2], of[-1]) for of in pictures])
    of_rows, of_columns = _two_nearest(lasts, firsts)
    found = []
    for place, next_place in enumerate(of_rows.nearest.tolist()):
        if of_columns.nearest[next_place] != place:
            continue
        difference = of_rows.difference[place]
        other = min(of_rows.next_difference[place], of_columns.next_difference[next_place])
        beside = max(starts[next_place], ends[place])
        if (
            difference <= max(_NOISE, _MOST_STEPS * beside)
            and difference <= _MOST_OF_NEXT_BEST * other
            and _correlation(lasts[place], firsts[next_place]) >= _LEAST_CORRELATION
        ):
            found.append((paths[place], paths[next_place]))
    return found


class _Nearest:
    """For each of N pictures, the nearest of others, and how far that and the next nearest are.

    Attributes:
        nearest: its place (N,).
        difference: to it (N,).
        next_difference: to the second nearest (N,).
    """

    def __init__(self, num_pictures: int) -> None:
        self.nearest = np.zeros(num_pictures, dtype=np.int64)
        self.difference = np.full(num_pictures, np.inf, dtype=np.float32)
        self.next_difference = np.full(num_pictures, np.inf, dtype=np.float32)

    def hear(self, rows: slice, differences: Floats, first_place: int) -> None:
        """Compare the pictures of ``rows`` (R,) with others (C,): (R, C), C ≥ 1."""
        order = np.argpartition(differences, min(1, differences.shape[1] - 1), axis=1)[:, :2]
        two = np.take_along_axis(differences, order, axis=1)
        places = np.concatenate([self.nearest[rows, None], first_place + order], axis=1)
        known = [self.difference[rows, None], two, self.next_difference[rows, None]]
        values = np.concatenate(known, axis=1)
        closer = np.argmin(values[:, : places.shape[1]], axis=1)
        self.nearest[rows] = places[np.arange(len(places)), closer]
        self.difference[rows], self.next_difference[rows] = np.sort(values, axis=1)[:, :2].T


def _two_nearest(lasts: Floats, firsts: Floats) -> tuple[_Nearest, _Nearest]:
    """What follows each of ``lasts`` (N, P) best, and what precedes each of ``firsts`` best."""
    num_videos, num_pixels = lasts.shape
    following, preceding = _Nearest(num_videos), _Nearest(num_videos)
    power = (firsts**2).sum(1)
    for start in range(0, num_videos, _ROWS_AT_ONCE):
        rows = slice(start, min(start + _ROWS_AT_ONCE, num_videos))
        squares = (lasts[rows] ** 2).sum(1)[:, None] + power - 2 * lasts[rows] @ firsts.T
        differences = np.sqrt(np.maximum(squares, 0) / num_pixels)
        itself = np.arange(rows.start, rows.stop)
        differences[itself - start, itself] = np.inf  # a loop
        following.hear(rows, differences, 0)
        preceding.hear(slice(0, num_videos), differences.T, start)
    return following, preceding


def _difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """The root mean square, in grey levels."""
    return float(np.sqrt(((first.astype(np.float32) - second) ** 2).mean()))


def _correlation(first: Floats, second: Floats) -> float:
    """Of two pictures; 0 where one of them is all but flat."""
    if min(first.std(), second.std()) < _LEAST_CONTRAST:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])
