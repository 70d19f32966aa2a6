"""The ways in which a frozen backbone can be run: eagerly, compiled, or by another runtime.

Which is the fastest differs by network and by processor, so ``trial`` measures them. All take the
same frames and give the same features, within the rounding of their precision.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import Tensor, nn

from filmstrip.errors import EngineError, nearest
from filmstrip.model.backbone import Backbone

Kind = Literal["eager", "onnxruntime", "openvino", "compiled"]
Precision = Literal["fp32", "bf16", "fp16", "int8"]

Run = Callable[[Tensor], Tensor]
"""Frames (N, H, W, 3) uint8 on the CPU to features (N, D) float32 on the CPU."""

_OPENVINO_TYPES = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class Runtime:
    """One way to run a backbone.

    Attributes:
        kind: what runs it. ``compiled`` is torch.compile with frozen weights.
        precision: of its arithmetic; features come out in float32 whatever it is.
    """

    kind: Kind
    precision: Precision

    @property
    def name(self) -> str:
        """Such as ``compiled-bf16``."""
        return f"{self.kind}-{self.precision}"

    @property
    def wants_full_batches(self) -> bool:
        """Whether it is built for one number of frames a pass."""
        return self.kind != "eager"


EAGER = Runtime("eager", "fp32")

INT8 = Runtime("openvino", "int8")
"""Less exact than the others, so it is never tried by itself; ``quantised`` starts it."""


def runtimes(device: torch.device) -> list[Runtime]:
    """What can run on this machine, the quickest to start first; ``EAGER`` leads."""
    kinds: list[Kind] = ["eager"]
    if device.type == "cpu":
        kinds += ["openvino"] if find_spec("openvino") else []
        kinds += ["onnxruntime"] if find_spec("onnxruntime") and find_spec("onnxscript") else []
    kinds.append("compiled")
    return [
        Runtime(kind, precision)
        for kind in kinds
        for precision in _precisions(device)
        if kind != "onnxruntime" or precision == "fp32"  # its CPU kernels know no other
    ]


def find_runtime(name: str, device: torch.device) -> Runtime:
    """The runtime of that name.

    Raises:
        EngineError: there is none, or this machine cannot run it.
    """
    named_only = [INT8] if device.type == "cpu" and find_spec("nncf") else []
    known = {runtime.name: runtime for runtime in [*runtimes(device), *named_only]}
    if name not in known:
        raise EngineError(
            f"--engine {name}: not on this machine",
            f"auto, or one of {', '.join(known)} (openvino, int8 and onnxruntime come with "
            "pip install 'filmstrip[engines]')",
            nearest(name, known),
        )
    return known[name]


def start(runtime: Runtime, backbone: Backbone, device: torch.device, frames: Tensor) -> Run:
    """Make ``backbone`` ready to be run in that way.

    Args:
        runtime: how; any but ``INT8``.
        backbone: in evaluation, on ``device``; it is left as it is.
        device: where.
        frames: (N, H, W, 3) uint8, of the shape that every pass will have.

    Raises:
        Exception: whatever the runtime raises where it cannot take this network.
    """
    if runtime.kind == "openvino":
        return openvino_run(openvino_model(backbone, frames), runtime.precision)
    if runtime.kind == "onnxruntime":
        return _onnxruntime(backbone, frames)
    network = _FramesToFeatures(backbone, _TYPES[runtime.precision])
    if runtime.kind == "compiled":
        network.compile(dynamic=False, options=_compile_options(device))
    return _on_device(network, device)


class _FramesToFeatures(nn.Module):
    """A backbone with all that is done to frames before and after it."""

    def __init__(self, backbone: Backbone, dtype: torch.dtype) -> None:
        super().__init__()
        if dtype != torch.float32:
            backbone = copy.deepcopy(backbone)
            backbone.trunk.to(dtype)
        self.backbone = backbone
        self.dtype = dtype

    def forward(self, frames: Tensor) -> Tensor:
        # (N, H, W, 3) seen as (N, 3, H, W) is in channels-last order already
        pixels = self.backbone.normalise(frames.permute(0, 3, 1, 2))
        features: Tensor = self.backbone(pixels.to(self.dtype))
        return features.float()


def _precisions(device: torch.device) -> list[Precision]:
    """Those that the hardware computes in itself; elsewhere they are slow, and never worth it."""
    if device.type == "cuda":
        return ["fp32", "bf16", "fp16"] if torch.cuda.is_bf16_supported(False) else ["fp32", "fp16"]
    able = torch.cpu.get_capabilities()
    lower: dict[Precision, tuple[str, ...]] = {
        "bf16": ("amx_bf16", "avx512_bf16", "bf16"),
        "fp16": ("amx_fp16", "avx512_fp16", "fp16_arith"),
    }
    return ["fp32", *(p for p, names in lower.items() if any(able.get(name) for name in names))]


def _compile_options(device: torch.device) -> dict[str, Any]:
    # Frozen weights let the compiler fold BatchNorm into them and lay them out for the processor.
    return {"freezing": True} | ({"triton.cudagraphs": True} if device.type == "cuda" else {})


def _on_device(network: nn.Module, device: torch.device) -> Run:
    # Not inference_mode: the compiler's frozen weights must be ordinary tensors.
    @torch.no_grad()
    def run(frames: Tensor) -> Tensor:
        if device.type == "cuda":
            frames = frames.pin_memory().to(device, non_blocking=True)
        features: Tensor = network(frames)
        return features.cpu()

    return run


def _onnxruntime(backbone: Backbone, frames: Tensor) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        _onnx(backbone, frames), options, providers=["CPUExecutionProvider"]
    )
    (name,) = (read.name for read in session.get_inputs())
    return lambda frames: torch.from_numpy(session.run(None, {name: frames.numpy()})[0])


def openvino_model(backbone: Backbone, frames: Tensor) -> Any:
    """The backbone as OpenVINO's model, in float32, for frames of the shape of ``frames``."""
    import openvino

    # Through ONNX: OpenVINO's own conversion of torch networks traces them, and reports its use.
    return openvino.Core().read_model(io.BytesIO(_onnx(backbone, frames)))


def openvino_run(model: Any, precision: Precision = "fp32") -> Run:
    """OpenVINO's ``model``, made ready for the processor; ``precision`` is that of its floats."""
    import openvino

    compiled = openvino.Core().compile_model(
        model,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": _OPENVINO_TYPES[precision],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        },
    )
    # Copied, since the next pass writes into the same memory.
    return lambda frames: torch.from_numpy(compiled(frames.numpy())[0].copy())


def _onnx(backbone: Backbone, frames: Tensor) -> bytes:
    with torch.no_grad(), silence():
        program = torch.onnx.export(
            _FramesToFeatures(backbone, torch.float32).eval(), (frames,), dynamo=True, verbose=False
        )
    if program is None:
        raise RuntimeError("torch.onnx gave no program")
    return bytes(program.model_proto.SerializeToString())


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """What libraries remark on their own internals is nothing that a user could act upon."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
