"""Heads: a sequence of features to logits, with exact masks.

A head takes an integer width and never sees a backbone. Frames at or beyond a clip's length are
padding: no head lets them move a logit.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from filmstrip.model.packing import Sequences, map_steps, pack, read, unpack
from filmstrip.model.specs import HeadSpec, MeanLinearHeadSpec, RecurrentHeadSpec


class Head(nn.Module):
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
        width = num_features * (1 + len(spec.differences))
        self.project: nn.Module = nn.Identity()
        if spec.projection:
            self.project = nn.Linear(width, spec.projection)
            width = spec.projection
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
        x = self.project(with_differences(features, self.spec.differences))
        packed = pack(self.input_dropout(x), lengths)
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


def build_head(spec: HeadSpec, num_features: int, num_classes: int) -> Head:
    """The head that ``spec`` describes, with fresh weights."""
    if isinstance(spec, MeanLinearHeadSpec):
        return MeanLinearHead(num_features, num_classes)
    return RecurrentHead(spec, num_features, num_classes)


def with_differences(features: Tensor, lags: tuple[int, ...]) -> Tensor:
    """Features beside their change over each lag: (B, T, D) to (B, T, D · (1 + len(lags))).

    The first ``lag`` frames are compared with the first frame, so nothing looks ahead.
    """
    num_frames = features.shape[1]
    parts = [features]
    for lag in lags:
        first = features[:, :1].expand(-1, lag, -1)
        earlier = torch.cat([first, features], dim=1)[:, :num_frames]  # (B, T, D)
        parts.append(features - earlier)
    return torch.cat(parts, dim=2)


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
