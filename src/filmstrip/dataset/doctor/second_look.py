"""Videos that are alike in small, looked at again in colour and sixteen times as many pixels.

Small grey thumbnails find copies quickly, and take for copies what only looks alike from afar:
squares of other colours that move alike over noise, signs on one plain wall. Few pairs come so far,
so both videos are simply decoded once more.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from filmstrip.dataset.doctor.duplicates import NearDuplicate
from filmstrip.dataset.doctor.thumbnails import paced_frames, small_picture
from filmstrip.errors import VideoError
from filmstrip.video.failures import machine_failures

_SIDE = 64
_NUM_MOMENTS = 8
# The offset between two videos is known to a sixteenth of a second.
_SLACK_SECONDS = 0.07
# Measured on pairs of copies (encoded again, resized, mirrored, shifted, darkened, at half the
# rate): 840 of UT-Interaction, 0.94 or more; 700 of rendered clips, 0.97 or more in 95 % of them.
# Coloured squares that move alike over noise: 0.90 in the middle.
_ALIKE = 0.93
# Across a cut, as in ``continuation``; more pixels have more noise.
_NOISE = 6.0
_MOST_STEPS = 2.0
_ALIKE_ACROSS = 0.5


def confirmed(pairs: Iterable[NearDuplicate]) -> list[NearDuplicate]:
    """Those of ``pairs`` that are alike in colour and detail, too."""
    return [pair for pair in pairs if likeness(pair) >= _ALIKE]


def goes_on(first: Path, second: Path) -> bool:
    """Whether the second video still goes on where the first ends."""
    try:
        ends, starts = _pictures(first)[1][-2:], _pictures(second)[1][:2]
    except VideoError:
        return False
    across = _difference(ends[-1], starts[0])
    beside = max(_difference(ends[0], ends[-1]), _difference(starts[0], starts[-1]))
    is_small = across <= max(_NOISE, _MOST_STEPS * beside)
    return is_small and _correlation(ends[-1], starts[0]) >= _ALIKE_ACROSS


def likeness(pair: NearDuplicate) -> float:
    """The median correlation of moments that both videos show; 0 where one cannot be decoded."""
    try:
        times, pictures = _pictures(pair.first)
        other_times, others = _pictures(pair.second)
    except VideoError:
        return 0.0
    if pair.is_mirrored:
        others = others[:, :, ::-1]
    shown = other_times + pair.offset_seconds
    shared = np.flatnonzero((times >= shown[0]) & (times <= shown[-1]))
    if not shared.size:
        return 0.0
    chosen = np.unique(shared[np.linspace(0, len(shared) - 1, _NUM_MOMENTS).astype(int)])
    found = []
    for place in chosen:
        distances = np.abs(shown - times[place])
        near = distances <= max(_SLACK_SECONDS, float(distances.min()))
        found.append(max(_correlation(pictures[place], other) for other in others[near]))
    return float(np.median(found))


@lru_cache(maxsize=16)
def _pictures(path: Path) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Times (N,) and small pictures (N, 64, 64, 3) at the video's pace, the last one included."""
    reformatter = VideoReformatter()
    with machine_failures(path):
        frames = [
            (seconds, small_picture(reformatter, frame, _SIDE, _SIDE, "rgb24"))
            for seconds, frame in paced_frames(path)
        ]
    times, pictures = zip(*frames, strict=True)
    return np.array(times), np.stack(pictures)


def _correlation(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Of two pictures (H, W, 3), the mean colour of each taken off."""
    one, other = (picture - picture.mean((0, 1)) for picture in (first, second))
    power = (one**2).sum() * (other**2).sum()
    return float((one * other).sum() / np.sqrt(power + 1e-6))


def _difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """The root mean square, in grey levels."""
    return float(np.sqrt(((first.astype(np.float32) - second) ** 2).mean()))
