"""A classifier that watches: one pass of the network for each sampled frame, for ever.

Frames are sampled by time at the model's own rate, so the answer after the last frame of a clip is
the answer to its file. Nothing that is kept, and nothing that is done for a frame, grows with time.
How features become answers is told in ``reading.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from av.video.frame import VideoFrame
from torch import Tensor

from filmstrip.errors import NoVideoError
from filmstrip.features.engine import Engine
from filmstrip.inference.prediction import Prediction
from filmstrip.inference.reading import Method, Reading, read_together
from filmstrip.model.specs import ClassifierSpec
from filmstrip.video.picture import Picture, RgbConverter
from filmstrip.video.sampling import RateClock

Frame = Picture | VideoFrame
"""A picture (H, W, 3) uint8 RGB, or a frame as PyAV decodes it, which is converted only if seen."""


class Stream:
    """One endless video; ``Predictor.stream`` makes it.

    Args:
        spec: of the classifier.
        engine: runs the backbone.
        to_prediction: turns logits (K,) and mean features (D,) into an answer.
        method: how the sequence is read.

    Attributes:
        latest: the current answer, None before the first frame.
        num_frames: frames that were pushed.
        num_seen: those that the network saw; the others came between two sampled instants.
        num_late: those that were dropped because a later one had come before.
        num_restarts: how often the state was begun anew because no frame had come for longer than
            the longest clip.
    """

    def __init__(
        self,
        spec: ClassifierSpec,
        engine: Engine,
        to_prediction: Callable[[Tensor, Tensor], Prediction],
        method: Method,
    ) -> None:
        self._method = method
        self._framing, self._views = spec.framing, spec.views
        self._engine = engine
        self._to_prediction = to_prediction
        self._to_rgb = RgbConverter()
        self.num_frames = self.num_seen = self.num_late = self.num_restarts = 0
        self.latest: Prediction | None = None
        self.reset()

    @property
    def frames_per_second(self) -> float:
        """How often the network looks."""
        return self._method.frames_per_second

    def reset(self) -> None:
        """Forget what was seen: the next frame is the first of a new video. Counters go on."""
        self._clock = RateClock(self._method.frames_per_second)
        self._first_seconds = self._last_seconds = math.nan
        self._interval_seconds = 0.0
        self._on_screen: _OnScreen | None = None
        self._reading = self._method.begin()

    def push(self, frame: Frame, time_seconds: float) -> Prediction:
        """Show one more frame.

        Args:
            frame: of any size.
            time_seconds: when it comes, on any clock that goes forward; only differences count.

        Returns:
            The current answer, also after a frame that is not sampled.

        Raises:
            NoVideoError: the frame has another shape or type, or the time is no number.
        """
        return push_together([(self, frame, time_seconds)])[0]

    def finish(self, end_seconds: float | None = None) -> Prediction:
        """The answer to the whole video, which has ended; the next frame is the first of another.

        Args:
            end_seconds: until when the last frame was shown, on the clock of ``push``; for as long
                as the one before it if not given.

        Raises:
            NoVideoError: no frame was pushed since the start.
        """
        if self._on_screen is None:
            raise NoVideoError(
                "a stream without a frame", "at least one frame", "push frames before finish()."
            )
        if end_seconds is None:
            end_seconds = self._last_seconds + self._interval_seconds
        end_seconds = min(end_seconds, self._last_seconds + self._method.longest_seconds)
        num_instants = self._clock.until_end(end_seconds - self._first_seconds)
        sampled = [_Sampled(self._on_screen, num_instants)] if num_instants else []
        (answer,) = _see([(self, sampled)])
        self.reset()
        return answer

    def _admit(self, frame: Frame, time_seconds: float) -> list[_Sampled]:
        """Take in a frame: which frames are sampled now, and how many times each."""
        self.num_frames += 1
        elapsed = time_seconds - self._last_seconds  # NaN at first: no comparison holds
        if elapsed < 0:
            self.num_late += 1
            return []
        if elapsed > self._method.longest_seconds:
            self.num_restarts += 1
            self.reset()
        before, self._on_screen = self._on_screen, _OnScreen(frame)
        if before is None:
            self._first_seconds = time_seconds
        else:
            self._interval_seconds = elapsed
        self._last_seconds = time_seconds
        now = time_seconds - self._first_seconds
        sampled = [] if before is None else [_Sampled(before, self._clock.before(now))]
        sampled.append(_Sampled(self._on_screen, self._clock.at(now)))
        return [each for each in sampled if each.num_instants]

    def _framed(self, frame: Frame) -> Picture:
        self.num_seen += 1
        return self._framing(self._to_rgb(frame) if isinstance(frame, VideoFrame) else frame)

    def _answer(self, logits: Tensor | None) -> Prediction:
        """Take in the logits (K,) after what was sampled; None if nothing was."""
        if logits is not None:
            self.latest = self._to_prediction(logits, self._reading.mean_features())
        if self._on_screen is not None:
            self._on_screen.keep()
        return self.latest  # type: ignore[return-value]  # the first frame is always sampled


def push_together(arrivals: Sequence[tuple[Stream, Frame, float]]) -> list[Prediction]:
    """As ``Stream.push``, for several streams of one predictor in one pass of the network.

    Args:
        arrivals: streams, each at most once, with a frame and its time in seconds.

    Returns:
        The current answer of each of these streams.

    Raises:
        NoVideoError: as ``Stream.push`` does.
    """
    for _, frame, seconds in arrivals:
        _check(frame, seconds)
    return _see([(stream, stream._admit(frame, seconds)) for stream, frame, seconds in arrivals])


@dataclass(slots=True, eq=False)
class _OnScreen:
    """What is shown until the next frame comes: the frame, and its features once it was seen."""

    frame: Frame | None
    features: Tensor = field(default_factory=lambda: torch.empty(0))  # (V, D)

    def keep(self) -> None:
        """Outlive the call: whoever pushed an array may write the next frame into it."""
        if isinstance(self.frame, np.ndarray):
            self.frame = self.frame.copy()


@dataclass(frozen=True, slots=True)
class _Sampled:
    """A frame, and at how many instants it is seen."""

    frame: _OnScreen
    num_instants: int


@torch.inference_mode()
def _see(work: list[tuple[Stream, list[_Sampled]]]) -> list[Prediction]:
    """Embed in one pass what was not yet embedded, then let each stream step."""
    unseen: list[_OnScreen] = []
    pictures: list[Picture] = []
    for stream, sampled in work:
        for each in sampled:
            if each.frame.frame is not None:
                unseen.append(each.frame)
                pictures.append(stream._framed(each.frame.frame))
    if pictures:
        first, _ = work[0]
        views = first._engine.embed_views(np.stack(pictures), first._views)
        for shown, features in zip(unseen, views.unbind(dim=1), strict=True):
            shown.frame, shown.features = None, features
    logits = _read([stream._reading for stream, _ in work], [sampled for _, sampled in work])
    return [stream._answer(after) for (stream, _), after in zip(work, logits, strict=True)]


def _read(
    readings: Sequence[Reading], sampled: Sequence[Sequence[_Sampled]]
) -> list[Tensor | None]:
    """Logits (K,) of each video after the last instant; those of the same number share a step."""
    logits: list[Tensor | None] = [None] * len(readings)
    instants = [[one.frame for one in each for _ in range(one.num_instants)] for each in sampled]
    for number in range(max(map(len, instants))):
        places = [place for place, shown in enumerate(instants) if number < len(shown)]
        answers = read_together(
            [readings[place] for place in places],
            [instants[place][number].features for place in places],
        )
        for place, answer in zip(places, answers, strict=True):
            logits[place] = answer
    return logits


def _check(frame: Frame, time_seconds: float) -> None:
    if not math.isfinite(time_seconds):
        raise NoVideoError(
            f"a frame at time_seconds={time_seconds}",
            "the time in seconds at which it comes",
            "give the time of a clock that goes forward, such as time.monotonic().",
        )
    if isinstance(frame, VideoFrame):
        return
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or not frame.size:
        raise NoVideoError(
            f"a frame of shape {frame.shape} and type {frame.dtype}",
            "a frame of shape (H, W, 3) and type uint8, RGB",
            "convert it; OpenCV's frames are BGR: give frame[..., ::-1].",
        )
