"""Perceptual hashes of a video's moments, and how alike two videos are at a given offset.

A hash is the signs of the low frequencies of a picture's cosine transform, as in Zauner,
*Implementation and Benchmarking of Perceptual Image Hash Functions* (2010): it outlives encoding
again and resizing, and that of the mirrored picture follows from it, since mirroring turns the
signs of the odd horizontal frequencies. Two kinds of picture are hashed: the frame, and its change
within a quarter of a second. The change knows nothing of a background that stands still, which
clips cut from one recording share without sharing a single moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

from filmstrip.dataset.doctor.facts import VideoFacts

Floats = NDArray[np.float32]

_FREQUENCIES = 8
_CHANGE_SECONDS = 0.25
# Below this mean change, in grey levels, a change is noise and its hash chance.
_LEAST_CHANGE = 1.0
_LEAST_OVERLAP_SAMPLES = 4
_LEAST_OVERLAP_SHARE = 0.3


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What a video is recognised by.

    Attributes:
        times_seconds: when each thumbnail is shown (N,).
        thumbnails: grey pictures (N, 16, 16) uint8.
    """

    times_seconds: NDArray[np.float64]
    thumbnails: NDArray[np.uint8]

    @classmethod
    def of(cls, facts: VideoFacts) -> Fingerprint:
        """The fingerprint in the facts of a video."""
        return cls(np.array(facts.sample_times_seconds), facts.thumbnail_array())

    @cached_property
    def step_seconds(self) -> float:
        """The usual time between thumbnails; a second for a single one."""
        return float(np.median(np.diff(self.times_seconds))) if len(self.times_seconds) > 1 else 1.0

    def frame_hashes(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Times (M,) and hashes (M, 63) of the frames."""
        return self.times_seconds, _hashes(self.thumbnails.astype(np.float32))

    def change_hashes(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Times (M,) and hashes (M, 63) of what changes, where anything does."""
        lag = max(round(_CHANGE_SECONDS / self.step_seconds), 1)
        pictures = self.thumbnails.astype(np.float32)
        change = pictures[lag:] - pictures[:-lag]
        moves = np.abs(change).mean((1, 2)) >= _LEAST_CHANGE
        return self.times_seconds[: len(change)][moves], _hashes(change[moves])


def mirrored_hashes(hashes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The hashes (M, 63) that the mirrored pictures have."""
    is_odd = np.tile(np.arange(_FREQUENCIES) % 2 == 1, _FREQUENCIES)[1:]
    turned: NDArray[np.bool_] = np.logical_xor(hashes, is_odd)
    return turned


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two videos are where they overlap.

    Attributes:
        frames: mean correlation of the frames that are shown at the same moment.
        changes: correlation of how these depart from their mean picture in time; a background
            that both share and that stands still has no part in it.
        movement: how far they do depart from it, in grey levels.
        overlap_seconds: how much both show.
    """

    frames: float
    changes: float
    movement: float
    overlap_seconds: float


def compare(
    first: Fingerprint, second: Fingerprint, offset_seconds: float, is_mirrored: bool = False
) -> Likeness | None:
    """How alike two videos are when the second starts ``offset_seconds`` into the first.

    None where they overlap too little to tell: less than 30 % of the shorter one.
    """
    if second.step_seconds < first.step_seconds:
        # The denser one is read at the times of the other.
        return compare(second, first, -offset_seconds, is_mirrored)
    wanted = second.times_seconds + offset_seconds
    slack = first.step_seconds / 2
    inside = (wanted >= first.times_seconds[0] - slack) & (
        wanted <= first.times_seconds[-1] + slack
    )
    shorter = min(len(second.times_seconds), first.times_seconds[-1] / second.step_seconds + 1)
    least = min(max(_LEAST_OVERLAP_SAMPLES, _LEAST_OVERLAP_SHARE * shorter), shorter)
    num_shared = int(np.count_nonzero(inside))
    if num_shared < np.floor(least) or not num_shared:
        return None
    ours = _at(first, wanted[inside])
    theirs = second.thumbnails[inside].astype(np.float32)
    if is_mirrored:
        theirs = theirs[:, :, ::-1]
    ours, theirs = _without_brightness(ours), _without_brightness(theirs)
    our_changes, their_changes = ours - ours.mean(0), theirs - theirs.mean(0)
    return Likeness(
        frames=float(_correlation(ours, theirs, axis=1).mean()),
        changes=float(_correlation(our_changes, their_changes, axis=None)),
        movement=float(min(our_changes.std(), their_changes.std())),
        overlap_seconds=num_shared * second.step_seconds,
    )


def _hashes(pictures: Floats) -> NDArray[np.bool_]:
    """Signs of the lowest 8×8 frequencies of pictures (M, 16, 16), but the mean: (M, 63)."""
    if not len(pictures):
        return np.zeros((0, _FREQUENCIES**2 - 1), dtype=bool)
    waves = dctn(pictures, axes=(1, 2))[:, :_FREQUENCIES, :_FREQUENCIES]
    return np.asarray(waves.reshape(len(pictures), -1)[:, 1:] > 0)


def _at(fingerprint: Fingerprint, times_seconds: NDArray[np.float64]) -> Floats:
    """The pictures at any times, mixed from the thumbnails before and after."""
    known = fingerprint.times_seconds
    place = np.interp(times_seconds, known, np.arange(len(known)))
    before = np.floor(place).astype(int)
    after = np.minimum(before + 1, len(known) - 1)
    share = (place - before).astype(np.float32)[:, None, None]
    pictures = fingerprint.thumbnails
    mixed: Floats = pictures[before] * (1 - share) + pictures[after] * share
    return mixed


def _without_brightness(pictures: Floats) -> Floats:
    """(M, 16, 16) → (M, 256), the mean of each picture taken off."""
    flat = pictures.reshape(len(pictures), -1)
    centred: Floats = flat - flat.mean(1, keepdims=True)
    return centred


def _correlation(first: Floats, second: Floats, axis: int | None) -> Floats:
    """Of values that are centred already; two flat pictures count as alike."""
    power = (first**2).sum(axis) * (second**2).sum(axis)
    both_flat = ((first**2).mean(axis) < 1) & ((second**2).mean(axis) < 1)
    return np.where(both_flat, 1.0, (first * second).sum(axis) / np.sqrt(power + 1e-6))
