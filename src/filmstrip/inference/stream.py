"""A classifier that watches: one pass of the network for each sampled frame, for ever.

Frames are sampled by time at the model's own rate, so the answer after the last frame of a clip is
the answer to its file. Nothing that is kept, and nothing that is done for a frame, grows with time.

A clip has an end and a stream has none. What a model learnt on clips of some seconds says little
after an hour, and a mean over an hour no longer moves. So two states are carried, begun half a
memory apart, and the older one answers until it is one memory old: an answer rests on the last half
to whole memory. The default memory is the longest clip that the model takes in at its full rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from av.video.frame import VideoFrame
from torch import Tensor

from filmstrip.errors import NoVideoError, RecipeError
from filmstrip.features.engine import Engine
from filmstrip.model.classifier import SequenceClassifier
from filmstrip.model.specs import ClassifierSpec
from filmstrip.model.streaming import HeadState, check_can_step, step
from filmstrip.video.picture import Picture, RgbConverter
from filmstrip.video.sampling import RateClock, RateSampling

if TYPE_CHECKING:
    from filmstrip.inference.predict import Prediction

Frame = Picture | VideoFrame
"""A picture (H, W, 3) uint8 RGB, or a frame as PyAV decodes it, which is converted only if seen."""


class Stream:
    """One endless video; ``Predictor.stream`` makes it.

    Args:
        spec: of the classifier.
        engine: runs the backbone.
        sequence: scaler and head, in evaluation.
        to_prediction: turns logits (K,) into an answer.
        memory_seconds: on how much of the past an answer may rest, infinite for all of it; the
            model's longest clip at full rate if not given.

    Attributes:
        latest: the current answer, None before the first frame.
        num_frames: frames that were pushed.
        num_seen: those that the network saw; the others came between two sampled instants.
        num_late: those that were dropped because a later one had come before.
        num_restarts: how often the state was begun anew because no frame had come for longer than
            the longest clip.

    Raises:
        RecipeError: the model cannot be streamed; the error says what to do.
    """

    def __init__(
        self,
        spec: ClassifierSpec,
        engine: Engine,
        sequence: SequenceClassifier,
        to_prediction: Callable[[Tensor], Prediction],
        memory_seconds: float | None = None,
    ) -> None:
        sampling = check_can_stream(spec)
        self._frames_per_second = sampling.frames_per_second
        self._longest_seconds = sampling.max_frames / sampling.frames_per_second
        self._half_memory_steps = _half_memory_steps(sampling, memory_seconds)
        self._framing = spec.framing
        self._engine = engine
        self._sequence = sequence
        self._to_prediction = to_prediction
        self._to_rgb = RgbConverter()
        self.num_frames = self.num_seen = self.num_late = self.num_restarts = 0
        self.latest: Prediction | None = None
        self.reset()

    def reset(self) -> None:
        """Forget what was seen: the next frame is the first of a new video. Counters go on."""
        self._clock = RateClock(self._frames_per_second)
        self._first_seconds = self._last_seconds = math.nan
        self._interval_seconds = 0.0
        self._on_screen: _OnScreen | None = None
        self._states: list[HeadState | None] = []
        self._num_steps = 0

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
        end_seconds = min(end_seconds, self._last_seconds + self._longest_seconds)
        num_instants = self._clock.until_end(end_seconds - self._first_seconds)
        sampled = [_Sampled(self._on_screen, num_instants)] if num_instants else []
        answer = _see([(self, sampled)])[0]
        self.reset()
        return answer

    def _admit(self, frame: Frame, time_seconds: float) -> list[_Sampled]:
        """Take in a frame: which frames are sampled now, and how many times each."""
        self.num_frames += 1
        elapsed = time_seconds - self._last_seconds  # NaN at first: no comparison holds
        if elapsed < 0:
            self.num_late += 1
            return []
        if elapsed > self._longest_seconds:
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

    def _answer(self, sampled: list[_Sampled]) -> Prediction:
        """Step through what was sampled."""
        for each in sampled:
            scaled = self._sequence.scaler(each.frame.features)
            for _ in range(each.num_instants):
                logits = self._step(scaled)
            self.latest = self._to_prediction(logits)
        if self._on_screen is not None:
            self._on_screen.keep()
        return self.latest  # type: ignore[return-value]  # the first frame is always sampled

    def _step(self, scaled: Tensor) -> Tensor:
        """Logits (K,) after one more instant, of which ``scaled`` (1, D) are the features."""
        half = self._half_memory_steps
        if not self._states or (half and self._num_steps % half == 0):
            self._states = [*self._states[-1:], None]
        self._num_steps += 1
        steps = [step(self._sequence.head, scaled, state) for state in self._states]
        self._states = [state for _, state in steps]
        return steps[0][0][0]


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


def check_can_stream(spec: ClassifierSpec) -> RateSampling:
    """How often a model looks at a stream.

    Raises:
        RecipeError: it spreads its frames over a whole clip, or reads a clip from its end, too.
    """
    if not isinstance(spec.sampling, RateSampling):
        raise RecipeError(
            f"sampling.kind=uniform: this model spreads {spec.sampling.num_frames} frames over a "
            "whole clip, and a stream has no whole",
            "a model that looks at a fixed number of frames a second",
            "train with --set sampling.kind=rate (the recipe lite-gru does) to stream it; or use "
            "'filmstrip timeline', which answers recordings in overlapping windows.",
        )
    check_can_step(spec.head)
    return spec.sampling


@dataclass(slots=True, eq=False)
class _OnScreen:
    """What is shown until the next frame comes: the frame, and its features once it was seen."""

    frame: Frame | None
    features: Tensor | None = None  # (1, D)

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
        features = work[0][0]._engine.embed(np.stack(pictures))
        for shown, vector in zip(unseen, features, strict=True):
            shown.frame, shown.features = None, vector[None]
    return [stream._answer(sampled) for stream, sampled in work]


def _half_memory_steps(sampling: RateSampling, memory_seconds: float | None) -> int:
    """Steps between the beginnings of two states; 0 for one state that is never begun anew."""
    if memory_seconds is None:
        return math.ceil(sampling.max_frames / 2)
    if not memory_seconds > 0:
        raise RecipeError(
            f"a memory of {memory_seconds} seconds",
            "a number of seconds above 0",
            "give the length of a clip that shows what is to be recognised.",
        )
    if math.isinf(memory_seconds):
        return 0
    return math.ceil(memory_seconds * sampling.frames_per_second / 2)


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
