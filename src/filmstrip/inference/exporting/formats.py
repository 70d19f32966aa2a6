"""Graphs as files, and files as something to run: ONNX, and what ``torch.export`` saves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from filmstrip.errors import EngineError
from filmstrip.features.runtimes import silence
from filmstrip.inference.exporting.graphs import Graph, as_text, metadata
from filmstrip.model.specs import ClassifierSpec

Format = Literal["onnx", "torch-export"]

SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "torch-export": ".pt2"}

Run = Callable[[Sequence[Tensor]], tuple[Tensor, ...]]
"""A graph's inputs in order to its outputs in order, on the CPU."""

_OPSET = 20


def check_installed(file_format: Format) -> None:
    """See that what a format needs is there.

    Raises:
        EngineError: it is not.
    """
    needed = ("onnx", "onnxscript", "onnxruntime") if file_format == "onnx" else ()
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise EngineError(
            f"--format {file_format}: {' and '.join(missing)} not installed",
            f"the packages {', '.join(needed)}",
            "pip install 'filmstrip[export]', or give --format torch-export.",
        )


def write(graph: Graph, spec: ClassifierSpec, file_format: Format, path: Path) -> None:
    """Write a graph to a file, with what it says of itself.

    Raises:
        EngineError: the network cannot be held in a graph.
    """
    about = as_text(metadata(spec, graph))
    with silence():
        program = graph.program()
        if file_format == "torch-export":
            torch.export.save(program, path, extra_files=about)
            return
        exported = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=_OPSET,
            input_names=graph.inputs,
            output_names=graph.outputs,
            dynamic_shapes=graph.dynamic_shapes(),  # gives the axes their names
            verbose=False,
        )
    if exported is None:
        raise RuntimeError("torch.onnx gave no program")
    exported.model.metadata_props.update(about)
    exported.save(path)


def opened(path: Path) -> Run:
    """A written graph, ready to be run on the CPU with as many threads as torch has.

    Only for files that this process wrote: ``torch.export.load`` may unpickle.
    """
    return _opened_program(path) if path.suffix == ".pt2" else _opened_onnx(path)


def _opened_program(path: Path) -> Run:
    module = torch.export.load(path).module()

    @torch.no_grad()
    def run(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        outputs = module(*inputs)
        return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)

    return run


def _opened_onnx(path: Path) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]

    def run(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        feed = {name: each.numpy() for name, each in zip(names, inputs, strict=True)}
        return tuple(torch.from_numpy(output) for output in session.run(None, feed))

    return run
