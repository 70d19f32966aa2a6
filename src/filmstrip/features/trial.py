"""The choice of a runtime by a short measurement, remembered for the next time.

A trial is worth its time only where much work is left, so each runtime is tried when it could pay,
and what was measured is kept for this network, machine and set of library versions.
"""

from __future__ import annotations

import hashlib
import platform
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor
from torch.nn.functional import cosine_similarity

from filmstrip.cache import keep
from filmstrip.errors import lacks_memory
from filmstrip.features.runtimes import EAGER, Kind, Run, Runtime

LEAST_COSINE = 0.99
"""A runtime is used only if no frame's features turn further from those of eager float32."""

_TRIAL_SHARE = 0.15
"""The largest share of the work left that the trial of one runtime may take."""

_CLEARLY_SLOWER = 0.8

# What starting takes on two cores, roughly; what it took is measured once it was tried.
_START_UP_SECONDS: dict[Kind, float] = {
    "eager": 0,
    "graphed": 3,
    "openvino": 10,
    "onnxruntime": 10,
    "compiled": 30,
}


@dataclass(frozen=True, slots=True)
class Trial:
    """What was measured of one runtime.

    Attributes:
        runtime: its name.
        start_up_seconds: from nothing to the first features, over what a pass takes.
        frames_per_second: of the network alone.
        cosine: the least similarity of a frame's features to those of eager float32, from -1 to 1.
        failure: why it cannot run this network; empty where it can.
        passing: whether the failure may be gone next time, such as a lack of memory. Such a trial
            is not kept.
    """

    runtime: str
    start_up_seconds: float
    frames_per_second: float
    cosine: float
    failure: str = ""
    passing: bool = False

    @property
    def is_sound(self) -> bool:
        """Whether its features may stand for those of eager float32."""
        return not self.failure and self.cosine >= LEAST_COSINE

    def seconds(self, num_frames: float) -> float:
        """What starting it and running so many frames would take."""
        return self.start_up_seconds + num_frames / self.frames_per_second


class _Book(BaseModel):
    """The content of the file of a ``TrialBook``."""

    model_config = ConfigDict(allow_inf_nan=False)

    machine: dict[str, str]
    trials: list[Trial]


class TrialBook:
    """The trials of one network on this machine, kept in a file.

    Args:
        folder: where the files of all networks lie.
        network: a fingerprint of the network and of the shape of its batches.
        device: where it runs.
    """

    def __init__(self, folder: Path, network: str, device: torch.device) -> None:
        self.machine = machine(device)
        key = repr((network, sorted(self.machine.items())))
        self.path = folder / f"{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}.json"

    def read(self) -> dict[str, Trial]:
        """Return the trials by the name of their runtime; none if absent or damaged."""
        try:
            book = _Book.model_validate_json(self.path.read_bytes())
        except (OSError, ValidationError):
            return {}
        return {
            trial.runtime: trial
            for trial in book.trials
            if trial.failure or (trial.frames_per_second > 0 and trial.start_up_seconds >= 0)
        }

    def write(self, trials: dict[str, Trial], warn: Callable[[str], None] = warnings.warn) -> None:
        """Keep ``trials``, except passing failures; ``warn`` hears if they cannot be kept."""
        kept = [trial for trial in trials.values() if not trial.passing]
        book = _Book(machine=self.machine, trials=kept)
        keep(self.path, book.model_dump_json(indent=2).encode(), self.path.parent, warn)


def fastest(trials: dict[str, Trial], num_frames: float) -> Trial | None:
    """The sound trial whose runtime would finish ``num_frames`` first; None if there is none."""
    sound = [trial for trial in trials.values() if trial.is_sound]
    return min(sound, key=lambda trial: trial.seconds(num_frames), default=None)


