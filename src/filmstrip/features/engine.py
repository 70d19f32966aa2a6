"""The engine: a backbone in evaluation, run over batches of frames on the hardware at hand.

While the network sees one batch, the next is gathered and the features of the last are put away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from filmstrip.errors import EngineError, lacks_memory
from filmstrip.features.batching import Batching, Item
from filmstrip.features.choice import EAGERLY, EngineChoice, Starter
from filmstrip.features.runtimes import EAGER, Run, Runtime, start
from filmstrip.features.trial import Trial
from filmstrip.model.backbone import Backbone
from filmstrip.video.transforms import View, show

Result = TypeVar("Result")


def default_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _frames_a_pass(device: torch.device) -> int:
    """What a GPU takes in at once; on a processor what its caches hold.

    Two frames for each thread: larger passes of light networks take up to 1.4 times as long.
    """
    match device.type:
        case "cpu":
            return min(2 * torch.get_num_threads(), 32)
        case "cuda":
            return 128
        case _:
            return 32


class Engine:
    """Runs a backbone over frames, many at once.

    Args:
        backbone: what sees the frames; it is put in evaluation and moved to ``device``.
        device: where it runs; the GPU where there is one.
        batch_size: frames a pass.
        choice: how the runtime is picked.

    Raises:
        EngineError: the machine has no runtime of the name in ``choice``.
    """

    def __init__(
        self,
        backbone: Backbone,
        device: torch.device | None = None,
        batch_size: int | None = None,
        choice: EngineChoice = EAGERLY,
    ) -> None:
        self.device = device or default_device()
        self.batch_size = batch_size or _frames_a_pass(self.device)
        self.backbone = backbone.to(self.device).eval()
        self.num_features = backbone.num_features
        self.starter = Starter(self.backbone, self.device, choice)
        self._is_for_answers = choice.is_for_answers
        if choice.is_for_answers and self.runtime.wants_full_batches:
            self.batch_size = 1
        self._num_expected = 0.0
        self._run: Run | None = None

    @property
    def runtime(self) -> Runtime:
        """How the backbone is run."""
        return self.starter.runtime

    @property
    def trials(self) -> dict[str, Trial]:
        """What was measured of runtimes, by their names."""
        return self.starter.trials

    def accepts(self, precision: str) -> bool:
        """Whether features that were computed in ``precision`` will do."""
        return self.starter.accepts(precision)

    def expect(self, num_frames: float) -> None:
        """Say roughly how many frames will come to ``embed``: many are worth a runtime's trial."""
        self._num_expected = num_frames
        self.starter.is_settled = self.starter.is_named

    def warm_up(self, size: int) -> None:
        """Pick and start the runtime now, for frames (size, size, 3) that will not wait for it."""
        noise = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
        self._make_ready(torch.from_numpy(noise), lambda: self._num_expected)

    def embed(self, frames: NDArray[np.uint8]) -> Tensor:
        """Features (N, D) float32, on the CPU, of ``frames`` (N, H, W, 3) uint8."""
        if not len(frames):
            return torch.empty(0, self.num_features)
        batch = torch.from_numpy(np.ascontiguousarray(frames))
        if self._is_for_answers and not self.starter.is_settled:
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
        if sample is not None:
            self.starter.sample = sample
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

    def _make_ready(self, batch: Tensor, num_frames_left: Callable[[], float]) -> None:
        """Pick the runtime, once, and start it: here, where Ctrl-C ends even a compiler."""
        if not self.starter.is_settled:
            self.starter.is_settled = True
            num_frames = num_frames_left()
            self._run = self._in_memory(
                lambda: self.starter.settle(batch[: self.batch_size], num_frames)
            )
        if self._run is None:
            self._run = self._in_memory(
                lambda: self.starter.start(self._filled(batch[: self.batch_size]))
            )

    def _embed_batch(self, frames: Tensor) -> Tensor:
        """Features (N, D) of ``frames`` (N, H, W, 3), in as many passes as memory asks for."""
        return self._in_memory(
            lambda: torch.cat([self._pass(part) for part in torch.split(frames, self.batch_size)])
        )

    def _pass(self, frames: Tensor) -> Tensor:
        """At most a batch of frames through the network."""
        whole = self._filled(frames)
        if self._run is None:
            self._run = self.starter.start(whole)
        features = self._run(whole)[: len(frames)]
        if self.runtime != EAGER and not features.isfinite().all():
            # fp16 ends at 65,504: frames that the trial did not see may go beyond.
            features = start(EAGER, self.backbone, self.device, frames)(frames)
        return features

    def _filled(self, frames: Tensor) -> Tensor:
        """``frames`` with the last one repeated, where only full batches will do."""
        num_missing = self.batch_size - len(frames)
        if not self.runtime.wants_full_batches or not num_missing:
            return frames
        return torch.cat([frames, frames[-1:].expand(num_missing, -1, -1, -1)])

    def _in_memory(self, work: Callable[[], Result]) -> Result:
        """What ``work`` gives, in passes that are half as large as long as memory does not do.

        Raises:
            EngineError: a pass is one frame already.
        """
        while True:
            try:
                return work()
            except Exception as error:  # each runtime has its own for a lack of memory
                if not lacks_memory(error):
                    raise
                if self.batch_size == 1:
                    raise self._no_memory() from error
            # Not above: what failed is held by its error.
            self._run = None
            torch.cuda.empty_cache()
            self.batch_size //= 2
            self.starter.note(f"Out of memory: now in passes of {self.batch_size} frames.")

    def _no_memory(self) -> EngineError:
        if self.device.type == "cuda":
            remedy = (
                "end what else runs on it (nvidia-smi lists it), choose a smaller backbone "
                "or framing.size, or set CUDA_VISIBLE_DEVICES= to run on the processor."
            )
        else:
            remedy = (
                "end what else runs on this machine, raise its limits ('ulimit -v' and the "
                "container's), or choose a smaller backbone or framing.size."
            )
        return EngineError(
            f"the memory of {self.device} does not hold one frame's pass",
            "a GPU or machine with enough free memory",
            remedy,
        )
