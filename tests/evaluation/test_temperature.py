"""The temperature against torch's own optimiser and brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_logits import random_logits
from scipy.special import log_softmax, softmax
from scipy.stats import norm
from torch.nn.functional import cross_entropy

from filmstrip.evaluation.calibration import expected_calibration_error
from filmstrip.evaluation.temperature import PRIOR_DEVIATION, fit_temperature

SEEDS = st.integers(0, 10_000)


def temperature_by_torch(logits: np.ndarray, labels: np.ndarray) -> float:
    """Another optimiser, on another parameter, by gradients."""
    z, y = torch.tensor(logits), torch.tensor(labels)
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([scale], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = cross_entropy(z * scale, y)
        loss.backward()
        return loss

    optimiser.step(closure)
    return 1 / float(scale.detach())


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS, sharpness=st.floats(0.3, 6.0))
def test_the_temperature_is_that_of_an_independent_optimiser(seed: int, sharpness: float) -> None:
    logits, labels = random_logits(seed, sharpness=sharpness)
    expected = temperature_by_torch(logits, labels)
    assert fit_temperature(logits, labels) == pytest.approx(expected, rel=1e-3)


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS, sharpness=st.floats(0.3, 6.0))
def test_logits_that_were_scaled_have_the_temperature_one(seed: int, sharpness: float) -> None:
    logits, labels = random_logits(seed, sharpness=sharpness)
    scaled = logits / fit_temperature(logits, labels)
    assert fit_temperature(scaled, labels) == pytest.approx(1, rel=1e-3)
    assert (scaled.argmax(axis=1) == logits.argmax(axis=1)).all()


def test_a_model_that_is_too_sure_is_cooled_and_its_calibration_error_falls() -> None:
    logits, labels = random_logits(0, num_clips=3000, sharpness=4)
    temperature = fit_temperature(logits[:1500], labels[:1500])
    held_out, truth = logits[1500:], labels[1500:]
    before = expected_calibration_error(softmax(held_out, axis=1), truth)
    after = expected_calibration_error(softmax(held_out / temperature, axis=1), truth)
    assert temperature > 2
    assert after < before / 3


def test_clips_that_are_all_answered_rightly_cannot_tell_a_temperature_by_themselves() -> None:
    logits, labels = random_logits(0)
    right = logits.argmax(axis=1) == labels
    assert 0 < right.sum() < len(right)
    assert fit_temperature(logits[right], labels[right]) == 1.0


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS, sharpness=st.floats(0.3, 6.0), deviation=st.floats(0.1, 2.0))
def test_with_a_prior_the_temperature_is_the_most_probable_of_a_fine_grid(
    seed: int, sharpness: float, deviation: float
) -> None:
    logits, labels = random_logits(seed, num_clips=14, sharpness=sharpness)
    grid = np.linspace(np.log(0.05), np.log(20), 6001)
    likelihoods = [
        log_softmax(logits / np.exp(u), axis=1)[np.arange(14), labels].sum() for u in grid
    ]
    best = grid[np.argmax(np.array(likelihoods) + norm.logpdf(grid, scale=deviation))]
    assert fit_temperature(logits, labels, deviation) == pytest.approx(np.exp(best), rel=2e-3)


def test_a_prior_says_much_to_few_clips_and_nothing_to_many() -> None:
    logits, labels = random_logits(1, num_clips=6000, sharpness=2)
    by_many = fit_temperature(logits, labels)
    assert fit_temperature(logits, labels, PRIOR_DEVIATION) == pytest.approx(by_many, rel=0.01)
    parts = [slice(first, first + 14) for first in range(0, 2800, 14)]
    alone = np.log([fit_temperature(logits[part], labels[part]) for part in parts])
    held = np.log([fit_temperature(logits[part], labels[part], PRIOR_DEVIATION) for part in parts])
    errors = [np.square(found - np.log(by_many)).mean() for found in (held, alone)]
    assert errors[0] < errors[1] / 1.5


def test_clips_that_are_all_answered_rightly_make_a_model_surer_but_not_certain() -> None:
    logits, labels = random_logits(0)
    right = logits.argmax(axis=1) == labels
    assert 0.1 < fit_temperature(logits[right], labels[right], PRIOR_DEVIATION) < 1


def test_logits_that_are_worse_than_a_guess_are_flattened_as_far_as_the_bound() -> None:
    assert fit_temperature([[5.0, 0.0], [5.0, 0.0]], [1, 1]) == pytest.approx(20, rel=1e-3)


def test_great_logits_do_not_overflow() -> None:
    logits, labels = random_logits(3)
    scaled = fit_temperature(5 * logits, labels)
    assert scaled == pytest.approx(5 * fit_temperature(logits, labels), rel=1e-3)
    assert np.isfinite(fit_temperature(1e6 * logits, labels))
