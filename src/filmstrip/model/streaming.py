"""Heads one frame at a time: state in, state out, for as long as frames come.

After each step the logits are those that the head gives to the clip up to that frame. A step costs
the same however many came before it, and a state is never changed, so an older one stays valid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from filmstrip.errors import RecipeError
from filmstrip.model.head import EnsembleHead, Head, MeanLinearHead, RecurrentHead, beside
from filmstrip.model.specs import HeadSpec

Carried = Tensor | tuple[Tensor, Tensor]
"""What a recurrent layer hands on: (1, B, hidden), twice for an LSTM."""


@dataclass(frozen=True, slots=True)
class RunningPool:
    """All that pooling over time needs to know of the outputs so far, however many there were.

    A mean is attention whose scores are all 0, so the same sums serve both. They are kept in
    float64, in which months of frames lose nothing that matters, and relative to the highest score
    yet, so that no exponential overflows.

    Attributes:
        weighted_sum: (B, W) float64, outputs times exp(score - highest_score), summed.
        weight: (B, 1) float64, these factors summed.
        highest_score: (B, 1) float64.
        highest: (B, W), the highest output of each unit.
    """

    weighted_sum: Tensor
    weight: Tensor
    highest_score: Tensor
    highest: Tensor

    @classmethod
    def of_first(cls, outputs: Tensor, scores: Tensor) -> RunningPool:
        """The pool of the first outputs (B, W) with their scores (B, 1)."""
        scores = scores.double()
        return cls(outputs.double(), torch.ones_like(scores), scores, outputs)

    def add(self, outputs: Tensor, scores: Tensor) -> RunningPool:
        """The pool with the next outputs (B, W) and their scores (B, 1)."""
        highest_score = torch.maximum(self.highest_score, scores.double())
        fade = (self.highest_score - highest_score).exp()
        factor = (scores.double() - highest_score).exp()
        return RunningPool(
            self.weighted_sum * fade + outputs.double() * factor,
            self.weight * fade + factor,
            highest_score,
            torch.maximum(self.highest, outputs),
        )

    def mean(self) -> Tensor:
        """The weighted mean (B, W) of all outputs so far."""
        return (self.weighted_sum / self.weight).to(self.highest.dtype)


@dataclass(frozen=True, slots=True)
class HeadState:
    """What a head remembers between two frames.

    Attributes:
        earlier: features of the last frames, newest last: (B, longest lag, D).
        carried: what each recurrent layer hands on.
        pool: of the last layer's outputs.
        total: (B, D) float64, the features of all frames so far, summed.
        num_frames: how many these are.
    """

    earlier: Tensor
    carried: tuple[Carried, ...]
    pool: RunningPool
    total: Tensor
    num_frames: int


State = HeadState | tuple[HeadState, ...]
"""What any head remembers: an ensemble has a state for each member."""


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


def step(head: Head, features: Tensor, state: State | None) -> tuple[Tensor, State]:
    """Show one more frame to a head.

    Args:
        head: in evaluation; one that passes ``check_can_step``.
        features: (B, D) of the frame.
        state: as the step before gave it; None for the first frame.

    Returns:
        Logits (B, K) of the clip up to this frame, and the state for the next step.
    """
    if isinstance(head, EnsembleHead):
        states = state if isinstance(state, tuple) else (None,) * len(head.members)
        steps = [
            _step_one(member, features, before)
            for member, before in zip(head.members, states, strict=True)
        ]
        logits = torch.stack([logits for logits, _ in steps]).mean(dim=0)
        return logits, tuple(after for _, after in steps)
    return _step_one(head, features, None if isinstance(state, tuple) else state)


def _step_one(
    head: nn.Module, features: Tensor, state: HeadState | None
) -> tuple[Tensor, HeadState]:
    if isinstance(head, MeanLinearHead):
        pool = _pooled(state, features, features.new_zeros(features.shape[0], 1))
        logits: Tensor = head.classify(pool.mean())
        return logits, HeadState(features[:, None, :0], (), pool, *_summed(state, features))
    if isinstance(head, RecurrentHead):
        return _step_recurrent(head, features, state)
    raise TypeError(f"no step is known for {type(head).__name__}")


def _step_recurrent(
    head: RecurrentHead, features: Tensor, state: HeadState | None
) -> tuple[Tensor, HeadState]:
    lags = head.spec.differences
    if state is None:  # the first frames are compared with the first frame
        earlier = features[:, None].expand(-1, max(lags, default=0), -1)
    else:
        earlier = state.earlier
    total, num_frames = _summed(state, features)
    mean = (total / num_frames).to(features.dtype) if head.spec.departures else None
    x = beside(features, [earlier[:, -lag] for lag in lags], mean, head.spec)
    x = head.normalise(head.project(x))[:, None]  # (B, 1, width): a sequence of one
    carried = []
    for index, layer in enumerate(head.layers):
        x, after = layer(x, state.carried[index] if state else None)
        carried.append(after)
    outputs = x[:, 0]
    scores = outputs.new_zeros(outputs.shape[0], 1)
    if head.score_frames is not None:
        scores = head.score_frames(outputs)
    pool = _pooled(state, outputs, scores)
    pooled = _POOLINGS[head.spec.pooling](outputs, pool)
    logits: Tensor = head.classify(head.dense(pooled))
    if lags:
        earlier = torch.cat([earlier[:, 1:], features[:, None]], dim=1)
    return logits, HeadState(earlier, tuple(carried), pool, total, num_frames)


_POOLINGS: dict[str, Callable[[Tensor, RunningPool], Tensor]] = {
    "last": lambda outputs, _pool: outputs,
    "mean": lambda _outputs, pool: pool.mean(),
    "attention": lambda _outputs, pool: pool.mean(),
    "max": lambda _outputs, pool: pool.highest,
    "mean-max": lambda _outputs, pool: torch.cat([pool.mean(), pool.highest], dim=1),
}


def _pooled(state: HeadState | None, outputs: Tensor, scores: Tensor) -> RunningPool:
    if state is None:
        return RunningPool.of_first(outputs, scores)
    return state.pool.add(outputs, scores)


def _summed(state: HeadState | None, features: Tensor) -> tuple[Tensor, int]:
    """The features of all frames so far, summed, and their number."""
    if state is None:
        return features.double(), 1
    return state.total + features.double(), state.num_frames + 1
