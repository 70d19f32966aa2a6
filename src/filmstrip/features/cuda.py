"""How a network is run on an NVIDIA GPU: eagerly, or captured once as a CUDA graph.

A graph is launched whole, where eager mode launches each of some hundred kernels from Python, so
the GPU need not wait for the processor. It is bound to one shape of batch, which also makes it
worth cuDNN's while to measure which of its kernels is quickest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

# cuDNN chooses and the compiler compiles in the first passes; neither may happen in a capture.
_NUM_WARM_UPS = 3


def run_on_cuda(
    network: nn.Module, frames: Tensor, device: torch.device, is_graphed: bool, uses_tf32: bool
) -> Callable[[Tensor], Tensor]:
    """What takes frames on the CPU to features on the CPU, by ``network`` on ``device``.

    Args:
        network: in evaluation, on ``device``; frames to features.
        frames: (N, H, W, 3) uint8, of the shape that every pass of a graph will have.
        device: a CUDA device.
        is_graphed: capture the network as a graph now.
        uses_tf32: let float32 be multiplied with 10 bits of mantissa.
    """

    @torch.no_grad()
    def compute(pixels: Tensor) -> Tensor:
        with _arithmetic(uses_tf32, measures_kernels=is_graphed):
            features: Tensor = network(pixels)
        return features

    if is_graphed:
        return _graph(compute, frames.to(device))
    return lambda frames: compute(frames.to(device, non_blocking=True)).cpu()


def _graph(compute: Callable[[Tensor], Tensor], held: Tensor) -> Callable[[Tensor], Tensor]:
    """``compute`` as a graph that reads ``held``, into which each pass's frames are copied."""
    beside = torch.cuda.Stream(held.device)  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream(held.device))
    with torch.cuda.stream(beside):
        for _ in range(_NUM_WARM_UPS):
            compute(held)
    torch.cuda.current_stream(held.device).wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    # Threads that decode may take pinned memory meanwhile, which a stricter mode forbids.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        features = compute(held)

    def run(frames: Tensor) -> Tensor:
        held.copy_(frames, non_blocking=True)
        graph.replay()
        return features.cpu()

    return run


@contextmanager
def _arithmetic(uses_tf32: bool, measures_kernels: bool) -> Iterator[None]:
    products = torch.backends.cuda.matmul
    before = products.allow_tf32
    products.allow_tf32 = uses_tf32
    try:
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=measures_kernels, allow_tf32=uses_tf32
        ):
            yield
    finally:
        products.allow_tf32 = before
