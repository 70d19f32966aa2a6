"""Choose a sampling rate from the clips, and say where a sampling does not fit them.

``sampling: auto`` is a setting of a recipe. It becomes a ``RateSampling`` before any feature is
extracted; a model stores only that. Durations and frame rates are no labels, so one sampling is
chosen from all clips of the data set: every fold, seed and recipe then shares its features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from filmstrip.video.sampling import RateSampling, UniformSampling, sample_times

PREFERRED_RATE = 10.0
"""Frames per second, where the median clip then has a useful number of frames."""

FEWEST_FRAMES, MOST_FRAMES = 16, 48
"""Frames of the median clip, between which the rate is chosen."""

USUAL_MAX_FRAMES, LARGEST_MAX_FRAMES = 64, 128
"""The bounds of ``max_frames``: every clip in memory at once costs this many frames at most."""

FEWEST_RATE_FRAMES = 4
"""Frames below which a clip shows hardly any motion; the doctor names such clips."""

_COVERED_PERCENTILE = 95
_LONGEST_INTERVAL_SECONDS = 1.0
# Fewer clips than this share are exceptions, which the doctor names one by one.
_WORTH_A_WARNING = 0.05


class AutoSampling(BaseModel):
    """A fixed rate that follows from the clips of the data set.

    Attributes:
        frames_per_second: frames per second; None to choose it from the clips.
        max_frames: the most frames that are taken from one clip; None likewise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["auto"] = "auto"
    frames_per_second: Annotated[float, Field(ge=1e-3, le=1_000, allow_inf_nan=False)] | None = None
    max_frames: Annotated[int, Field(ge=1, le=10_000)] | None = None


