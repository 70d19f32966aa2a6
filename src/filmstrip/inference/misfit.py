"""Videos that differ from the clips that a model learnt from in length, frame rate or shape."""

from __future__ import annotations

from filmstrip.model.specs import ClassifierSpec, TrainingClips
from filmstrip.video.sampling import RateSampling

_MUCH = 2.0
# A rate that varies a little, such as 29.97 for 30, is no misfit.
_SHARE_OF_RATE = 0.75


def misfits(
    spec: ClassifierSpec,
    *,
    duration_seconds: float | None = None,
    frames_per_second: float | None = None,
    width: int | None = None,
    height: int | None = None,
) -> tuple[str, ...]:
    """Return a sentence for each way in which a video does not fit a model.

    Models of older versions do not store what their training clips were like: nothing is said.

    Args:
        spec: of the model.
        duration_seconds: of the clip that is asked about; None for a recording read in windows.
        frames_per_second: average frame rate of the video.
        width: in pixels.
        height: in pixels.
    """
    clips = spec.training_clips
    if clips is None:
        return ()
    found: list[str] = []
    if duration_seconds is not None and duration_seconds > 0:
        found += _length(clips, duration_seconds)
    if frames_per_second is not None and frames_per_second > 0:
        found += _rate(spec, clips, frames_per_second)
    if width and height and spec.framing.fit != "pad":
        found += _shape(clips, width / height)
    return tuple(found)


def _length(clips: TrainingClips, seconds: float) -> list[str]:
    lengths = clips.duration_seconds
    told = (
        f"lasts {seconds:.3g} s; the training clips last {lengths.minimum:.3g} to "
        f"{lengths.maximum:.3g} s (median {lengths.median:.3g} s)"
    )
    if seconds > _MUCH * lengths.maximum:
        return [f"{told}. One label for all of it says little: use 'filmstrip timeline'"]
    if seconds * _MUCH < lengths.minimum:
        return [f"{told}. So short a clip may not show enough"]
    return []


def _rate(spec: ClassifierSpec, clips: TrainingClips, frames_per_second: float) -> list[str]:
    sampling = spec.sampling
    slowest = clips.frames_per_second.minimum
    wanted = slowest
    if isinstance(sampling, RateSampling):
        wanted = min(sampling.frames_per_second, slowest)
    if frames_per_second >= _SHARE_OF_RATE * wanted:
        return []
    looks = (
        f"the model looks at {sampling.frames_per_second:.3g} a second"
        if isinstance(sampling, RateSampling)
        else f"the training clips have {slowest:.3g} or more"
    )
    return [f"has {frames_per_second:.3g} frames/s; {looks}, so frames repeat and motion is coarse"]


def _shape(clips: TrainingClips, shape: float) -> list[str]:
    """Frames are stretched to a square or cut, so another shape looks otherwise to the model."""
    narrowest = clips.width.minimum / max(clips.height.maximum, 1)
    widest = clips.width.maximum / max(clips.height.minimum, 1)
    if narrowest / _MUCH <= shape <= widest * _MUCH:
        return []
    usual = clips.width.median / max(clips.height.median, 1)
    return [
        f"is {shape:.2g} times as wide as high, the training clips about {usual:.2g} times: its "
        "frames look distorted or cut to the model"
    ]
