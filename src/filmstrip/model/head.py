"""Heads: a sequence of features to logits, with exact masks.

A head takes an integer width and never sees a backbone. Frames at or beyond a clip's length are
padding: no head lets them move a logit.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from filmstrip.model.packing import Sequences, map_steps, pack, read, unpack
from filmstrip.model.specs import HeadSpec, MeanLinearHeadSpec, RecurrentHeadSpec


class Network(nn.Module):
    """What can be trained: ``(sequences, lengths)`` to logits (B, K)."""

    def member_logits(self, sequences: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, M, K) of each member by itself: training shows each its own mistakes."""
        logits: Tensor = self(sequences, lengths)
        return logits[:, None]


class Head(Network):
    """What reads a sequence of features.

    Calling it takes ``features`` (B, T, D) float and ``lengths`` (B,) int64, each in [1, T], and
    gives ``logits`` (B, K).
    """

    def regularised_weights(self) -> list[Tensor]:
        """The kernels that an L2 penalty applies to: those of the dense layers."""
        return [module.weight for module in self.modules() if isinstance(module, nn.Linear)]


class MeanLinearHead(Head):
    """The mean over a clip's frames and one linear layer: logistic regression."""

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.classify = nn.Linear(num_features, num_classes)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, K) of ``features`` (B, T, D) with ``lengths`` (B,)."""
        logits: Tensor = self.classify(_masked_mean(features, _mask(features, lengths)))
        return logits


class RecurrentHead(Head):
    """Recurrent layers, pooled over time, then dense layers."""

    def __init__(self, spec: RecurrentHeadSpec, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.spec = spec
        width = num_features * num_parts(spec)
        self.project: nn.Module = nn.Identity()
        if spec.projection:
            self.project = nn.Linear(width, spec.projection)
            width = spec.projection
        self.normalise = FrameNorm(width) if spec.input_norm else nn.Identity()
        cell = {"lstm": nn.LSTM, "gru": nn.GRU}[spec.cell]
        self.layers = nn.ModuleList()
        for hidden in spec.hidden:
            layer = cell(width, hidden, batch_first=True, bidirectional=spec.bidirectional)
            _initialise(layer)
            self.layers.append(layer)
            width = hidden * (2 if spec.bidirectional else 1)
        self.score_frames = nn.Linear(width, 1) if spec.pooling == "attention" else None
        if spec.pooling == "mean-max":
            width *= 2
        self.input_dropout = nn.Dropout(spec.input_dropout)
        self.layer_dropout = nn.Dropout(spec.layer_dropout)
        self.dropout = nn.Dropout(spec.dropout)
        self.dense = nn.Sequential()
        for units in spec.dense:
            self.dense.extend([nn.Linear(width, units), nn.ReLU()])
            width = units
        self.classify = nn.Linear(width, num_classes)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, K) of ``features`` (B, T, D) with ``lengths`` (B,)."""
        x = self.project(with_changes(features, lengths, self.spec))
        packed = map_steps(self.normalise, pack(x, lengths))
        packed = map_steps(self.input_dropout, packed)
        state = torch.empty(0)
        for index, layer in enumerate(self.layers):
            if index:
                packed = map_steps(self.layer_dropout, packed)
            packed, state = read(layer, packed)
        pooled = self._pool(packed, state, lengths)
        logits: Tensor = self.classify(self.dense(self.dropout(pooled)))
        return logits

    def _pool(self, packed: Sequences, state: Tensor, lengths: Tensor) -> Tensor:
        """(B, width) from the last layer's outputs and its final state (directions, B, hidden)."""
        if self.spec.pooling == "last":
            return torch.cat(list(state), dim=1)
        outputs = unpack(packed)
        mask = _mask(outputs, lengths)
        if self.score_frames is not None:
            scores = self.score_frames(outputs).masked_fill(~mask, -torch.inf)
            attended: Tensor = (scores.softmax(dim=1) * outputs).sum(dim=1)
            return attended
        if self.spec.pooling == "mean":
            return _masked_mean(outputs, mask)
        highest = outputs.masked_fill(~mask, -torch.inf).amax(dim=1)
        if self.spec.pooling == "max":
            return highest
        return torch.cat([_masked_mean(outputs, mask), highest], dim=1)


