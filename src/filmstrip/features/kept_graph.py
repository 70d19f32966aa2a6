"""A backbone in ONNX Runtime whose graph is kept: exporting takes seconds, reading a moment.

So only the first use of a network pays for the export; one clip can be answered by the fast runtime
from then on.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

from torch import Tensor

from filmstrip.features.runtimes import Run, onnx_graph, onnxruntime_run
from filmstrip.model.backbone import Backbone
from filmstrip.storage import replacing


def start_kept(backbone: Backbone, network: str, frames: Tensor, folder: Path) -> Run:
    """Make ``backbone`` ready in ONNX Runtime: from its kept graph, which is made if there is none.

    Args:
        backbone: in evaluation, on the CPU; it is left as it is.
        network: its fingerprint.
        frames: (N, H, W, 3) uint8, as large as those of every pass, however many.
        folder: in which graphs are kept.

    Raises:
        StorageError: the graph cannot be written.
        Exception: whatever torch or ONNX Runtime raise where they cannot take this network.
    """
    parts = repr((network, tuple(frames.shape[1:]), version("torch")))
    key = hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()
    path = folder / f"{key}.onnx"
    if not path.is_file():
        graph = onnx_graph(backbone, frames)
        with replacing(path) as temporary:
            temporary.write_bytes(graph)
    return onnxruntime_run(path.read_bytes())
