"""Sequences of unequal length through recurrent layers, as if their padding were not there.

torch packs them: padding costs nothing and the backward direction begins at each clip's own end.
An exported graph knows no packed sequences. While ``torch.export`` looks on, the same calls work
on the padded batch: one direction never sees the padding behind a clip, the other reads the clip
turned round within its length. The numbers are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence


@dataclass(frozen=True, slots=True)
class PaddedSequence:
    """What stands for a packed sequence in a graph.

    Attributes:
        data: (B, T, W), with anything behind each length.
        lengths: (B,) int64.
    """

    data: Tensor
    lengths: Tensor


Sequences = PackedSequence | PaddedSequence


def embed_real(embed: Callable[[Tensor], Tensor], clips: Tensor, lengths: Tensor) -> Tensor:
    """Features (B, T, D) of ``clips`` (B, T, …) whose real frames ``embed`` turns to (N, D).

    Features of padding are 0; in a graph, whose passes have the same shape whatever the lengths,
    they are those of what stands there. Neither moves a logit.
    """
    if torch.compiler.is_exporting():
        batch, time = clips.shape[:2]
        embedded = embed(clips.flatten(0, 1))  # (B · T, D)
        return embedded.reshape(batch, time, embedded.shape[1])
    steps = torch.arange(clips.shape[1], device=clips.device)
    is_real = steps[None, :] < lengths.to(clips.device)[:, None]  # (B, T)
    embedded = embed(clips[is_real])  # (sum(lengths), D)
    features = embedded.new_zeros(*is_real.shape, embedded.shape[1])
    features[is_real] = embedded
    return features


def temporal_crops(padded: Tensor, lengths: Tensor, num_crops: int) -> tuple[Tensor, Tensor]:
    """Runs of each clip's frames, four fifths of them each, spread from its start to its end.

    Args:
        padded: (B, T, W).
        lengths: (B,) int64.
        num_crops: how many, two or more.

    Returns:
        The runs, those of a clip one after the other, (B · num_crops, T, W), and their lengths
        (B · num_crops,).
    """
    lengths = lengths.to(padded.device)
    num_steps, width = padded.shape[1:]
    kept = (4 * lengths + 4) // 5
    numbers = torch.arange(num_crops, device=padded.device, dtype=torch.float64)
    starts = ((lengths - kept).double()[:, None] * numbers / (num_crops - 1)).round().long()
    places = starts[:, :, None] + torch.arange(num_steps, device=padded.device)  # (B, crops, T)
    runs = _at(padded, places.clamp(max=num_steps - 1).flatten(1))  # (B, crops · T, W)
    return runs.reshape(-1, num_steps, width), kept[:, None].expand(-1, num_crops).reshape(-1)


def pack(padded: Tensor, lengths: Tensor) -> Sequences:
    """The real steps of ``padded`` (B, T, W) with ``lengths`` (B,), each in [1, T]."""
    if torch.compiler.is_exporting():
        return PaddedSequence(padded, lengths)
    return pack_padded_sequence(padded, lengths.cpu(), batch_first=True, enforce_sorted=False)


def unpack(sequences: Sequences) -> Tensor:
    """Padded again, (B, T, W); what stands behind a clip's length means nothing."""
    if isinstance(sequences, PaddedSequence):
        return sequences.data
    return pad_packed_sequence(sequences, batch_first=True)[0]


def map_steps(module: nn.Module, sequences: Sequences) -> Sequences:
    """``module`` applied to all steps at once, (N, W)."""
    if isinstance(sequences, PaddedSequence):
        batch, time, _ = sequences.data.shape
        mapped: Tensor = module(sequences.data.flatten(0, 1))  # (B · T, W)
        return PaddedSequence(mapped.reshape(batch, time, mapped.shape[1]), sequences.lengths)
    return PackedSequence(
        module(sequences.data),
        sequences.batch_sizes,
        sequences.sorted_indices,
        sequences.unsorted_indices,
    )


def read(layer: nn.Module, sequences: Sequences) -> tuple[Sequences, Tensor]:
    """What a GRU or LSTM of one layer gives: outputs, and final state (directions, B, hidden)."""
    if isinstance(sequences, PaddedSequence) and isinstance(layer, nn.GRU | nn.LSTM):
        return _read_padded(layer, sequences)
    outputs, carried = layer(sequences)
    return outputs, carried[0] if isinstance(carried, tuple) else carried


def _read_padded(
    layer: nn.GRU | nn.LSTM, sequences: PaddedSequence
) -> tuple[PaddedSequence, Tensor]:
    steps = torch.arange(sequences.data.shape[1], device=sequences.data.device)[None]  # (1, T)
    last = sequences.lengths.to(steps.device)[:, None] - 1  # (B, 1)
    outputs = _one_way(layer, sequences.data, "l0")
    final = [_at(outputs, last)]
    if layer.bidirectional:
        turned = torch.where(steps <= last, last - steps, steps)  # (B, T), its own inverse
        backward = _one_way(layer, _at(sequences.data, turned), "l0_reverse")
        final.append(_at(backward, last))
        outputs = torch.cat([outputs, _at(backward, turned)], dim=2)
    return PaddedSequence(outputs, sequences.lengths), torch.cat(final, dim=1).transpose(0, 1)


def _at(sequence: Tensor, steps: Tensor) -> Tensor:
    """(B, S, W) of ``sequence`` (B, T, W) at ``steps`` (B, S)."""
    return sequence.gather(1, steps[:, :, None].expand(-1, -1, sequence.shape[2]))


def _one_way(layer: nn.GRU | nn.LSTM, x: Tensor, which: str) -> Tensor:
    """Outputs (B, T, hidden) of one direction of a layer, which has one layer of its own."""
    names = (f"{kind}_{which}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    weights = [getattr(layer, name) for name in names]
    start = x.new_zeros(1, x.shape[0], layer.hidden_size)
    settings = (True, 1, 0.0, False, False, True)  # biases, layers, dropout, train, both, batch
    if isinstance(layer, nn.LSTM):
        outputs: Tensor = torch.ops.aten.lstm.input(x, [start, start], weights, *settings)[0]
    else:
        outputs = torch.ops.aten.gru.input(x, start, weights, *settings)[0]
    return outputs
