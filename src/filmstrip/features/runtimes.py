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
from filmstrip.features.cuda import run_on_cuda
from filmstrip.features.folding import folded
from filmstrip.model.backbone import Backbone, last_maps

Kind = Literal["eager", "graphed", "onnxruntime", "openvino", "compiled"]
Precision = Literal["fp32", "tf32", "bf16", "fp16", "int8"]

Run = Callable[[Tensor], Tensor]
"""Frames (N, H, W, 3) uint8 on the CPU to features (N, D) float32 on the CPU."""

_OPENVINO_TYPES = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_LOWER_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class Runtime:
    """One way to run a backbone.

    Attributes:
        kind: what runs it. ``compiled`` is torch.compile with frozen weights, ``graphed`` a CUDA
            graph of the eager network; on a GPU what is compiled is a graph, too.
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
        return self.kind not in ("eager", "onnxruntime")

    @property
    def is_for_answers(self) -> bool:
        """Whether it gives float32's numbers for however many frames there are at the moment."""
        return self.precision == "fp32" and not self.wants_full_batches


EAGER = Runtime("eager", "fp32")

INT8 = Runtime("openvino", "int8")
"""Less exact than the others, so it is never tried by itself; ``quantised`` starts it."""


def runtimes(device: torch.device) -> list[Runtime]:
    """What can run on this machine, the quickest to start first; ``EAGER`` leads."""
    precisions = _precisions(device)
    of_kind: dict[Kind, list[Precision]] = {"eager": precisions}
    if device.type == "cuda":
        of_kind["graphed"] = precisions
        # Compilers of GPUs take long; where 16 bits do, no float32 is as fast.
        of_kind["compiled"] = [precision for precision in precisions if precision in _LOWER_TYPES]
    else:
        if find_spec("openvino"):
            of_kind["openvino"] = precisions
        if find_spec("onnxruntime") and find_spec("onnxscript"):
            of_kind["onnxruntime"] = ["fp32"]  # its CPU kernels know no other
        of_kind["compiled"] = precisions
    return [Runtime(kind, precision) for kind in of_kind for precision in of_kind[kind]]


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
        frames: (N, H, W, 3) uint8, of the shape that every pass will have; N may change where the
            runtime does not want full batches.

    Raises:
        Exception: whatever the runtime raises where it cannot take this network.
    """
    if runtime.kind == "openvino":
        return openvino_run(openvino_model(backbone, frames), runtime.precision)
    if runtime.kind == "onnxruntime":
        return onnxruntime_run(onnx_graph(backbone, frames))
    network = _FramesToFeatures(backbone, frames[:1].to(device), runtime.precision)
    if runtime.kind == "compiled":
        # Frozen weights let the compiler lay them out for the processor.
        network.compile(dynamic=False, options={"freezing": True})
    if device.type == "cuda":
        is_graphed, uses_tf32 = runtime.kind != "eager", runtime.precision == "tf32"
        return run_on_cuda(network, frames, device, is_graphed, uses_tf32)
    # Not inference_mode: the compiler's frozen weights must be ordinary tensors.
    return torch.no_grad()(network)


class _FramesToFeatures(nn.Module):
    """A backbone with all that is done to frames before and after it.

    Args:
        backbone: in evaluation; it is left as it is.
        frame: (1, H, W, 3) uint8, where the backbone is.
        precision: of the trunk's arithmetic.
    """

    def __init__(self, backbone: Backbone, frame: Tensor, precision: Precision = "fp32") -> None:
        super().__init__()
        self.dtype = _LOWER_TYPES.get(precision, torch.float32)
        self.normalise, self.pool = backbone.normalise, backbone.pool
        with torch.no_grad():
            trunk = folded(backbone.trunk, self._pixels(frame))
        self.trunk = trunk if self.dtype == torch.float32 else copy.deepcopy(trunk).to(self.dtype)

    def forward(self, frames: Tensor) -> Tensor:
        """Features (N, D) float32 of ``frames`` (N, H, W, 3) uint8."""
        maps = last_maps(self.trunk(self._pixels(frames).to(self.dtype)))
        features: Tensor = self.pool(maps)
        return features.float()

    def _pixels(self, frames: Tensor) -> Tensor:
        # (N, H, W, 3) seen as (N, 3, H, W) is in channels-last order already
        pixels: Tensor = self.normalise(frames.permute(0, 3, 1, 2))
        return pixels


def _precisions(device: torch.device) -> list[Precision]:
    """Those that the hardware computes in itself; elsewhere they are slow, and never worth it."""
    if device.type == "cuda":
        is_ampere = torch.cuda.is_bf16_supported(including_emulation=False)
        return ["fp32", "tf32", "bf16", "fp16"] if is_ampere else ["fp32", "fp16"]
    able = torch.cpu.get_capabilities()
    lower: dict[Precision, tuple[str, ...]] = {
        "bf16": ("amx_bf16", "avx512_bf16", "bf16"),
        "fp16": ("amx_fp16", "avx512_fp16", "fp16_arith"),
    }
    return ["fp32", *(p for p, names in lower.items() if any(able.get(name) for name in names))]


def onnx_graph(backbone: Backbone, frames: Tensor) -> bytes:
    """The backbone in ONNX, for any number of frames as large as ``frames`` (N, H, W, 3)."""
    # Of an axis of length 1 torch would take for granted that it has no other.
    return _onnx(backbone, frames[:1].expand(2, -1, -1, -1), {0: torch.export.Dim("frames")})


def onnxruntime_run(graph: bytes) -> Run:
    """A graph of ``onnx_graph`` in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
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


def _onnx(
    backbone: Backbone, frames: Tensor, free_axes: dict[int, torch.export.Dim] | None = None
) -> bytes:
    with torch.no_grad(), silence():
        program = torch.onnx.export(
            _FramesToFeatures(backbone, frames[:1]),
            (frames,),
            dynamic_shapes=None if free_axes is None else (free_axes,),
            dynamo=True,
            verbose=False,
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
