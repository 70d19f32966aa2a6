"""The engine: a backbone in evaluation, run over batches of frames on the hardware at hand.

While the network sees one batch, the next is gathered and the features of the last are put away.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from timm.models import FeatureInfo
from torch import Tensor, nn

from filmstrip.errors import EngineError, FilmstripError
from filmstrip.features.batching import Batching, Item
from filmstrip.features.kept_graph import start_kept
from filmstrip.features.quantised import start_quantised
from filmstrip.features.runtimes import EAGER, INT8, Run, Runtime, find_runtime, runtimes, start
from filmstrip.features.trial import Trial, TrialBook, fastest, first_line, run_trials
from filmstrip.model.backbone import Backbone
from filmstrip.video.transforms import View, show

# What a processor's caches hold: eagerly, passes of 4 are up to twice as fast as passes of 16.
_BATCH_SIZES = {"cpu": 4, "cuda": 128}

# With less to do, the reference that trials need would take longer than all the rest.
_FEWEST_BATCHES = 16


def default_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """How an engine picks its runtime.

    Attributes:
        name: a runtime, such as ``compiled-bf16``, or ``auto`` for the one that measures fastest.
        trials: folder in which what was measured is remembered, and calibrated copies are kept.
        note: hears in a sentence what was picked, and why.
        is_for_answers: pick among what computes in float32 and takes any number of frames a pass,
            so that answers agree wherever they are asked for, and a lone frame is not padded.
    """

    name: str
    trials: Path
    note: Callable[[str], None] = lambda _sentence: None
    is_for_answers: bool = False


class Engine:
    """Runs a backbone over frames, many at once.

    Args:
        backbone: what sees the frames; it is put in evaluation and moved to ``device``.
        device: where it runs; the GPU where there is one.
        batch_size: frames a pass.
        choice: how the runtime is picked; eager float32 if not given.

    Raises:
        EngineError: the machine has no runtime of the name in ``choice``.
    """

    def __init__(
        self,
        backbone: Backbone,
        device: torch.device | None = None,
        batch_size: int | None = None,
        choice: EngineChoice | None = None,
    ) -> None:
        self.device = device or default_device()
        self.batch_size = batch_size or _BATCH_SIZES.get(self.device.type, 32)
        self.backbone = backbone.to(self.device).eval()
        self.num_features = backbone.num_features
        self.runtime = EAGER
        self.trials: dict[str, Trial] = {}
        self._choice = choice
        self._is_settled = choice is None or choice.name != "auto"
        self._is_forced = choice is not None and choice.name != "auto"
        if choice is not None and self._is_forced:
            self.runtime = find_runtime(choice.name, self.device)
            if choice.is_for_answers:
                _check_answers(self.runtime)
                self.batch_size = 1 if self.runtime.wants_full_batches else self.batch_size
        self._sample = _no_frames
        self._num_expected = 0.0
        self._run: Run | None = None

    def accepts(self, precision: str) -> bool:
        """Whether features that were computed in ``precision`` will do.

        Floats all agree with float32, so any will, unless the user named a runtime.
        """
        if self._is_forced:
            return precision == self.runtime.precision
        return precision != INT8.precision

    def expect(self, num_frames: float) -> None:
        """Say roughly how many frames will come to ``embed``: many are worth a runtime's trial."""
        self._num_expected = num_frames
        self._is_settled = self._choice is None or self._is_forced

    def embed(self, frames: NDArray[np.uint8]) -> Tensor:
        """Features (N, D) float32, on the CPU, of ``frames`` (N, H, W, 3) uint8."""
        if not len(frames):
            return torch.empty(0, self.num_features)
        batch = torch.from_numpy(np.ascontiguousarray(frames))
        if self._choice is not None and self._choice.is_for_answers and not self._is_settled:
            self._make_ready(batch, lambda: self._num_expected)
        return self._embed_batch(batch)

    def embed_views(self, frames: NDArray[np.uint8], views: Sequence[View]) -> Tensor:
        """Features (V, N, D), as ``embed`` gives them, of the frames in each of the views."""
        return torch.stack([self.embed(show(frames, view)) for view in views])

    def embed_clips(
        self,
        clips: Iterable[tuple[Item, NDArray[np.uint8]]],
        num_frames_left: Callable[[], int] = lambda: 0,
        sample: Callable[[], NDArray[np.uint8]] | None = None,
    ) -> Iterator[tuple[Item, Tensor]]:
        """Features (T, D) float32 of each clip of frames (T, H, W, 3) uint8, in order.

        Frames of several clips fill one batch.

        Args:
            clips: with each its owner's mark, which comes back beside its features.
            num_frames_left: roughly how many frames are to come; a long road is worth the start-up
                of a fast runtime.
            sample: gives frames (N, H, W, 3) uint8 from across the work, to calibrate int8 on.
        """
        self._sample = sample or _no_frames
        batching: Batching[Item] = Batching(self.batch_size, self.device.type == "cuda")
        running: Future[Tensor] | None = None
        with ThreadPoolExecutor(1, thread_name_prefix="network") as network:
            for batch in batching.batches(clips):
                self._make_ready(batch, num_frames_left)
                before, running = running, network.submit(self._embed_batch, batch)
                if before is not None:
                    yield from batching.deliver(before.result())
            if running is not None:
                yield from batching.deliver(running.result())

    def fingerprint(self) -> str:
        """A hash of all that decides the features: the network's structure, weights and scaling."""
        digest = hashlib.blake2b(digest_size=16)
        backbone = self.backbone
        structure = (str(backbone.trunk), _stages(backbone.trunk), backbone.grid)
        digest.update(repr((structure, backbone.mean, backbone.std)).encode())
        for name, tensor in sorted(backbone.trunk.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def _embed_batch(self, frames: Tensor) -> Tensor:
        """Features (N, D) of ``frames`` (N, H, W, 3), in as many passes as memory asks for."""
        return self._in_memory(
            lambda: torch.cat([self._pass(part) for part in torch.split(frames, self.batch_size)])
        )

    def _in_memory(self, work: Callable[[], Result]) -> Result:
        """What ``work`` gives, in passes that are half as large as long as memory does not do.

        Raises:
            EngineError: they are of one frame already.
        """
        while True:
            try:
                return work()
            except torch.OutOfMemoryError as error:
                if self.batch_size == 1:
                    raise EngineError(
                        f"the memory of {self.device} does not hold one frame's pass",
                        "a GPU with enough free memory",
                        "end what else runs on it (nvidia-smi lists it), choose a smaller backbone "
                        "or framing.size, or set CUDA_VISIBLE_DEVICES= to run on the processor.",
                    ) from error
            # Not above: what failed is held by its error.
            self._run = None
            torch.cuda.empty_cache()
            self.batch_size //= 2
            if self._choice is not None:
                self._choice.note(f"Out of memory: now in passes of {self.batch_size} frames.")

    def _pass(self, frames: Tensor) -> Tensor:
        """At most a batch of frames through the network."""
        whole = self._filled(frames)
        if self._run is None:
            self._run = self._start_picked(whole)
        features = self._run(whole)[: len(frames)]
        if self.runtime != EAGER and not features.isfinite().all():
            # fp16 ends at 65,504: frames that the trial did not see may go beyond.
            features = self._start(EAGER, frames)(frames)
        return features

    def _filled(self, frames: Tensor) -> Tensor:
        """``frames`` with the last one repeated, where only full batches will do."""
        num_missing = self.batch_size - len(frames)
        if not self.runtime.wants_full_batches or not num_missing:
            return frames
        return torch.cat([frames, frames[-1:].expand(num_missing, -1, -1, -1)])

    def _make_ready(self, batch: Tensor, num_frames_left: Callable[[], float]) -> None:
        """Pick the runtime, once, and start it: here, where Ctrl-C ends even a compiler."""
        if self._choice is not None and not self._is_settled:
            self._is_settled = True
            self._in_memory(partial(self._settle, self._choice, batch, num_frames_left()))
        if self._run is None:
            self._in_memory(partial(self._start_first, batch))

    def _start_first(self, batch: Tensor) -> None:
        self._run = self._start_picked(self._filled(batch[: self.batch_size]))

    def _settle(self, choice: EngineChoice, batch: Tensor, num_frames: float) -> None:
        """Try what could pay for so many frames, and take what was fastest."""
        is_little = num_frames < _FEWEST_BATCHES * self.batch_size
        batch = batch[: self.batch_size]
        candidates, shape = runtimes(self.device), tuple(batch.shape)
        if choice.is_for_answers:
            candidates = [runtime for runtime in candidates if runtime.is_for_answers]
            shape = shape[1:]
        elif is_little:
            return
        book = TrialBook(choice.trials, repr((self.fingerprint(), shape)), self.device)
        known = book.read()
        if is_little and not known:
            return
        self.trials, self._run = run_trials(
            candidates,
            known,
            lambda runtime: self._start(runtime, batch),
            batch,
            num_frames,
        )
        if choice.is_for_answers:  # the next start reads the kept graph, in a moment
            self.trials = {
                name: replace(trial, start_up_seconds=0.0) for name, trial in self.trials.items()
            }
        if self.trials != known:
            book.write(self.trials)
        best = fastest(self.trials, max(num_frames, 1))
        if best is not None:
            self.runtime = find_runtime(best.runtime, self.device)
            choice.note(_sentence(best, self.trials[EAGER.name]))

    def _start(self, runtime: Runtime, batch: Tensor) -> Run:
        if runtime == INT8 and self._choice is not None:
            copies, note = self._choice.trials, self._choice.note
            return start_quantised(
                self.backbone, self.fingerprint(), batch, copies, self._sample, note
            )
        if runtime.kind == "onnxruntime" and self._choice is not None:
            return start_kept(self.backbone, self.fingerprint(), batch, self._choice.trials)
        return start(runtime, self.backbone, self.device, batch)

    def _start_picked(self, batch: Tensor) -> Run:
        try:
            return self._start(self.runtime, batch)
        except (FilmstripError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # compilers and runtimes have errors of every kind
            raise EngineError(
                f"--engine {self.runtime.name}: cannot run this backbone "
                f"({type(error).__name__}: {first_line(error)})",
                "a network that this runtime takes",
                "use --engine auto, which leaves out what does not work.",
            ) from error


def _check_answers(runtime: Runtime) -> None:
    if runtime == INT8:
        raise EngineError(
            f"--engine {runtime.name}: is not for answers to new videos",
            "auto, or a runtime of floats, such as eager-fp32 or onnxruntime-fp32",
            "'filmstrip export RUN --int8' writes a model in 8-bit integers that checks itself.",
        )


def _no_frames() -> NDArray[np.uint8]:
    return np.empty((0, 0, 0, 3), np.uint8)


def _sentence(best: Trial, eager: Trial) -> str:
    return (
        f"Engine: {best.runtime}, {best.frames_per_second:.0f} frames/s "
        f"({eager.runtime}: {eager.frames_per_second:.0f}); least cosine of its features to "
        f"float32's: {best.cosine:.5f}."
    )


def _stages(trunk: nn.Module) -> list[tuple[int, ...]]:
    """The stages that are read: timm keeps every layer of some networks, whichever stage it is."""
    infos = [getattr(module, "feature_info", None) for module in trunk.modules()]
    return [tuple(info.out_indices) for info in infos if isinstance(info, FeatureInfo)]
