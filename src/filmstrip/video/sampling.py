"""Which frames of a video are looked at: pure arithmetic on times, stored with the model.

Everything goes by time, so a variable frame rate is sampled as a viewer would see it: the frame
that is on screen at each sampled time. Both ways to sample cover the whole clip, always.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

# Matroska and WebM round times to whole milliseconds, so a frame may claim to come half a
# millisecond late; the rest is for floating-point rounding.
ROUNDING_SECONDS = 0.0006

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


class UniformSampling(BaseModel):
    """``num_frames`` frames spread over the clip: the midpoints of as many equal segments.

    Attributes:
        num_frames: how many frames are taken from each clip.
        short: what to do with a clip of fewer frames: ``fewer`` takes each frame once (masks do
            the rest), ``repeat`` repeats frames so that ``num_frames`` come out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["uniform"] = "uniform"
    num_frames: int = Field(default=16, ge=1, le=10_000)
    short: Literal["fewer", "repeat"] = "fewer"


class RateSampling(BaseModel):
    """``frames_per_second`` frames of each second, from the first frame on; this can be streamed.

    A clip that would give more than ``max_frames`` is covered whole by ``max_frames`` evenly
    spread times instead, as if the rate were lower.

    Attributes:
        frames_per_second: how many frames are taken from each second of the clip.
        max_frames: the most frames that are taken from one clip.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["rate"] = "rate"
    frames_per_second: float = Field(default=10.0, ge=1e-3, le=1_000, allow_inf_nan=False)
    max_frames: int = Field(default=64, ge=1, le=10_000)


Sampling = Annotated[UniformSampling | RateSampling, Field(discriminator="kind")]


def sample_times(sampling: UniformSampling | RateSampling, duration_seconds: float) -> Floats:
    """The times at which a clip is looked at, in seconds after its first frame.

    Args:
        sampling: how to sample.
        duration_seconds: how long the clip is shown; 0 for a single picture.

    Returns:
        Sorted times (T,) within ``[0, duration_seconds)``, at least one.
    """
    if isinstance(sampling, UniformSampling):
        segments = np.arange(sampling.num_frames, dtype=np.float64)
        return (segments + 0.5) * (duration_seconds / sampling.num_frames)
    num_frames = _num_instants(sampling.frames_per_second, duration_seconds)
    if num_frames <= sampling.max_frames:
        return np.arange(num_frames, dtype=np.float64) / sampling.frames_per_second
    return np.arange(sampling.max_frames, dtype=np.float64) * (
        duration_seconds / sampling.max_frames
    )


def frames_on_screen(frame_times_seconds: Floats, times_seconds: Floats) -> Indices:
    """The frame that is on screen at each time: the last one that came no later.

    Args:
        frame_times_seconds: sorted times (N,) at which the frames come, N ≥ 1.
        times_seconds: the times (T,) to look at.

    Returns:
        Indices (T,) within ``[0, N)``.
    """
    came = np.searchsorted(frame_times_seconds, times_seconds + ROUNDING_SECONDS, side="right")
    return np.maximum(came - 1, 0)


def sample_indices(
    sampling: UniformSampling | RateSampling,
    frame_times_seconds: Floats,
    duration_seconds: float,
) -> Indices:
    """The frames of one clip that are looked at.

    Args:
        sampling: how to sample.
        frame_times_seconds: sorted times (N,) at which the frames come, the first at 0; N ≥ 1.
        duration_seconds: how long the clip is shown, its last frame included.

    Returns:
        Sorted indices (T,) within ``[0, N)``, at least one.
    """
    on_screen = frames_on_screen(frame_times_seconds, sample_times(sampling, duration_seconds))
    if isinstance(sampling, UniformSampling) and len(frame_times_seconds) < sampling.num_frames:
        return _SHORT_CLIPS[sampling.short](on_screen, len(frame_times_seconds))
    return on_screen


def _each_frame_once(_on_screen: Indices, num_frames: int) -> Indices:
    return np.arange(num_frames)


def _frames_repeat(on_screen: Indices, _num_frames: int) -> Indices:
    return on_screen


_SHORT_CLIPS: dict[str, Callable[[Indices, int], Indices]] = {
    "fewer": _each_frame_once,
    "repeat": _frames_repeat,
}


class RateClock:
    """Rate sampling of frames that come one by one, whose end nobody knows yet.

    A frame stays on screen until the next one comes, so only then is it known which instants
    showed it. The frames are those of ``sample_indices``, for as long as those are not spread out
    by ``max_frames``. (Of frames less than 0.6 ms apart, the first one counts here.)
    """

    def __init__(self, frames_per_second: float) -> None:
        self._frames_per_second = frames_per_second
        self._num_instants = 0

    def before(self, time_seconds: float) -> int:
        """A frame comes: how many further instants have shown the one before it."""
        return self._settle(time_seconds, lambda at: at + ROUNDING_SECONDS < time_seconds)

    def at(self, time_seconds: float) -> int:
        """A frame has come: how many instants it is sure to be shown at already."""
        return self._settle(time_seconds, lambda at: at <= time_seconds)

    def until_end(self, duration_seconds: float) -> int:
        """Nothing more comes: how many further instants have shown the last frame."""
        num_instants = _num_instants(self._frames_per_second, duration_seconds)
        num_new = max(num_instants - self._num_instants, 0)
        self._num_instants += num_new
        return num_new

    def _settle(self, time_seconds: float, is_settled: Callable[[float], bool]) -> int:
        before = self._num_instants
        # Arithmetic leads to a few instants before the time, however long nothing came; the last
        # steps are taken one by one, since rounding decides there.
        nearly = math.floor((time_seconds - ROUNDING_SECONDS) * self._frames_per_second) - 1
        self._num_instants = max(before, nearly)
        while is_settled(self._num_instants / self._frames_per_second):
            self._num_instants += 1
        return self._num_instants - before


def _num_instants(frames_per_second: float, duration_seconds: float) -> int:
    """How many instants a clip has at full rate, at least one."""
    shown_seconds = duration_seconds - ROUNDING_SECONDS
    return max(int(np.ceil(shown_seconds * frames_per_second)), 1)
