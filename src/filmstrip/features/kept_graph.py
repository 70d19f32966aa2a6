"""A backbone in ONNX Runtime whose graph is kept: exporting takes seconds, reading a moment.

So only the first use of a network pays for the export; one clip can be answered by the fast runtime
from then on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from torch import Tensor

from filmstrip.cache import keep
from filmstrip.features.runtimes import Run, onnx_graph, onnxruntime_run
from filmstrip.model.backbone import Backbone

_DIGEST_BYTES = 16


def start_kept(
    backbone: Backbone, network: str, frames: Tensor, folder: Path, warn: Callable[[str], None]
) -> Run:
    """Make ``backbone`` ready in ONNX Runtime: from its kept graph, which is made if there is none.

    Args:
        backbone: in evaluation, on the CPU; it is left as it is.
        network: its fingerprint.
        frames: (N, H, W, 3) uint8, as large as those of every pass, however many.
        folder: in which graphs are kept; where it cannot be written, the graph is used once.
        warn: receives a sentence if the graph cannot be kept.

    Raises:
        Exception: whatever torch or ONNX Runtime raise where they cannot take this network.
    """
    parts = repr((network, tuple(frames.shape[1:]), version("torch"), "with digest"))
    key = hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()
    path = folder / f"{key}.onnx"
    graph = _read(path)
    if graph is None:
        graph = onnx_graph(backbone, frames)
        keep(path, _digest(graph) + graph, folder, warn)
    return onnxruntime_run(graph)


def _read(path: Path) -> bytes | None:
    """Return the graph that is kept at ``path``; None if it is absent or damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, graph = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return graph if digest == _digest(graph) else None


def _digest(graph: bytes) -> bytes:
    return hashlib.blake2b(graph, digest_size=_DIGEST_BYTES).digest()
