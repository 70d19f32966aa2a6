"""How much of a recording the head of a model reads at once, by default as long as a clip.

A model learns from clips of some length. Asked about a longer stretch it averages over what it
should tell apart, so the window of a timeline and the memory of a stream are as long as the median
training clip unless another length is given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from filmstrip.errors import RecipeError
from filmstrip.model.specs import ClassifierSpec
from filmstrip.video.sampling import RateSampling


@dataclass(frozen=True, slots=True)
class Window:
    """What the head reads at once.

    Attributes:
        num_frames: sampled frames.
        frames_per_second: their rate.
        first_seconds: the time of the first, after the beginning of the recording.
    """

    num_frames: int
    frames_per_second: float
    first_seconds: float


def default_window_seconds(spec: ClassifierSpec) -> float | None:
    """The median duration of the training clips, or the longest clip that the model reads.

    Returns:
        Seconds; the longest clip at the full sampling rate where the training clips are not known
        or are longer than that. None if neither is known: a model of an older version that spreads
        its frames over clips of any length.
    """
    clips, longest = spec.training_clips, longest_clip_seconds(spec)
    median = math.inf if clips is None else clips.duration_seconds.median
    shorter = min(median, longest)
    return None if math.isinf(shorter) else shorter


def longest_clip_seconds(spec: ClassifierSpec) -> float:
    """The longest clip that is read at the full sampling rate; infinite if frames are spread."""
    sampling = spec.sampling
    if not isinstance(sampling, RateSampling):
        return math.inf
    return sampling.max_frames / sampling.frames_per_second


def describe_default(spec: ClassifierSpec, name: str) -> str:
    """Return a sentence on the default window.

    Args:
        spec: of a model that has a default.
        name: what the window is called, such as ``Window`` or ``Memory``.
    """
    seconds = default_window_seconds(spec)
    told = f"{name}: {seconds:.3g} s"
    if spec.training_clips is None:
        return (
            f"{told}, the longest clip that the model reads. The model does not say how long its "
            f"training clips were: set --{name.lower()} to their usual length."
        )
    median = spec.training_clips.duration_seconds.median
    if seconds == median:
        return f"{told}, the median length of the training clips."
    return (
        f"{told}, the longest clip that the model reads at its full rate; the median training clip "
        f"lasts {median:.3g} s."
    )


def find_window(spec: ClassifierSpec, window_seconds: float | None) -> Window:
    """The window of so many seconds, by default ``default_window_seconds``.

    Raises:
        RecipeError: the model has no such length by itself, or cannot take one that long.
    """
    sampling = spec.sampling
    if window_seconds is not None and not 0 < window_seconds < math.inf:
        raise _unfit(window_seconds, "a number of seconds above 0")
    if window_seconds is None:
        window_seconds = default_window_seconds(spec)
    if not isinstance(sampling, RateSampling):
        if window_seconds is None:
            raise RecipeError(
                f"no length of a window: this model spreads {sampling.num_frames} frames over a "
                "clip of any length",
                "the length of a window in seconds",
                "give --window (or --memory, for a stream) with the usual length of the clips that "
                "it was trained on.",
            )
        rate = sampling.num_frames / window_seconds
        return Window(sampling.num_frames, rate, 0.5 / rate)
    rate, longest = sampling.frames_per_second, longest_clip_seconds(spec)
    num_frames = max(round((window_seconds or longest) * rate), 1)
    if num_frames > sampling.max_frames:
        raise _unfit(window_seconds or longest, f"at most {longest:g} s, the model's longest clip")
    return Window(num_frames, rate, 0.0)


def _unfit(window_seconds: float, expected: str) -> RecipeError:
    return RecipeError(
        f"a window of {window_seconds:g} seconds",
        expected,
        "give the usual length of the clips that the model was trained on.",
    )
