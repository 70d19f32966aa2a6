"""How a stream's features become answers: by states that are carried on, or by windows.

A clip has an end and a stream has none. What a model learnt on clips of some seconds says little
after an hour, and a mean over an hour no longer moves. So two states are carried, begun half a
memory apart, and the older one answers until it is one memory old: an answer rests on the last half
to whole memory. The default memory is the median length of the training clips.

A model that needs a clip's end, or its whole, cannot be carried on. It can be asked about windows,
a new one for each quarter of a window, whose features are kept.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from filmstrip.errors import RecipeError
from filmstrip.inference.timeline import STEPS_PER_WINDOW
from filmstrip.inference.window import (
    default_window_seconds,
    find_window,
    longest_clip_seconds,
)
from filmstrip.model.classifier import SequenceClassifier
from filmstrip.model.specs import ClassifierSpec
from filmstrip.model.streaming import State, begin, check_can_step, step
from filmstrip.video.sampling import RateSampling


class Reading(Protocol):
    """What reads one video from its first sampled frame on."""

    def read(self, features: Tensor) -> Tensor:
        """Logits (K,) after one more frame, of whose views ``features`` (V, D) are given."""

    def mean_features(self) -> Tensor:
        """Return the mean (D,), in the first view, of the frames that the latest logits rest on."""


@dataclass(frozen=True, slots=True)
class Method:
    """How a model reads a stream.

    Attributes:
        frames_per_second: how often it looks.
        longest_seconds: its longest clip.
        begin: gives what reads a new video.
    """

    frames_per_second: float
    longest_seconds: float
    begin: Callable[[], Reading]


def read_together(readings: Sequence[Reading], features: Sequence[Tensor]) -> list[Tensor]:
    """As ``Reading.read``, for several videos of one model; states that are carried share a step.

    Args:
        readings: each at most once.
        features: (V, D) for each.

    Returns:
        Logits (K,) of each.
    """
    videos = list(zip(readings, features, strict=True))
    carried = [(one, shown) for one, shown in videos if isinstance(one, _Carried)]
    stepped = iter(_step_together(carried))
    return [
        next(stepped) if isinstance(reading, _Carried) else reading.read(shown)
        for reading, shown in videos
    ]


def carried(
    spec: ClassifierSpec, sequence: SequenceClassifier, memory_seconds: float | None
) -> Method:
    """One step of the head for each frame.

    Raises:
        RecipeError: the model cannot be streamed, or the memory is no length.
    """
    sampling = check_can_stream(spec)
    rate = sampling.frames_per_second
    longest_seconds = longest_clip_seconds(spec)
    if memory_seconds is None:
        memory_seconds = default_window_seconds(spec) or longest_seconds
    if not memory_seconds > 0:
        raise RecipeError(
            f"a memory of {memory_seconds:g} seconds",
            "a number of seconds above 0",
            "give the usual length of the clips that the model was trained on.",
        )
    half = 0 if math.isinf(memory_seconds) else math.ceil(memory_seconds * rate / 2 - 1e-9)
    return Method(rate, longest_seconds, lambda: _Carried(sequence, half))


def chunked(
    spec: ClassifierSpec, sequence: SequenceClassifier, memory_seconds: float | None
) -> Method:
    """The head over the window of the last seconds, anew for each quarter of a window.

    Raises:
        RecipeError: the model has no such length by itself, or cannot take one that long.
    """
    window = find_window(spec, memory_seconds)
    rate, num_frames = window.frames_per_second, window.num_frames
    longest_seconds = max(num_frames / rate, _finite(longest_clip_seconds(spec)))
    return Method(rate, longest_seconds, lambda: _Windowed(sequence, num_frames))


def _finite(seconds: float) -> float:
    return 0.0 if math.isinf(seconds) else seconds


def check_can_stream(spec: ClassifierSpec) -> RateSampling:
    """How often a model looks at a stream.

    Raises:
        RecipeError: it spreads its frames over a whole clip, cuts that up, or reads it from its
            end, too.
    """
    if not isinstance(spec.sampling, RateSampling):
        raise RecipeError(
            f"sampling.kind=uniform: this model spreads {spec.sampling.num_frames} frames over a "
            "whole clip, and a stream has no whole",
            "a model that looks at a fixed number of frames a second",
            "train with --set sampling.kind=rate (the recipe lite-gru does); or answer in "
            "overlapping windows with 'filmstrip stream --chunked' or 'filmstrip timeline'.",
        )
    if spec.num_temporal_crops > 1:
        raise RecipeError(
            f"num_temporal_crops={spec.num_temporal_crops}: this model cuts a whole clip into "
            "several, and a stream has no whole",
            "a model that reads each frame once, in order",
            "train with --set num_temporal_crops=1; or answer in overlapping windows with "
            "'filmstrip stream --chunked' or 'filmstrip timeline'.",
        )
    check_can_step(spec.head)
    return spec.sampling


class _Carried:
    """Its states lie in the rows of one: the older one's, a row for each view, then the newer's."""

    def __init__(self, sequence: SequenceClassifier, half_memory_steps: int) -> None:
        """``half_memory_steps`` lie between the beginnings of two states; 0 keeps one for ever."""
        self.sequence = sequence
        self.state: State | None = None
        self._half_memory_steps = half_memory_steps
        self._num_steps = 0
        self._sums: list[Tensor] = []  # (D,) float64 for each state, the older one's first
        self._counts: list[int] = []

    def mean_features(self) -> Tensor:
        return self._sums[0] / self._counts[0]

    def add_features(self, features: Tensor) -> None:
        """Count the features (D,) of one more frame in for each state."""
        features = features.double()
        self._sums = [total + features for total in self._sums]
        self._counts = [number + 1 for number in self._counts]

    def read(self, features: Tensor) -> Tensor:
        return _step_together([(self, features)])[0]

    def next_state(self, scaled: Tensor) -> State:
        """What is to see the next frame, of whose views ``scaled`` (V, D) are given."""
        half, num_views = self._half_memory_steps, len(scaled)
        state = self.state
        if state is None or (half and self._num_steps % half == 0):
            older = [] if state is None else [state.rows(state.num_rows - num_views, num_views)]
            state = State.join([*older, begin(self.sequence.head, scaled)])
            self._sums = [*self._sums[-1:], torch.zeros((), dtype=torch.float64)]
            self._counts = [*self._counts[-1:], 0]
        self._num_steps += 1
        return state


def _step_together(videos: Sequence[tuple[_Carried, Tensor]]) -> list[Tensor]:
    """One step of the head for all states of all videos, whose next features (V, D) are given."""
    if not videos:
        return []
    sequence = videos[0][0].sequence
    num_views = len(videos[0][1])
    every = sequence.scaler(torch.cat([features for _, features in videos])).split(num_views)
    before = [video.next_state(scaled) for (video, _), scaled in zip(videos, every, strict=True)]
    for video, features in videos:
        video.add_features(features[0])
    repeats = [state.num_rows // num_views for state in before]
    shown = torch.cat([scaled.repeat(n, 1) for scaled, n in zip(every, repeats, strict=True)])
    logits, after = step(sequence.head, shown, State.join(before))
    answers = []
    first = 0
    for (video, _), state in zip(videos, before, strict=True):
        video.state = after.rows(first, state.num_rows) if videos[1:] else after
        answers.append(logits[first : first + num_views].mean(dim=0))
        first += state.num_rows
    return answers


class _Windowed:
    def __init__(self, sequence: SequenceClassifier, num_frames: int) -> None:
        self._sequence = sequence
        self._hop = max(num_frames // STEPS_PER_WINDOW, 1)
        self._window: deque[Tensor] = deque(maxlen=num_frames)
        self._num_frames = 0
        self._logits = self._mean = torch.empty(0)

    def mean_features(self) -> Tensor:
        return self._mean

    def read(self, features: Tensor) -> Tensor:
        self._window.append(features)
        self._num_frames += 1
        if self._num_frames == 1 or self._num_frames % self._hop == 0:
            views = torch.stack(list(self._window), dim=1)
            self._logits, self._mean = self._sequence.answer(views), views[0].mean(dim=0)
        return self._logits
