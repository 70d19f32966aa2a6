from __future__ import annotations

import numpy as np
import pytest
import torch

from filmstrip.model.head import build_head
from filmstrip.model.specs import RecurrentHeadSpec
from filmstrip.model.streaming import RunningPool, State, begin, map_tensors, step


def _num_elements(state: State) -> int:
    sizes: list[int] = []
    map_tensors(lambda part: sizes.append(part.numel()) or part, state)
    return sum(sizes)


@torch.no_grad()
def test_the_state_stays_as_small_as_after_the_first_frame() -> None:
    spec = RecurrentHeadSpec(hidden=(4,), differences=(1, 3), departures=True, pooling="mean-max")
    head = build_head(spec, 6, 2).eval()
    _, state = step(head, torch.randn(1, 6), None)
    first = _num_elements(state)
    for _ in range(200):
        _, state = step(head, torch.randn(1, 6), state)
    assert _num_elements(state) == first


@torch.no_grad()
def test_an_older_state_stays_valid() -> None:
    head = build_head(RecurrentHeadSpec(hidden=(4,), differences=(2,)), 6, 2).eval()
    frames = torch.randn(5, 1, 6)
    _, start = step(head, frames[0], None)
    first, _ = step(head, frames[1], start)
    step(head, frames[2], start)
    again, _ = step(head, frames[1], start)
    assert torch.equal(first, again)


def test_scores_of_any_size_weigh_as_the_softmax_says() -> None:
    rng = np.random.default_rng(0)
    outputs, scores = rng.normal(size=(40, 3)), rng.normal(0, 300, size=40)
    scores[7] = 2000
    pool = RunningPool.empty(torch.tensor(outputs[:1]))
    for output, score in zip(outputs, scores, strict=True):
        pool = pool.add(torch.tensor(output[None]), torch.tensor([[score]]))
    weights = np.exp(scores - scores.max())
    expected = (weights[:, None] * outputs).sum(axis=0) / weights.sum()
    np.testing.assert_allclose(pool.mean()[0].numpy(), expected, atol=1e-12)


def test_a_mean_over_a_million_frames_is_still_exact() -> None:
    value, zero = torch.full((1, 1), 0.1), torch.zeros(1, 1)
    pool = RunningPool.empty(value).add(value, zero)
    for _ in range(20_000):
        pool = pool.add(value, zero)
    pool = RunningPool(pool.weighted_sum * 50, pool.weight * 50, pool.highest_score, pool.highest)
    for _ in range(1000):
        pool = pool.add(torch.full((1, 1), 1.1), zero)
    expected = (0.1 * 20_001 * 50 + 1.1 * 1000) / (20_001 * 50 + 1000)
    assert pool.mean().item() == pytest.approx(expected, rel=1e-6)


def test_a_mean_is_attention_whose_scores_are_all_the_same() -> None:
    outputs = torch.randn(30, 2, 3)
    plain = scored = RunningPool.empty(outputs[0])
    for output in outputs:
        plain, scored = plain.add(output, None), scored.add(output, torch.zeros(2, 1))
    torch.testing.assert_close(plain.mean(), outputs.mean(dim=0))
    torch.testing.assert_close(scored.mean(), outputs.mean(dim=0))


@torch.no_grad()
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_sequences_of_unequal_length_share_a_step_and_are_answered_as_if_alone(cell: str) -> None:
    spec = RecurrentHeadSpec(
        cell=cell, hidden=(4, 5), differences=(1, 3), departures=True, members=2
    )
    head = build_head(spec, 6, 3).eval()
    features = torch.randn(5, 2, 6)
    states = [begin(head, features[0, :1]), begin(head, features[0, 1:])]
    for number in range(3):  # only the first one has begun
        _, states[0] = step(head, features[number, :1], states[0])
    logits, after = step(head, features[3], State.join(states))
    for row in range(2):
        alone, alone_after = step(head, features[3, row : row + 1], states[row])
        torch.testing.assert_close(logits[row : row + 1], alone)
        map_tensors(
            lambda one, other: torch.testing.assert_close(one, other) or one,
            after.rows(row, 1),
            alone_after,
        )
    assert after.num_frames.tolist() == [[4], [1]]
