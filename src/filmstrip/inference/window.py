"""How many sampled frames the head of a model reads at once, and at which rate."""

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


def find_window(spec: ClassifierSpec, window_seconds: float | None) -> Window:
    """The window of so many seconds; the model's longest clip at full rate if not given.

    Raises:
        RecipeError: the model has no such length by itself, or cannot take one that long.
    """
    sampling = spec.sampling
    if window_seconds is not None and not 0 < window_seconds < math.inf:
        raise _unfit(window_seconds, "a number of seconds above 0")
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
    rate = sampling.frames_per_second
    if window_seconds is None:
        return Window(sampling.max_frames, rate, 0.0)
    num_frames = max(round(window_seconds * rate), 1)
    if num_frames > sampling.max_frames:
        longest = sampling.max_frames / rate
        raise _unfit(window_seconds, f"at most {longest:g} s, the model's longest clip")
    return Window(num_frames, rate, 0.0)


def _unfit(window_seconds: float, expected: str) -> RecipeError:
    return RecipeError(
        f"a window of {window_seconds:g} seconds",
        expected,
        "give the usual length of the clips that the model was trained on.",
    )
