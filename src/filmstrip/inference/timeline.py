"""A long recording in one pass: what it shows from second to second.

The answer to a clip says little about two hours, and one state that is carried through two hours
was never trained. So each sampled frame passes through the network once, and the head, which costs
next to nothing, reads overlapping windows of these features, each as long as a clip. A step of the
timeline, a quarter of a window, gets the mean of the probabilities of the windows over it. What is
kept is one window, however long the recording.

Any model can do it. One that spreads its frames over a clip has no length of its own, so the window
must be given; a window is then sampled as a clip of that length would be.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice, repeat

import numpy as np
import torch
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from torch import Tensor

from filmstrip.errors import RecipeError
from filmstrip.features.engine import Engine
from filmstrip.model.classifier import SequenceClassifier, probabilities
from filmstrip.model.specs import ClassifierSpec
from filmstrip.video.live import LiveVideo
from filmstrip.video.picture import RgbConverter
from filmstrip.video.sampling import RateClock, RateSampling

STEPS_PER_WINDOW = 4
"""How many steps of the timeline a window covers, and so how many windows cover a step."""

_BATCH_SIZE = 16


@dataclass(frozen=True, slots=True, eq=False)
class TimelineStep:
    """A stretch of the recording.

    Attributes:
        start_seconds: after the first frame.
        end_seconds: likewise; half-open.
        probs: probability of each class (K,), in the order of the model's class names.
    """

    start_seconds: float
    end_seconds: float
    probs: NDArray[np.float64]


class Timeline:
    """Answers recordings step by step; ``Predictor.timeline`` makes it.

    Args:
        spec: of the classifier.
        engine: runs the backbone.
        sequence: scaler and head, in evaluation.
        window_seconds: length of a window; the model's longest clip at full rate if not given.

    Attributes:
        window_seconds: length of a window.
        step_seconds: length of a step.

    Raises:
        RecipeError: the model has no such length by itself, or cannot take one that long.
    """

    def __init__(
        self,
        spec: ClassifierSpec,
        engine: Engine,
        sequence: SequenceClassifier,
        window_seconds: float | None = None,
    ) -> None:
        self._spec = spec
        self._engine = engine
        self._sequence = sequence
        window = find_window(spec, window_seconds)
        self._frames_per_second = window.frames_per_second
        self._first_seconds = window.first_seconds
        steps_per_window = min(STEPS_PER_WINDOW, window.num_frames)
        self._hop = window.num_frames // steps_per_window  # in sampled frames
        self._num_window_frames = self._hop * steps_per_window
        self.window_seconds = self._num_window_frames / self._frames_per_second
        self.step_seconds = self._hop / self._frames_per_second

    def steps(self, video: LiveVideo) -> Iterator[TimelineStep]:
        """The steps of a recording, each as soon as all windows over it are read.

        Raises:
            VideoError: the recording cannot be read.
        """
        window: deque[Tensor] = deque(maxlen=self._num_window_frames)
        open_steps: deque[list[NDArray[np.float64]]] = deque()  # what the windows said of each
        num_frames = num_closed = 0
        for features in self._features(video):
            if num_frames % self._hop == 0:
                open_steps.append([])
            window.append(features)
            num_frames += 1
            if len(window) == window.maxlen and num_frames % self._hop == 0:
                self._tell(open_steps, window)
                yield self._step(num_closed, open_steps.popleft())
                num_closed += 1
        if open_steps and (num_frames % self._hop or not open_steps[0]):
            self._tell(open_steps, window)
        while open_steps:
            step = self._step(num_closed, open_steps.popleft())
            yield step if open_steps else replace(step, end_seconds=video.end_seconds)
            num_closed += 1

    @torch.inference_mode()
    def _tell(
        self, open_steps: Iterable[list[NDArray[np.float64]]], window: Iterable[Tensor]
    ) -> None:
        """Answer the window, for each step that it covers."""
        logits = self._sequence.answer(torch.stack(list(window), dim=1))
        probs = probabilities(logits, self._spec.temperature).numpy()
        for told in open_steps:
            told.append(probs)

    def _step(self, number: int, told: list[NDArray[np.float64]]) -> TimelineStep:
        start, end = number * self.step_seconds, (number + 1) * self.step_seconds
        return TimelineStep(start, end, np.mean(told, axis=0))

    def _features(self, video: LiveVideo) -> Iterator[Tensor]:
        """The features (V, D), by view, of what is on screen at each sampled instant."""
        to_rgb = RgbConverter()
        seen = (
            (self._spec.framing(to_rgb(frame)), num_instants)
            for frame, num_instants in self._sampled(video)
            if num_instants
        )
        while batch := list(islice(seen, _BATCH_SIZE)):
            pictures = np.stack([picture for picture, _ in batch])
            views = self._engine.embed_views(pictures, self._spec.views)
            for features, (_, num_instants) in zip(views.unbind(dim=1), batch, strict=True):
                yield from repeat(features, num_instants)

    def _sampled(self, video: LiveVideo) -> Iterator[tuple[VideoFrame, int]]:
        """Each frame, with the number of instants at which it is on screen."""
        clock = RateClock(self._frames_per_second)
        on_screen: VideoFrame | None = None
        for seconds, frame in video.frames():
            if on_screen is not None:
                yield on_screen, clock.before(seconds - self._first_seconds)
            on_screen = frame
        if on_screen is not None:
            yield on_screen, clock.until_end(video.end_seconds - self._first_seconds)


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
