"""A long recording in one pass: what it shows from second to second.

The answer to a clip says little about two hours, and one state that is carried through two hours
was never trained. So each sampled frame passes through the network once, and the head, which costs
next to nothing, reads overlapping windows of these features, each as long as a clip. A step of the
timeline, a quarter of a window, gets the mean of the probabilities of the windows over it. What is
kept is one window, however long the recording.

Where the picture stands still nothing happens, and no class is probable; windows end there, so that
what happens between two pauses is read alone, as a clip would be.

Any model can do it. One that spreads its frames over a clip has no length of its own, so the window
must be given; a window is then sampled as a clip of that length would be.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby, islice

import numpy as np
import torch
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from torch import Tensor

from filmstrip.features.engine import Engine
from filmstrip.inference.stillness import STILL_SECONDS, PictureRuns, Shown, with_stillness
from filmstrip.inference.window import find_window
from filmstrip.model.classifier import SequenceClassifier, probabilities
from filmstrip.model.familiarity import Familiarity
from filmstrip.model.specs import ClassifierSpec
from filmstrip.video.live import LiveVideo
from filmstrip.video.picture import RgbConverter
from filmstrip.video.sampling import RateClock

STEPS_PER_WINDOW = 4
"""How many steps of the timeline a window covers, and so how many windows cover a step."""

_BATCH_SIZE = 16


@dataclass(frozen=True, slots=True, eq=False)
class TimelineStep:
    """A stretch of the recording.

    Attributes:
        start_seconds: after the first frame.
        end_seconds: likewise; half-open.
        probs: probability of each class (K,), in the order of the model's class names; all 0 where
            the picture stands still.
        unfamiliar: whether most windows over it are unlike everything in the training set; None
            where that is not checked.
    """

    start_seconds: float
    end_seconds: float
    probs: NDArray[np.float64]
    unfamiliar: bool | None = None


_Told = list[tuple[NDArray[np.float64], bool | None]]
"""Probabilities, and whether it is unfamiliar, of each window over a step."""

_Steps = Generator[TimelineStep, None, int]
"""Steps, and in the end of how many sampled frames."""


class Timeline:
    """Answers recordings step by step; ``Predictor.timeline`` makes it.

    Args:
        spec: of the classifier.
        engine: runs the backbone.
        sequence: scaler and head, in evaluation.
        window_seconds: length of a window; the median length of the training clips if not given.
        answers_stills: whether a picture that stands still is answered, too.
        familiarity: the check for windows unlike the training set, if the model has one.

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
        answers_stills: bool = False,
        familiarity: Familiarity | None = None,
    ) -> None:
        self._spec = spec
        self._familiarity = familiarity
        self._answers_stills = answers_stills
        self._engine = engine
        self._sequence = sequence
        window = find_window(spec, window_seconds)
        self._frames_per_second = window.frames_per_second
        self._first_seconds = window.first_seconds
        self._hop = max(window.num_frames // STEPS_PER_WINDOW, 1)  # in sampled frames
        # Whole steps, and as near to the length that was asked for as these allow.
        self._num_window_frames = window.num_frames - window.num_frames % self._hop
        self.window_seconds = self._num_window_frames / self._frames_per_second
        self.step_seconds = self._hop / self._frames_per_second

    def steps(self, video: LiveVideo) -> Iterator[TimelineStep]:
        """The steps of a recording, each as soon as all windows over it are read.

        Raises:
            VideoError: the recording cannot be read.
        """
        num_frames = video.likely_seconds() * self._frames_per_second
        self._engine.expect(num_frames * len(self._spec.views))
        last: TimelineStep | None = None
        for step in self._all_steps(video):
            if last is not None:
                yield last
            last = step
        if last is not None:
            yield replace(last, end_seconds=video.end_seconds)

    def _all_steps(self, video: LiveVideo) -> Iterator[TimelineStep]:
        """The steps of each stretch between stills, and one for each still."""
        num_still = math.ceil(STILL_SECONDS * self._frames_per_second)
        flagged = with_stillness(self._shown(video), max(num_still, 2))
        if self._answers_stills:
            flagged = ((False, shown) for _, shown in flagged)
        num_frames = 0
        for is_still, stretch in groupby(flagged, key=lambda one: one[0]):
            frames = (shown for _, shown in stretch)
            answer = self._still if is_still else self._moving
            num_frames += yield from answer(frames, num_frames)

    def _still(self, frames: Iterable[Shown], first: int) -> _Steps:
        """One step without any class, for as many sampled frames as there are."""
        num_frames = sum(shown.num_instants for shown in frames)
        start, end = (place / self._frames_per_second for place in (first, first + num_frames))
        yield TimelineStep(start, end, np.zeros(len(self._spec.class_names)))
        return num_frames

    def _moving(self, frames: Iterable[Shown], first: int) -> _Steps:
        """The steps of sampled frames of which the first has the number ``first``."""
        window: deque[Tensor] = deque(maxlen=self._num_window_frames)
        open_steps: deque[_Told] = deque()
        num_frames = num_closed = num_skipped = 0
        for shown in frames:
            num_left = shown.num_instants
            while num_left:
                if num_frames % self._hop == 0:
                    open_steps.append([])
                window.append(shown.features)
                num_frames += 1
                num_left -= 1
                if len(window) < self._num_window_frames or num_frames % self._hop:
                    continue
                self._tell(open_steps, window)
                start = first + num_skipped + num_closed * self._hop
                num_alike = 0
                if shown.num_instants - num_left >= 2 * self._num_window_frames:
                    # This step and those to come lie in windows of this frame alone: one long step
                    # stands for them, so that the work does not grow with a gap.
                    num_alike = num_left // self._hop * self._hop
                    num_left -= num_alike
                yield self._step(start, open_steps.popleft(), self._hop + num_alike)
                num_skipped += num_alike
                num_closed += 1
        if open_steps and (num_frames % self._hop or not open_steps[0]):
            self._tell(open_steps, window)
        end_seconds = (first + num_skipped + num_frames) / self._frames_per_second
        while open_steps:
            start = first + num_skipped + num_closed * self._hop
            step = self._step(start, open_steps.popleft(), self._hop)
            yield step if open_steps else replace(step, end_seconds=end_seconds)
            num_closed += 1
        return num_skipped + num_frames

    @torch.inference_mode()
    def _tell(self, open_steps: Iterable[_Told], window: Iterable[Tensor]) -> None:
        """Answer the window, for each step that it covers."""
        views = torch.stack(list(window), dim=1)
        probs = probabilities(self._sequence.answer(views), self._spec.temperature).numpy()
        unfamiliar = None
        if self._familiarity is not None:
            unfamiliar = self._familiarity.is_unfamiliar(views[0].mean(dim=0))
        for told in open_steps:
            told.append((probs, unfamiliar))

    def _step(self, first: int, told: _Told, num_frames: int) -> TimelineStep:
        start, end = (place / self._frames_per_second for place in (first, first + num_frames))
        flags = [unfamiliar for _, unfamiliar in told if unfamiliar is not None]
        return TimelineStep(
            start,
            end,
            np.mean([probs for probs, _ in told], axis=0),
            2 * sum(flags) > len(flags) if flags else None,
        )

    def _shown(self, video: LiveVideo) -> Iterator[Shown]:
        """The frames that are on screen at sampled instants."""
        to_rgb = RgbConverter()
        runs = PictureRuns()
        seen = (
            (self._spec.framing(to_rgb(frame)), num_instants)
            for frame, num_instants in self._sampled(video)
            if num_instants
        )
        while batch := list(islice(seen, _BATCH_SIZE)):
            pictures = np.stack([picture for picture, _ in batch])
            views = self._engine.embed_views(pictures, self._spec.views)
            for features, (picture, num_instants) in zip(views.unbind(dim=1), batch, strict=True):
                yield Shown(runs.number(picture), features, num_instants)

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