def run_trials(
    candidates: Sequence[Runtime],
    known: dict[str, Trial],
    start: Callable[[Runtime], Run],
    frames: Tensor,
    num_frames: float,
) -> tuple[dict[str, Trial], Run | None]:
    """Try each candidate that is not known yet and whose trial could pay.

    Args:
        candidates: with ``EAGER`` first, then in the order of their start-up.
        known: trials of earlier times.
        start: makes a runtime ready.
        frames: a full batch (N, H, W, 3) uint8 of the user's own.
        num_frames: how many are to be run in all.

    Returns:
        All trials, known and new, by the name of their runtime, and the fastest of all, started,
        if it was tried just now. The others are let go at once: each holds a copy of the network.
    """
    trials = dict(known)
    kept: Run | None = None
    reference: Tensor | None = None
    for runtime in candidates:
        if runtime.name in trials or not _is_worth_trying(runtime, trials, frames, num_frames):
            continue
        if reference is None:
            reference = start(EAGER)(frames)
        trial, run = _measure(runtime, start, frames, reference)
        trials[runtime.name] = trial
        if fastest(trials, num_frames) == trial:
            kept = run
        del run
    return trials, kept


def _is_worth_trying(
    runtime: Runtime, trials: dict[str, Trial], frames: Tensor, num_frames: float
) -> bool:
    best = fastest(trials, num_frames)
    if best is None:
        return True
    if runtime.kind != "eager" and _loses_eagerly(runtime, trials):
        return False
    trial_seconds = _START_UP_SECONDS[runtime.kind] + 3 * len(frames) / best.frames_per_second
    return trial_seconds < _TRIAL_SHARE * num_frames / best.frames_per_second


def _loses_eagerly(runtime: Runtime, trials: dict[str, Trial]) -> bool:
    """Whether its low precision is clearly slower on this processor than float32."""
    own, plain = trials.get(f"eager-{runtime.precision}"), trials.get(EAGER.name)
    if own is None or plain is None:
        return False
    return own.frames_per_second < _CLEARLY_SLOWER * plain.frames_per_second


def _measure(
    runtime: Runtime, start: Callable[[Runtime], Run], frames: Tensor, reference: Tensor
) -> tuple[Trial, Run | None]:
    """Start a runtime and time it on one batch."""
    began = time.perf_counter()
    try:
        run = start(runtime)
        features = run(frames)
        first = time.perf_counter() - began
        seconds = min(_timed(run, frames), _timed(run, frames))
    except Exception as error:  # compilers and runtimes have errors of every kind
        seconds = time.perf_counter() - began
        passing = lacks_memory(error) or isinstance(error, OSError)
        return Trial(runtime.name, seconds, 0.0, 0.0, first_line(error), passing), None
    cosine = least_cosine(features, reference)
    trial = Trial(runtime.name, max(first - seconds, 0.0), len(frames) / seconds, cosine)
    return trial, run


def least_cosine(features: Tensor, reference: Tensor) -> float:
    """The least similarity of a frame's features (N, D) to the reference's, from -1 to 1."""
    return float(cosine_similarity(features, reference, dim=1).min())


def first_line(error: Exception) -> str:
    """What an error says in its first line, or its type where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _timed(run: Run, frames: Tensor) -> float:
    start = time.perf_counter()
    run(frames)
    return time.perf_counter() - start


def machine(device: torch.device) -> dict[str, str]:
    """What a measured speed depends on besides the network."""
    if device.type == "cuda":
        processor = torch.cuda.get_device_name(device)
    else:
        processor = f"{_processor_name()}, {torch.get_num_threads()} threads"
    versions = {name: _version(name) for name in ("torch", "timm", "onnxruntime", "openvino")}
    return {"processor": processor} | versions


def _processor_name() -> str:
    named = torch.cpu.get_capabilities().get("cpu_name") or platform.processor()
    return f"{named or platform.machine()} {_lower_precisions()}"


def _lower_precisions() -> str:
    """Processors of one name differ in what their host lets them do."""
    able = torch.cpu.get_capabilities()
    return " ".join(sorted(name for name, value in able.items() if value is True and "16" in name))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
