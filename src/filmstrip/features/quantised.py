"""A backbone in 8-bit integers for OpenVINO, calibrated on the user's own frames and kept.

Integers are two to three times as fast as float32 on processors with VNNI, and less exact, so they
are used only where the user asks for them. The calibrated copy is kept, since features that are
added to the store on another day must come from the same numbers.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from filmstrip.cache import needing_cache
from filmstrip.errors import EngineError
from filmstrip.features.claims import claim, wait
from filmstrip.features.runtimes import (
    EAGER,
    INT8,
    Run,
    openvino_model,
    openvino_run,
    silence,
    start,
)
from filmstrip.features.trial import LEAST_COSINE, least_cosine
from filmstrip.model.backbone import Backbone


def start_quantised(
    backbone: Backbone,
    network: str,
    frames: Tensor,
    copies: Path,
    sample: Callable[[], NDArray[np.uint8]],
    note: Callable[[str], None],
) -> Run:
    """Make ``backbone`` ready in int8: from its calibrated copy, which is made if there is none.

    Args:
        backbone: in evaluation, on the CPU; it is left as it is.
        network: its fingerprint.
        frames: (N, H, W, 3) uint8, of the shape that every pass will have.
        copies: folder in which calibrated copies are kept.
        sample: gives frames (M, H, W, 3) uint8 from across the work to calibrate on; where M is
            below N, ``frames`` are taken.
        note: hears in a sentence how well the features agree with float32's.

    Raises:
        EngineError: the features of ``frames`` differ from float32's by too much.
        StorageError: the copy cannot be written.
        Exception: whatever OpenVINO or NNCF raise where they cannot take this network.
    """
    import openvino

    copy = copies / f"int8-{_key(network, frames)}"
    model = copy / "model.xml"
    with _alone(copy.with_suffix(".lock")):
        if not copy.exists():
            calibrated = _calibrate(openvino_model(backbone, frames), frames.numpy(), sample())
            with needing_cache(copy), TemporaryDirectory(dir=copies) as temporary:
                whole = Path(temporary) / "whole"
                openvino.save_model(calibrated, whole / model.name, compress_to_fp16=False)
                whole.rename(copy)
    try:
        read = openvino.Core().read_model(model)
    except RuntimeError as error:
        raise EngineError(
            f"--engine {INT8.name}: its calibrated copy {copy} is damaged",
            "the copy as it was written",
            "remove that folder, then run the command again: the network is calibrated again. "
            "Features of the old copy stay in the cache: remove them with 'filmstrip cache prune'.",
        ) from error
    run = openvino_run(read)
    cosine = least_cosine(run(frames), start(EAGER, backbone, frames.device, frames)(frames))
    if cosine < LEAST_COSINE:
        raise EngineError(
            f"--engine {INT8.name}: features turn too far from float32's (cosine {cosine:.4f})",
            f"a cosine of {LEAST_COSINE} or more in every frame",
            f"use --engine auto; or remove {copy}, and it is calibrated on the present videos.",
        )
    note(f"Engine: {INT8.name}; least cosine of its features to float32's: {cosine:.5f}.")
    return run


def _key(network: str, frames: Tensor) -> str:
    versions = [version(name) for name in ("torch", "openvino", "nncf")]
    parts = repr((network, tuple(frames.shape), versions))
    return hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()


def _calibrate(model: Any, frames: NDArray[np.uint8], sample: NDArray[np.uint8]) -> Any:
    """``model`` with integer weights, and the ranges that its activations take on ``sample``."""
    os.environ["NNCF_CI"] = "1"  # else it reports its use to its makers
    with silence():
        import nncf

    nncf.set_log_level(logging.ERROR)
    size = len(frames)
    passes = [sample[first : first + size] for first in range(0, len(sample) - size + 1, size)]
    return nncf.quantize(
        model,
        nncf.Dataset(passes or [frames]),
        subset_size=max(len(passes), 1),
        # Weights on both sides of zero, activations on one side where they follow a ReLU.
        preset=nncf.QuantizationPreset.MIXED,
    )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time; the others wait."""
    with needing_cache(path):
        while (held := claim(path)) is None:
            wait(path)
    try:
        yield
    finally:
        held.release()
