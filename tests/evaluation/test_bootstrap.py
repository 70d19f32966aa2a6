from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filmstrip.evaluation.bootstrap import (
    Units,
    draws,
    interval,
    interval_of_mean,
    interval_without_spread,
    wilson_interval,
)
from filmstrip.evaluation.metrics import evaluate


@settings(deadline=None, max_examples=25)
@given(groups=st.lists(st.sampled_from("abcdef"), min_size=3, max_size=40), seed=st.integers(0, 99))
def test_the_clips_of_a_group_are_drawn_together_and_as_many_groups_as_there_are(
    groups: list[str], seed: int
) -> None:
    units = Units.of(groups, len(groups))
    weights = np.concatenate(list(draws(units, 20, seed)))
    assert weights.shape == (20, len(groups))
    if units.name == "groups":
        names = sorted(set(groups))
        firsts = [groups.index(name) for name in names]
        assert units.num_units == len(names)
        assert (weights[:, firsts].sum(axis=1) == len(names)).all()
        for name, first in zip(names, firsts, strict=True):
            members = [place for place, group in enumerate(groups) if group == name]
            assert (weights[:, members] == weights[:, [first]]).all()


@pytest.mark.parametrize("groups", [None, ["a", "b", "c"], ["one", "one", "one"]])
def test_without_two_groups_of_several_clips_the_clips_are_drawn(groups: list[str] | None) -> None:
    units = Units.of(groups, 3)
    assert (units.name, units.num_units) == ("clips", 3)
    assert (np.concatenate(list(draws(units, 9, 0))).sum(axis=1) == 3).all()


def test_each_unit_is_drawn_once_in_the_mean_and_with_replacement() -> None:
    weights = np.concatenate(list(draws(Units.of(None, 50), 4000, 0)))
    assert np.abs(weights.mean(axis=0) - 1).max() < 0.1
    # A unit is left out with probability (1 - 1/50)^50.
    assert (weights == 0).mean() == pytest.approx((1 - 1 / 50) ** 50, abs=0.01)


def test_fewer_resamples_are_the_first_of_more() -> None:
    units = Units.of(None, 30)
    many = np.concatenate(list(draws(units, 40, 5)))
    assert (np.concatenate(list(draws(units, 10, 5))) == many[:10]).all()
    assert (np.concatenate(list(draws(units, 10, 6))) != many[:10]).any()


def test_groups_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="2 groups do not fit 3 clips"):
        Units.of(["a", "b"], 3)


def test_an_interval_leaves_out_the_tails_and_what_is_unknown() -> None:
    values = np.append(np.arange(101.0), np.nan)
    assert interval(values, 50.0, 0.05) == pytest.approx([5, 95])
    assert interval(values, 99.0, 0.05) == pytest.approx([5, 99])
    assert interval(np.array([np.nan]), 0.0, 0.05) == [0, 1]


def test_the_interval_over_groups_covers_the_truth_where_that_over_clips_does_not() -> None:
    rng = np.random.default_rng(0)
    groups = [f"recording {number // 8}" for number in range(320)]
    covered = {"groups": 0, "clips": 0}
    for trial in range(60):
        right = np.repeat(rng.random(40) < 0.7, 8)  # all clips of a recording go the same way
        probs = np.where(right[:, None], [0.9, 0.1], [0.1, 0.9])
        for given_groups in (groups, None):
            metrics = evaluate(
                probs,
                np.zeros(320, int),
                ["a", "b"],
                groups=given_groups,
                num_resamples=100,
                seed=trial,
            )
            low, high = metrics["intervals"]["accuracy"]
            covered[metrics["resampling"]["units"]] += low <= 0.7 <= high
    assert covered["groups"] / 60 >= 0.85
    assert covered["clips"] / 60 <= 0.7


@pytest.mark.parametrize(("num_right", "num_clips"), [(0, 7), (7, 7), (214, 214), (1, 1)])
def test_an_interval_without_spread_is_wilson_s(num_right: int, num_clips: int) -> None:
    z = NormalDist().inv_cdf(0.975)
    share, n = num_right / num_clips, num_clips
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    margin = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    expected = [middle - margin, middle + margin]
    assert interval_without_spread(share, n) == pytest.approx(expected, abs=1e-12)
    assert wilson_interval(num_right, n) == pytest.approx(expected, abs=1e-12)


def test_a_difference_without_spread_reaches_to_both_sides() -> None:
    low, high = interval_without_spread(0.0, 20, lowest=-1)
    assert low == -high
    assert high == wilson_interval(0, 20)[1]


def test_the_interval_of_equal_values_counts_groups_once() -> None:
    groups = ["a", "a", "b", "b", "c", "c"]
    spread, units = interval_of_mean(np.ones(6), groups)
    assert (units.name, units.num_units) == ("groups", 3)
    assert spread == interval_without_spread(1.0, 3)


def test_an_interval_with_spread_is_the_bootstrap_s() -> None:
    values = np.append(np.zeros(1), np.ones(29))
    low, high = interval_of_mean(values, None)[0]
    assert high == 1
    assert 0.85 < low < 0.97
