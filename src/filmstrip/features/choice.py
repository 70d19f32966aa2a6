"""Which runtime a backbone gets: the one that the user names, or what a trial finds fastest."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from filmstrip.errors import EngineError, FilmstripError, lacks_memory
from filmstrip.features.fingerprint import fingerprint
from filmstrip.features.kept_graph import start_kept
from filmstrip.features.quantised import start_quantised
from filmstrip.features.runtimes import EAGER, INT8, Run, Runtime, find_runtime, runtimes, start
from filmstrip.features.trial import Trial, TrialBook, fastest, first_line, run_trials
from filmstrip.model.backbone import Backbone

# With less to do, the reference that trials need would take longer than all the rest.
_FEWEST_BATCHES = 16


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """How an engine picks its runtime.

    Attributes:
        name: a runtime, such as ``compiled-bf16``, or ``auto`` for the one that measures fastest.
        trials: folder in which what was measured is remembered, and calibrated copies are kept.
        note: hears in a sentence what was picked, and why.
        warn: receives a sentence if the folder cannot be written.
        is_for_answers: pick among what computes in float32 and takes any number of frames a pass,
            so that answers agree wherever they are asked for, and a lone frame is not padded.
    """

    name: str
    trials: Path
    note: Callable[[str], None] = lambda _sentence: None
    warn: Callable[[str], None] = warnings.warn
    is_for_answers: bool = False


EAGERLY = EngineChoice(EAGER.name, trials=Path())
"""Eager float32, which needs no trial and keeps nothing."""


class Starter:
    """Picks a runtime for a backbone and starts it.

    Args:
        backbone: in evaluation, on ``device``.
        device: where it runs.
        choice: how the runtime is picked.

    Attributes:
        runtime: the one that was picked; eager float32 before.
        trials: what was measured, now or earlier, by the name of the runtime.
        is_settled: whether there is nothing left to pick.
        sample: gives frames (N, H, W, 3) uint8 from across the work, to calibrate int8 on.

    Raises:
        EngineError: the machine has no runtime of the name in ``choice``.
    """

    def __init__(self, backbone: Backbone, device: torch.device, choice: EngineChoice) -> None:
        self._backbone = backbone
        self._device = device
        self._choice = choice
        self.is_named = self.is_settled = choice.name != "auto"
        self.runtime = find_runtime(choice.name, device) if self.is_named else EAGER
        self.trials: dict[str, Trial] = {}
        self.sample: Callable[[], NDArray[np.uint8]] = _no_frames
        self._has_said_why_it_takes_long = False
        if choice.is_for_answers and self.runtime == INT8:
            raise EngineError(
                f"--engine {self.runtime.name}: is not for answers to new videos",
                "auto, or a runtime of floats, such as eager-fp32 or onnxruntime-fp32",
                "'filmstrip export RUN --int8' writes a model in 8-bit integers and checks it.",
            )

    def accepts(self, precision: str) -> bool:
        """Whether features that were computed in ``precision`` will do.

        Floats all agree with float32, so any will, unless the user named a runtime.
        """
        if self.is_named:
            return precision == self.runtime.precision
        return precision != INT8.precision

    def settle(self, batch: Tensor, num_frames: float) -> Run | None:
        """Try what could pay, and pick what would finish first.

        Args:
            batch: (N, H, W, 3) uint8, as large as those to come.
            num_frames: how many frames there are to run, roughly.

        Returns:
            The runtime, started, if it was tried just now.
        """
        choice = self._choice
        is_little = num_frames < _FEWEST_BATCHES * len(batch)
        candidates, shape = runtimes(self._device), tuple(batch.shape)
        if choice.is_for_answers:
            candidates = [runtime for runtime in candidates if runtime.is_for_answers]
            shape = shape[1:]
        elif is_little:
            return None
        book = TrialBook(choice.trials, repr((fingerprint(self._backbone), shape)), self._device)
        names = {runtime.name for runtime in candidates}
        known = {name: trial for name, trial in book.read().items() if name in names}
        if EAGER.name not in known:  # damaged: every other trial is compared with this one
            known = {}
        if is_little and not known:
            return None
        self.trials, run = run_trials(
            candidates, known, lambda runtime: self._start_trial(runtime, batch), batch, num_frames
        )
        if choice.is_for_answers:  # the next start reads the kept graph, in a moment
            self.trials = {
                name: replace(trial, start_up_seconds=0.0) for name, trial in self.trials.items()
            }
        if self.trials != known:
            book.write(self.trials, choice.warn)
        best = fastest(self.trials, max(num_frames, 1))
        if best is not None:
            self.runtime = find_runtime(best.runtime, self._device)
            choice.note(_sentence(best, self.trials[EAGER.name]))
        return run

    def start(self, batch: Tensor) -> Run:
        """Make the picked runtime ready for batches of this shape (N, H, W, 3).

        Raises:
            EngineError: it cannot run this network.
            torch.OutOfMemoryError: the batch is too large.
        """
        try:
            return self._start(self.runtime, batch)
        except (FilmstripError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # compilers and runtimes have errors of every kind
            if lacks_memory(error):
                raise
            raise EngineError(
                f"--engine {self.runtime.name}: cannot run this backbone "
                f"({type(error).__name__}: {first_line(error)})",
                "a network that this runtime takes",
                "use --engine auto, which leaves out what does not work.",
            ) from error

    def note(self, sentence: str) -> None:
        """Tell the user."""
        self._choice.note(sentence)

    def _start_trial(self, runtime: Runtime, batch: Tensor) -> Run:
        if runtime.kind != EAGER.kind and not self._has_said_why_it_takes_long:
            self._has_said_why_it_takes_long = True
            self._choice.note(
                "Trying which engine is the fastest here; what is found is kept for the next time."
            )
        return self._start(runtime, batch)

    def _start(self, runtime: Runtime, batch: Tensor) -> Run:
        backbone, choice = self._backbone, self._choice
        if runtime == INT8:
            network = fingerprint(backbone)
            return start_quantised(
                backbone, network, batch, choice.trials, self.sample, choice.note
            )
        if runtime.kind == "onnxruntime":
            return start_kept(backbone, fingerprint(backbone), batch, choice.trials, choice.warn)
        return start(runtime, backbone, self._device, batch)


def _no_frames() -> NDArray[np.uint8]:
    return np.empty((0, 0, 0, 3), np.uint8)


def _sentence(best: Trial, eager: Trial) -> str:
    return (
        f"Engine: {best.runtime}, {best.frames_per_second:.0f} frames/s "
        f"({eager.runtime}: {eager.frames_per_second:.0f}); least cosine of its features to "
        f"float32's: {best.cosine:.5f}."
    )
