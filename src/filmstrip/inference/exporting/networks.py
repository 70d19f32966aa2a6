"""The networks that are exported: a clip to its answer, and one more frame to the answer so far.

Both take framed pictures as they come, uint8, and give logits and probabilities; normalisation and
the model's temperature are inside. A step carries the head's state as plain tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from filmstrip.model.classifier import VideoClassifier, probabilities
from filmstrip.model.streaming import State, begin, step


class ClipNetwork(nn.Module):
    """A batch of clips to their answers.

    Args:
        classifier: in evaluation.
    """

    def __init__(self, classifier: VideoClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and probabilities (B, K), float32.

        Args:
            frames: (B, T, S, S, 3) uint8, with anything behind each length.
            lengths: (B,) int64, each in [1, T].
        """
        logits = self.classifier(frames.permute(0, 1, 4, 2, 3), lengths)
        return logits, probabilities(logits, self.classifier.spec.temperature).float()


class StepNetwork(nn.Module):
    """One more frame of each of several videos to the answers so far.

    Args:
        classifier: in evaluation, with a head that passes ``check_can_step``.

    Attributes:
        state: what is carried, in the order in which it goes in and comes out.
    """

    def __init__(self, classifier: VideoClassifier) -> None:
        super().__init__()
        self.classifier = classifier
        self.state = self._find_state()

    def forward(self, frames: Tensor, is_first: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Logits and probabilities (B, K), float32, then the state for the next frame.

        Args:
            frames: (B, S, S, 3) uint8, one of each video.
            is_first: (B,) bool, whether a video begins; its state is then not looked at.
            state: as the step before gave it; of any numbers, such as 0, where a video begins.
        """
        given = dict(zip((part.name for part in self.state), state, strict=True))
        views = self._features(frames)
        begun = self._begun(views)
        fresh = dict(_leaves(begun, "state"))
        before = {
            part.name: torch.where(part.beside(is_first), fresh[part.name], given[part.name])
            for part in self.state
        }
        head = self.classifier.sequence.head
        steps = [
            step(head, features, one)
            for features, one in zip(views, _rebuilt(begun, before), strict=True)
        ]
        logits = torch.stack([logits for logits, _ in steps]).mean(dim=0)
        probs = probabilities(logits, self.classifier.spec.temperature).float()
        after = dict(_leaves(tuple(state for _, state in steps), "state"))
        return logits, probs, *(after[part.name] for part in self.state)

    def start(self, num_videos: int) -> list[Tensor]:
        """A state to go in with the first frames of so many videos."""
        return [part.zeros(num_videos) for part in self.state]

    def _features(self, frames: Tensor) -> Sequence[Tensor]:
        """Scaled features (B, D) of ``frames`` (B, S, S, 3) in each of the model's views."""
        views = self.classifier.spec.views
        shown = torch.cat([frames.flip(2) if view == "flip" else frames for view in views])
        backbone = self.classifier.backbone
        embedded = backbone(backbone.normalise(shown.permute(0, 3, 1, 2)))
        scaled: Tensor = self.classifier.sequence.scaler(embedded)
        # (V · B, D) to (V, B, D)
        return scaled.reshape(len(views), -1, scaled.shape[1]).unbind(0)

    def _begun(self, views: Sequence[Tensor]) -> tuple[State, ...]:
        """The state of each view before the first frame."""
        return tuple(begin(self.classifier.sequence.head, features) for features in views)

    @torch.no_grad()
    def _find_state(self) -> tuple[StatePart, ...]:
        """What a state holds, seen in that of one video."""
        width = self.classifier.sequence.scaler.num_features
        begun = self._begun([torch.zeros(1, width)] * len(self.classifier.spec.views))
        return tuple(
            StatePart(name, tuple(leaf.shape[1:]), leaf.dtype)
            for name, leaf in _leaves(begun, "state")
            if leaf.numel()
        )


@dataclass(frozen=True, slots=True)
class StatePart:
    """One tensor of a state.

    Attributes:
        name: such as ``state.0.members.0.pool.weight``, of the first view.
        shape: behind the first axis, which counts the videos.
        dtype: of its numbers.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype

    def zeros(self, num_videos: int) -> Tensor:
        """The tensor for so many videos, of zeros."""
        return torch.zeros(num_videos, *self.shape, dtype=self.dtype)

    def beside(self, flags: Tensor) -> Tensor:
        """``flags`` (B,) in a shape that spreads over the tensor."""
        return flags.reshape(-1, *[1] * len(self.shape))


def _leaves(state: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The tensors in a state of dataclasses and tuples, each with its path."""
    parts = _parts(state)
    if parts is None:
        yield name, state
        return
    for key, part in parts.items():
        yield from _leaves(part, f"{name}.{key}")


def _rebuilt(like: Any, leaves: dict[str, Tensor], name: str = "state") -> Any:
    """A state like another one, with the leaves that are given in place of its own."""
    parts = _parts(like)
    if parts is None:
        return leaves.get(name, like)
    changed = {key: _rebuilt(part, leaves, f"{name}.{key}") for key, part in parts.items()}
    return tuple(changed.values()) if isinstance(like, tuple) else replace(like, **changed)


def _parts(state: Any) -> dict[str, Any] | None:
    """What a dataclass or a tuple holds; None for a leaf."""
    if isinstance(state, tuple):
        return {str(number): part for number, part in enumerate(state)}
    if is_dataclass(state):
        return {field.name: getattr(state, field.name) for field in fields(state)}
    return None
