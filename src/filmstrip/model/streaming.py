"""Heads one frame at a time: state in, state out, for as long as frames come.

After each step the logits are those that the head gives to the clip up to that frame. A step costs
the same however many came before it, and a state is never changed, so an older one stays valid.
Each row of a state is a sequence of its own, however long, so rows of several states share a step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import torch
from torch import Tensor, nn

from filmstrip.errors import RecipeError
from filmstrip.model.head import EnsembleHead, Head, MeanLinearHead, RecurrentHead, beside
from filmstrip.model.specs import HeadSpec, RecurrentHeadSpec

Tree = TypeVar("Tree")


@dataclass(frozen=True, slots=True)
class RunningPool:
    """All that pooling over time needs to know of the outputs so far, however many there were.

    A mean is attention whose scores are all 0, so the same sums serve both. They are kept in
    float64, in which months of frames lose nothing that matters, and relative to the highest score
    yet, so that no exponential overflows.

    Attributes:
        weighted_sum: (B, W) float64, outputs times exp(score - highest_score), summed.
        weight: (B, 1) float64, these factors summed.
        highest_score: (B, 1) float64; -inf of nothing.
        highest: (B, W), the highest output of each unit; likewise.
    """

    weighted_sum: Tensor
    weight: Tensor
    highest_score: Tensor
    highest: Tensor

    @classmethod
    def empty(cls, like: Tensor) -> RunningPool:
        """The pool of no outputs, which will have the shape (B, W) and type of ``like``."""
        zeros = torch.zeros_like(like, dtype=torch.float64)
        column = zeros[:, :1]
        return cls(zeros, column, column - torch.inf, torch.full_like(like, -torch.inf))

    def add(self, outputs: Tensor, scores: Tensor | None) -> RunningPool:
        """The pool with the next outputs (B, W) and their scores (B, 1); None if all are 0."""
        highest = torch.maximum(self.highest, outputs)
        if scores is None:
            total, weight = self.weighted_sum + outputs.double(), self.weight + 1
            return RunningPool(total, weight, self.highest_score, highest)
        highest_score = torch.maximum(self.highest_score, scores.double())
        fade = (self.highest_score - highest_score).exp()
        factor = (scores.double() - highest_score).exp()
        return RunningPool(
            self.weighted_sum * fade + outputs.double() * factor,
            self.weight * fade + factor,
            highest_score,
            highest,
        )

    def mean(self) -> Tensor:
        """The weighted mean (B, W) of all outputs so far."""
        return (self.weighted_sum / self.weight).to(self.highest.dtype)


@dataclass(frozen=True, slots=True)
class MemberState:
    """What one member of a head remembers between two frames.

    Attributes:
        carried: what each recurrent layer hands on, (B, hidden), two after another for an LSTM.
        pool: of the last layer's outputs.
    """

    carried: tuple[tuple[Tensor, ...], ...]
    pool: RunningPool


@dataclass(frozen=True, slots=True)
class State:
    """What a head remembers between two frames; each row is a sequence.

    Attributes:
        earlier: features of the last frames, newest last: (B, longest lag, D).
        total: (B, D) float64, the features of all frames so far, summed; (B, 0) if none asks.
        num_frames: (B, 1) int64, how many these are; 0 where a sequence is yet to begin.
        members: the state of each member, one if the head is no ensemble.
    """

    earlier: Tensor
    total: Tensor
    num_frames: Tensor
    members: tuple[MemberState, ...]

    @property
    def num_rows(self) -> int:
        """How many sequences there are."""
        return len(self.num_frames)

    @classmethod
    def join(cls, states: Sequence[State]) -> State:
        """The rows of several states of one head, after another."""
        return map_tensors(lambda *parts: torch.cat(parts), *states) if states[1:] else states[0]

    def rows(self, first: int, number: int) -> State:
        """So many of its rows."""
        return map_tensors(lambda part: part[first : first + number], self)


def map_tensors(function: Callable[..., Tensor], *trees: Tree) -> Tree:
    """``function`` of the tensors in the same place of each of some states, in such a state."""
    first = trees[0]
    if isinstance(first, Tensor):
        return function(*trees)  # type: ignore[return-value]
    if isinstance(first, tuple):
        mapped = [map_tensors(function, *parts) for parts in zip(*trees, strict=True)]
        return tuple(mapped)  # type: ignore[return-value]
    parts = {
        field.name: map_tensors(function, *(getattr(tree, field.name) for tree in trees))
        for field in fields(first)  # type: ignore[arg-type]
    }
    return type(first)(**parts)


def check_can_step(spec: HeadSpec) -> None:
    """Refuse a head that needs the future.

    Raises:
        RecipeError: it reads the sequence both ways.
    """
    if spec.kind == "recurrent" and spec.bidirectional:
        raise RecipeError(
            "head.bidirectional=true: this model reads a clip from its end, too",
            "a head that reads one way, whose answer so far needs no later frame",
            "train with --set head.bidirectional=false; or answer in overlapping windows with "
            "'filmstrip stream --chunked' or 'filmstrip timeline'.",
        )


def begin(head: Head, features: Tensor) -> State:
    """The state before the first frames, whose ``features`` (B, D) are looked at for their shape.

    Args:
        head: one that passes ``check_can_step``.
        features: of any values.
    """
    num_rows, width = features.shape
    spec = _spec(head)
    lag = max(spec.differences, default=0) if spec else 0
    return State(
        features.new_zeros(num_rows, lag, width),
        features.new_zeros(num_rows, width if spec and spec.departures else 0, dtype=torch.float64),
        torch.zeros(num_rows, 1, dtype=torch.int64, device=features.device),
        tuple(_begin_member(member, features) for member in _members(head)),
    )


def step(head: Head, features: Tensor, state: State | None = None) -> tuple[Tensor, State]:
    """Show one more frame to a head.

    Args:
        head: in evaluation; one that passes ``check_can_step``.
        features: (B, D) of the frame.
        state: as the step before gave it; that of ``begin`` if not given.

    Returns:
        Logits (B, K) of the clip up to this frame, and the state for the next step.
    """
    state = begin(head, features) if state is None else state
    earlier, total, num_frames = state.earlier, state.total, state.num_frames + 1
    x, spec = features, _spec(head)
    if spec is not None:
        if spec.differences:  # the first frames are compared with the first frame
            earlier = torch.where(num_frames[:, None] == 1, features[:, None], earlier)
        mean = None
        if spec.departures:
            total = total + features.double()
            mean = (total / num_frames).to(features.dtype)
        x = beside(features, [earlier[:, -lag] for lag in spec.differences], mean, spec)
        if spec.differences:
            earlier = torch.cat([earlier[:, 1:], features[:, None]], dim=1)
    steps = [
        _step_member(member, x, before)
        for member, before in zip(_members(head), state.members, strict=True)
    ]
    logits = [logits for logits, _ in steps]
    after = State(earlier, total, num_frames, tuple(member for _, member in steps))
    return torch.stack(logits).mean(dim=0) if logits[1:] else logits[0], after


def _spec(head: Head) -> RecurrentHeadSpec | None:
    return head.spec if isinstance(head, RecurrentHead | EnsembleHead) else None


def _members(head: Head) -> Sequence[nn.Module]:
    return list(head.members) if isinstance(head, EnsembleHead) else [head]


def _begin_member(member: nn.Module, features: Tensor) -> MemberState:
    if not isinstance(member, RecurrentHead):
        return MemberState((), RunningPool.empty(features))
    zeros = [features.new_zeros(features.shape[0], width) for width in member.spec.hidden]
    num_parts = 2 if member.spec.cell == "lstm" else 1
    return MemberState(tuple((part,) * num_parts for part in zeros), RunningPool.empty(zeros[-1]))


def _step_member(member: nn.Module, x: Tensor, before: MemberState) -> tuple[Tensor, MemberState]:
    """Logits (B, K) after a frame of which the member reads ``x`` (B, width)."""
    if isinstance(member, MeanLinearHead):
        pool = before.pool.add(x, None)
        logits: Tensor = member.classify(pool.mean())
        return logits, MemberState((), pool)
    if not isinstance(member, RecurrentHead):
        raise TypeError(f"no step is known for {type(member).__name__}")
    x = member.normalise(member.project(x))[:, None]  # (B, 1, width): a sequence of one
    carried = []
    for layer, handed_on in zip(member.layers, before.carried, strict=True):
        given = tuple(part[None] for part in handed_on)  # (1, B, hidden)
        x, after = layer(x, given if isinstance(layer, nn.LSTM) else given[0])
        carried.append(tuple(part[0] for part in (after if isinstance(after, tuple) else (after,))))
    outputs = x[:, 0]
    scores = None if member.score_frames is None else member.score_frames(outputs)
    pool = before.pool.add(outputs, scores)
    pooled = _POOLINGS[member.spec.pooling](outputs, pool)
    logits = member.classify(member.dense(pooled))
    return logits, MemberState(tuple(carried), pool)


_POOLINGS: dict[str, Callable[[Tensor, RunningPool], Tensor]] = {
    "last": lambda outputs, _pool: outputs,
    "mean": lambda _outputs, pool: pool.mean(),
    "attention": lambda _outputs, pool: pool.mean(),
    "max": lambda _outputs, pool: pool.highest,
    "mean-max": lambda _outputs, pool: torch.cat([pool.mean(), pool.highest], dim=1),
}
