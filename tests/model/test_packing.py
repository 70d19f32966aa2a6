from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from filmstrip.model.packing import (
    PaddedSequence,
    embed_real,
    map_steps,
    pack,
    read,
    temporal_crops,
    unpack,
)

LENGTHS = torch.tensor([3, 7, 1, 5])


@pytest.fixture
def padded() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(4, 7, 6)


def _both(monkeypatch: pytest.MonkeyPatch, call):
    """What ``call`` gives as it is, and while ``torch.export`` looks on."""
    packed = call()
    with monkeypatch.context() as patch:
        patch.setattr(torch.compiler, "is_exporting", lambda: True)
        return packed, call()


@pytest.mark.parametrize("cell", [nn.GRU, nn.LSTM])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_layer_reads_a_padded_batch_as_a_packed_one(
    monkeypatch: pytest.MonkeyPatch, padded: torch.Tensor, cell: type, bidirectional: bool
) -> None:
    layer = cell(6, 5, batch_first=True, bidirectional=bidirectional)

    def call():
        outputs, state = read(layer, pack(padded, LENGTHS))
        return unpack(outputs), state

    (outputs, state), (graph_outputs, graph_state) = _both(monkeypatch, call)
    torch.testing.assert_close(graph_state, state)
    for clip, graph_clip, length in zip(outputs, graph_outputs, LENGTHS, strict=True):
        torch.testing.assert_close(graph_clip[:length], clip[:length])


def test_what_stands_behind_a_clip_moves_nothing(
    monkeypatch: pytest.MonkeyPatch, padded: torch.Tensor
) -> None:
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    layer = nn.GRU(6, 5, batch_first=True, bidirectional=True)
    _, state = read(layer, pack(padded, LENGTHS))
    padded[torch.arange(7) >= LENGTHS[:, None]] = 1e6
    assert torch.equal(read(layer, pack(padded, LENGTHS))[1], state)


def test_a_module_sees_steps_not_clips(
    monkeypatch: pytest.MonkeyPatch, padded: torch.Tensor
) -> None:
    norm = nn.BatchNorm1d(6).eval()
    norm.running_mean.normal_()
    packed, graph = _both(monkeypatch, lambda: unpack(map_steps(norm, pack(padded, LENGTHS))))
    for clip, graph_clip, length in zip(packed, graph, LENGTHS, strict=True):
        torch.testing.assert_close(graph_clip[:length], clip[:length])


def test_only_real_frames_are_embedded_but_in_a_graph(
    monkeypatch: pytest.MonkeyPatch, padded: torch.Tensor
) -> None:
    seen = []

    def embed(frames: torch.Tensor) -> torch.Tensor:
        seen.append(len(frames))
        return frames * 2

    packed, graph = _both(monkeypatch, lambda: embed_real(embed, padded, LENGTHS))
    assert seen == [int(LENGTHS.sum()), 28]
    for clip, graph_clip, source, length in zip(packed, graph, padded, LENGTHS, strict=True):
        assert torch.equal(clip[:length], 2 * source[:length])
        assert torch.equal(graph_clip[:length], clip[:length])
        assert not clip[length:].any()


def test_outside_of_an_export_nothing_is_padded(padded: torch.Tensor) -> None:
    assert not isinstance(pack(padded, LENGTHS), PaddedSequence)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=4), st.integers(2, 9))
def test_temporal_crops_reach_from_the_start_of_a_clip_to_its_end(
    lengths: list[int], num_crops: int
) -> None:
    numbers = torch.arange(60.0).repeat(len(lengths), 1)[:, :, None]  # each frame is its number
    crops, kept = temporal_crops(numbers, torch.tensor(lengths), num_crops)
    assert crops.shape == (len(lengths) * num_crops, 60, 1)
    for place, length in enumerate(lengths):
        own = range(place * num_crops, (place + 1) * num_crops)
        runs = [crops[number, : kept[number], 0].int().tolist() for number in own]
        firsts = [run[0] for run in runs]
        assert runs == [list(range(first, first + len(runs[0]))) for first in firsts]
        assert {len(run) for run in runs} == {math.ceil(4 * length / 5)}
        assert (firsts[0], runs[-1][-1]) == (0, length - 1)
        assert firsts == sorted(firsts)