def _named(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


RecipeSampling = Annotated[
    Annotated[UniformSampling | RateSampling | AutoSampling, Field(discriminator="kind")],
    BeforeValidator(_named),
]
"""The sampling of a recipe; ``auto`` is short for ``{kind: auto}``."""


@dataclass(frozen=True, slots=True, eq=False)
class ClipTimes:
    """How long clips last, and how many frames they have.

    Attributes:
        durations_seconds: (N,), above 0.
        frames_per_second: (N,), average over each clip.
    """

    durations_seconds: NDArray[np.float64]
    frames_per_second: NDArray[np.float64]

    @classmethod
    def of(cls, durations_seconds: Any, num_frames: Any) -> ClipTimes:
        """Build it from sequences; clips without a known duration are left out."""
        durations = np.asarray(durations_seconds, dtype=np.float64)
        counts = np.asarray(num_frames, dtype=np.float64)
        known = (durations > 0) & (counts > 0)  # a NaN is not
        return cls(durations[known], counts[known] / durations[known])

    def __len__(self) -> int:
        """The number of clips."""
        return len(self.durations_seconds)

    @property
    def median_seconds(self) -> float:
        """The median duration."""
        return float(np.median(self.durations_seconds))

    @property
    def median_fps(self) -> float:
        """The median frame rate."""
        return float(np.median(self.frames_per_second))


def fit_sampling(
    sampling: UniformSampling | RateSampling | AutoSampling, clips: ClipTimes
) -> UniformSampling | RateSampling:
    """Return the sampling to extract with; only ``auto`` depends on the clips.

    The rate is 10 frames per second. It is raised where the median clip would have fewer than 16
    frames, and lowered where it would have more than 48; it never exceeds the median frame rate of
    the clips. ``max_frames`` is 64, or up to 128 where one clip in twenty is longer than that.

    Args:
        sampling: the setting of the recipe.
        clips: the clips of the data set; 10 frames per second and 64 frames where there is none.
    """
    if not isinstance(sampling, AutoSampling):
        return sampling
    rate = sampling.frames_per_second or _chosen_rate(clips)
    return RateSampling(
        frames_per_second=rate, max_frames=sampling.max_frames or _chosen_max_frames(clips, rate)
    )


def _chosen_rate(clips: ClipTimes) -> float:
    if not len(clips):
        return PREFERRED_RATE
    fewest, most = (frames / clips.median_seconds for frames in (FEWEST_FRAMES, MOST_FRAMES))
    rate = PREFERRED_RATE
    if rate < fewest:
        rate = _two_digits(fewest, math.ceil)
    elif rate > most:
        rate = _two_digits(most, math.floor)
    return min(rate, round(clips.median_fps, 3) or rate)


def _chosen_max_frames(clips: ClipTimes, rate: float) -> int:
    if not len(clips):
        return USUAL_MAX_FRAMES
    long_seconds = float(np.percentile(clips.durations_seconds, _COVERED_PERCENTILE))
    return min(max(math.ceil(long_seconds * rate), USUAL_MAX_FRAMES), LARGEST_MAX_FRAMES)


def _two_digits(value: float, rounded: Any) -> float:
    """A number with two significant digits, rounded up or down."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{rounded(round(value / unit, 6)) * unit:.6g}")


def describe_sampling(sampling: RateSampling, clips: ClipTimes) -> str:
    """Return a sentence with the sampling and the reason for it."""
    words = f"Sampling: {sampling.frames_per_second:.4g} frames/s, up to {sampling.max_frames}"
    if not len(clips):
        return f"{words}: the durations of the clips are not known."
    num_frames = len(sample_times(sampling, clips.median_seconds))
    if is_every_frame := sampling.frames_per_second >= 0.99 * clips.median_fps:
        num_frames = min(num_frames, round(clips.median_seconds * clips.median_fps))
    return (
        f"{words}: the median clip lasts {clips.median_seconds:.3g} s at {clips.median_fps:.4g} "
        f"frames/s and gives {num_frames} frames{', all that it has' if is_every_frame else ''}."
    )


def sampling_warnings(sampling: UniformSampling | RateSampling, clips: ClipTimes) -> list[str]:
    """Return a sentence for each way in which a sampling does not fit the clips."""
    if not len(clips):
        return []
    return [*_too_few_frames(sampling, clips), *_too_far_apart(sampling, clips)]


def _too_few_frames(sampling: UniformSampling | RateSampling, clips: ClipTimes) -> list[str]:
    counts = np.round(clips.durations_seconds * clips.frames_per_second)
    if isinstance(sampling, UniformSampling):
        num_short = int((counts < sampling.num_frames).sum())
        if num_short < _WORTH_A_WARNING * len(clips):
            return []
        return [
            f"{num_short} of {len(clips)} clips have fewer than the {sampling.num_frames} frames "
            "that the recipe looks at. Set sampling.num_frames lower, or give longer clips."
        ]
    seen = np.minimum([len(sample_times(sampling, s)) for s in clips.durations_seconds], counts)
    num_short = int((seen < FEWEST_RATE_FRAMES).sum())
    has_more = sampling.frames_per_second < 0.99 * clips.median_fps
    # A lower rate that was set on purpose is no mistake by itself.
    enough = FEWEST_FRAMES // 2 if has_more else FEWEST_FRAMES
    if np.median(seen) >= enough and num_short < _WORTH_A_WARNING * len(clips):
        return []
    few = f", and {num_short} of {len(clips)} clips give fewer than {FEWEST_RATE_FRAMES}"
    few = few if num_short else ""
    if has_more:
        return [
            f"The median clip gives {int(np.median(seen))} frames at "
            f"{sampling.frames_per_second:.4g} a second, of the {int(np.median(counts))} that it "
            f"has{few}. Use --set sampling=auto to choose the rate from the clips."
        ]
    return [
        f"Short clips: the median clip has {int(np.median(counts))} frames"
        f"{few}. About {FEWEST_FRAMES} frames show a motion well: give longer clips, or record "
        "more frames per second."
    ]


def _too_far_apart(sampling: UniformSampling | RateSampling, clips: ClipTimes) -> list[str]:
    durations = clips.durations_seconds
    intervals = durations / [len(sample_times(sampling, seconds)) for seconds in durations]
    is_sparse = intervals > np.maximum(
        _LONGEST_INTERVAL_SECONDS * 1.01, 1.5 / clips.frames_per_second
    )
    num_sparse = int(is_sparse.sum())
    if not num_sparse or num_sparse < _WORTH_A_WARNING * len(clips):
        return []
    longest = int(durations.argmax())
    num_frames = round(durations[longest] / intervals[longest])
    return [
        f"Long clips: {num_frames} frames over {durations[longest]:.4g} s are one frame every "
        f"{intervals[longest]:.2g} s ({num_sparse} of {len(clips)} clips have more than "
        f"{_LONGEST_INTERVAL_SECONDS:g} s between frames). What happens in between is not seen. "
        "Cut the recordings into clips of one action each, or raise sampling.frames_per_second "
        "and sampling.max_frames (more memory and time)."
    ]
