"""What is exported of a classifier, and what each graph takes and gives.

sample  the times of a clip's frames → the frames that are looked at
frame   one picture of any size → the square that the model reads
clip    framed clips of unequal length → logits, probabilities
step    one more framed frame and the state → logits, probabilities, the next state
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.export._patches import (
    register_gru_while_loop_decomposition,
    register_lstm_while_loop_decomposition,
)

from filmstrip.errors import EngineError, RecipeError
from filmstrip.inference.exporting.frame_network import FrameNetwork
from filmstrip.inference.exporting.networks import ClipNetwork, StepNetwork
from filmstrip.inference.exporting.sample_network import SampleNetwork
from filmstrip.inference.reading import check_can_stream
from filmstrip.inference.window import default_window_seconds
from filmstrip.model.classifier import VideoClassifier
from filmstrip.model.specs import ClassifierSpec

_EXAMPLE_SIDES = (37, 53)


@dataclass(frozen=True, slots=True)
class Graph:
    """A network that is exported.

    Attributes:
        name: ``sample``, ``frame``, ``clip`` or ``step``.
        network: what it is in PyTorch, in evaluation.
        inputs: names of what it takes, in order.
        outputs: names of what it gives, in order.
        example: inputs of some shape.
        free_axes: for each input the axes that may have any length, with their names.
    """

    name: str
    network: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    example: tuple[Tensor, ...]
    free_axes: tuple[dict[int, str], ...]

    def dynamic_shapes(self) -> tuple[Any, ...]:
        """``free_axes`` as ``torch.export`` takes them: axes of one name have one length."""
        names = {name for free in self.free_axes for name in free.values()}
        lengths = {name: Dim(name) for name in names}
        axes: list[Any] = [
            {axis: lengths[name] for axis, name in free.items()} for free in self.free_axes
        ]
        if isinstance(self.network, StepNetwork):  # its *state counts as one argument
            axes[2:] = [tuple(axes[2:])]
        return tuple(axes)

    def program(self) -> ExportedProgram:
        """The graph as ``torch.export`` sees it.

        Raises:
            EngineError: the backbone does what no graph can hold.
        """
        try:
            # torch would unroll a recurrent layer over the example's frames without these two.
            with (
                torch.no_grad(),
                register_gru_while_loop_decomposition(),
                register_lstm_while_loop_decomposition(),
            ):
                return torch.export.export(
                    self.network, self.example, dynamic_shapes=self.dynamic_shapes()
                )
        except Exception as error:  # whatever the exporter meets in a network that it cannot take
            reason = str(error).strip().partition("\n")[0]
            raise EngineError(
                f"the {self.name} graph: torch.export cannot take this network "
                f"({type(error).__name__}: {reason})",
                "a backbone without decisions that depend on the pixels",
                "train with another --set backbone.name=..., or serve the run by Filmstrip itself.",
            ) from error


def graphs_of(classifier: VideoClassifier) -> list[Graph]:
    """The graphs of a classifier in evaluation; ``step`` is among them if it can be streamed."""
    spec = classifier.spec
    graphs = [sample_graph(spec), frame_graph(spec), clip_graph(classifier)]
    return graphs if why_no_step(spec) else [*graphs, step_graph(classifier)]


def sample_graph(spec: ClassifierSpec) -> Graph:
    """When a clip's frames come, to which of them are looked at."""
    return Graph(
        "sample",
        SampleNetwork(spec.sampling),
        ("times_seconds", "duration_seconds"),
        ("indices",),
        (torch.arange(5).double() / 25, torch.tensor(0.2, dtype=torch.float64)),
        ({0: "num_frames"}, {}),
    )


def frame_graph(spec: ClassifierSpec) -> Graph:
    """One picture of any size to the square that the model reads."""
    return Graph(
        "frame",
        FrameNetwork(spec.framing),
        ("frame",),
        ("framed",),
        (torch.zeros(*_EXAMPLE_SIDES, 3, dtype=torch.uint8),),
        ({0: "height", 1: "width"},),
    )


def clip_graph(classifier: VideoClassifier) -> Graph:
    """Framed clips of unequal length to their answers."""
    size = classifier.spec.framing.size
    return Graph(
        "clip",
        ClipNetwork(classifier).eval(),
        ("frames", "lengths"),
        ("logits", "probs"),
        (torch.zeros(2, 3, size, size, 3, dtype=torch.uint8), torch.tensor([3, 2])),
        ({0: "batch", 1: "time"}, {0: "batch"}),
    )


def step_graph(classifier: VideoClassifier) -> Graph:
    """One more framed frame of each video, and the state, to the answers so far."""
    network = StepNetwork(classifier).eval()
    names = tuple(part.name for part in network.state)
    size = classifier.spec.framing.size
    frames = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    return Graph(
        "step",
        network,
        ("frames", "is_first", *names),
        ("logits", "probs", *(f"next_{name}" for name in names)),
        (frames, torch.tensor([True, False]), *network.start(2)),
        ({0: "batch"}, {0: "batch"}, *({0: "batch"} for _ in network.state)),
    )


def why_no_step(spec: ClassifierSpec) -> str | None:
    """Why a model has no step graph; None if it has one."""
    try:
        check_can_stream(spec)
    except RecipeError as error:
        return error.given
    return None


_INCLUDED = {
    *("class_names", "sampling", "framing", "temperature", "threshold", "recipe"),
    "training_clips",
}


def metadata(spec: ClassifierSpec, graph: Graph) -> dict[str, Any]:
    """What a graph says of itself: all that is needed to use it but its inputs' names."""
    about: dict[str, Any] = {
        "filmstrip": version("filmstrip"),
        "graph": graph.name,
        "pixels": "uint8, RGB, height x width x channels; normalisation is inside the graph",
        **spec.model_dump(
            mode="json",
            include=_INCLUDED,
        ),
    }
    if isinstance(graph.network, StepNetwork):
        about["memory_seconds"] = default_window_seconds(spec)
        about["state"] = [
            {
                "name": part.name,
                "shape": ["batch", *part.shape],
                "type": str(part.dtype).removeprefix("torch."),
            }
            for part in graph.network.state
        ]
    return about


def as_text(about: dict[str, Any]) -> dict[str, str]:
    """Each value as JSON, since the files hold text only."""
    return {key: json.dumps(value) for key, value in about.items()}