class FrameNorm(nn.BatchNorm1d):
    """Batch normalisation of frames (N, D); a lone frame, in training, by what was seen before."""

    def forward(self, frames: Tensor) -> Tensor:
        """Normalised frames, (N, D)."""
        if self.training and len(frames) == 1:
            return F.batch_norm(
                frames, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(frames)


class EnsembleHead(Head):
    """Recurrent heads of one kind, each from its own random weights; their logits are averaged."""

    def __init__(self, spec: RecurrentHeadSpec, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.spec = spec
        self.members = nn.ModuleList(
            RecurrentHead(spec, num_features, num_classes) for _ in range(spec.members)
        )

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, K) of ``features`` (B, T, D) with ``lengths`` (B,)."""
        return self.member_logits(features, lengths).mean(dim=1)

    def member_logits(self, sequences: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, M, K) of features (B, T, D)."""
        return torch.stack([member(sequences, lengths) for member in self.members], dim=1)


def build_head(spec: HeadSpec, num_features: int, num_classes: int) -> Head:
    """The head that ``spec`` describes, with fresh weights."""
    if isinstance(spec, MeanLinearHeadSpec):
        return MeanLinearHead(num_features, num_classes)
    if spec.members > 1:
        return EnsembleHead(spec, num_features, num_classes)
    return RecurrentHead(spec, num_features, num_classes)


def with_changes(features: Tensor, lengths: Tensor, spec: RecurrentHeadSpec) -> Tensor:
    """Features (B, T, D) beside what ``spec`` asks for of their changes, along the last axis.

    The first ``lag`` frames are compared with the first frame, so nothing looks ahead but the
    departures of a head that reads both ways.
    """
    num_frames = features.shape[1]
    earlier = []
    for lag in spec.differences:
        first = features[:, :1].expand(-1, lag, -1)
        earlier.append(torch.cat([first, features], dim=1)[:, :num_frames])
    mean = None
    if spec.departures and spec.bidirectional:
        mean = _masked_mean(features, _mask(features, lengths))[:, None]  # (B, 1, D)
    elif spec.departures:
        counts = torch.arange(1, num_frames + 1, device=features.device)
        mean = features.cumsum(dim=1) / counts[:, None]  # (B, T, D)
    return beside(features, earlier, mean, spec)


def beside(
    features: Tensor,
    earlier: Sequence[Tensor],
    mean: Tensor | None,
    spec: RecurrentHeadSpec,
) -> Tensor:
    """What the recurrent layers read of features (…, D) at one time or at many.

    Args:
        features: at that time.
        earlier: (…, D) for each lag of ``spec.differences``, the features so many frames before.
        mean: (…, D), of the clip up to and with that time, or whole; for departures only.
        spec: says which parts there are.

    Returns:
        (…, D · ``num_parts(spec)``).
    """
    changes = [features - past for past in earlier]
    parts = [features, *changes]
    if spec.magnitudes:
        parts += [change.abs() for change in changes]
    if mean is not None:
        parts.append(features - mean)
    return torch.cat(parts, dim=-1)


def num_parts(spec: RecurrentHeadSpec) -> int:
    """How many times the width of the features ``beside`` gives."""
    return 1 + len(spec.differences) * (1 + spec.magnitudes) + spec.departures


def _mask(sequence: Tensor, lengths: Tensor) -> Tensor:
    """(B, T, 1) bool, true where a frame is real."""
    steps = torch.arange(sequence.shape[1], device=sequence.device)
    return (steps[None, :] < lengths.to(sequence.device)[:, None])[:, :, None]


def _masked_mean(sequence: Tensor, mask: Tensor) -> Tensor:
    return sequence.masked_fill(~mask, 0).sum(dim=1) / mask.sum(dim=1)


def _initialise(layer: nn.Module) -> None:
    """Glorot input kernels, orthogonal recurrent kernels, zero biases, and an open forget gate.

    These are Keras's choices, whose published examples several recipes follow, made for each gate
    by itself (Keras draws all gates as one matrix); torch's own default draws everything from one
    narrow uniform distribution.
    """
    is_lstm = isinstance(layer, nn.LSTM)
    for name, parameter in layer.named_parameters():
        gates = parameter.chunk(4 if is_lstm else 3)
        if name.startswith("weight_ih"):
            for gate in gates:
                nn.init.xavier_uniform_(gate)
        elif name.startswith("weight_hh"):
            for gate in gates:
                nn.init.orthogonal_(gate)
        else:
            nn.init.zeros_(parameter)
            if is_lstm and name.startswith("bias_ih"):
                nn.init.ones_(gates[1])
