from __future__ import annotations

import numpy as np
import pytest
import torch

from filmstrip.model.head import build_head
from filmstrip.model.specs import RecurrentHeadSpec
from filmstrip.model.streaming import HeadState, RunningPool, step


def _num_elements(state: HeadState) -> int:
    carried = [part for layer in state.carried for part in layer]
    pool = state.pool
    tensors = [state.earlier, state.total, *carried]
    tensors += [pool.weighted_sum, pool.weight, pool.highest]
    return sum(tensor.numel() for tensor in tensors)


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
    pool = RunningPool.of_first(torch.tensor(outputs[:1]), torch.tensor(scores[:1, None]))
    for output, score in zip(outputs[1:], scores[1:], strict=True):
        pool = pool.add(torch.tensor(output[None]), torch.tensor([[score]]))
    weights = np.exp(scores - scores.max())
    expected = (weights[:, None] * outputs).sum(axis=0) / weights.sum()
    np.testing.assert_allclose(pool.mean()[0].numpy(), expected, atol=1e-12)


def test_a_mean_over_a_million_frames_is_still_exact() -> None:
    pool = RunningPool.of_first(torch.full((1, 1), 0.1), torch.zeros(1, 1))
    value, zero = torch.full((1, 1), 0.1), torch.zeros(1, 1)
    for _ in range(20_000):
        pool = pool.add(value, zero)
    pool = RunningPool(pool.weighted_sum * 50, pool.weight * 50, pool.highest_score, pool.highest)
    for _ in range(1000):
        pool = pool.add(torch.full((1, 1), 1.1), zero)
    expected = (0.1 * 20_001 * 50 + 1.1 * 1000) / (20_001 * 50 + 1000)
    assert pool.mean().item() == pytest.approx(expected, rel=1e-6)
