from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filmstrip.evaluation.significance import compare

PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


def exact_p_value(only_first: int, only_second: int) -> float:
    """Twice the smaller tail of a fair coin, at most 1: the formula in McNemar's exact test."""
    num_tosses = only_first + only_second
    tail = sum(comb(num_tosses, heads) for heads in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / 2**num_tosses)


@settings(deadline=None, max_examples=50)
@given(pairs=PAIRS)
def test_the_p_value_is_that_of_the_formula_and_the_counts_are_those_of_the_clips(
    pairs: list[tuple[bool, bool]],
) -> None:
    first, second = (np.array(column) for column in zip(*pairs, strict=True))
    comparison = compare(first, second, num_resamples=20)
    assert comparison.p_value == pytest.approx(
        exact_p_value(comparison.only_first, comparison.only_second)
    )
    assert comparison.num_clips == len(pairs)
    assert comparison.first_accuracy == pytest.approx(first.mean())
    assert comparison.second_accuracy == pytest.approx(second.mean())
    assert comparison.difference == pytest.approx(second.mean() - first.mean())
    low, high = comparison.interval
    assert low <= comparison.difference <= high


@settings(deadline=None, max_examples=20)
@given(pairs=PAIRS)
def test_exchanging_the_two_exchanges_the_signs_only(pairs: list[tuple[bool, bool]]) -> None:
    first, second = (np.array(column) for column in zip(*pairs, strict=True))
    there, back = compare(first, second, seed=1), compare(second, first, seed=1)
    assert there.p_value == back.p_value
    assert there.difference == -back.difference
    assert there.interval == pytest.approx([-back.interval[1], -back.interval[0]])


def test_equally_good_models_are_seldom_told_apart_and_a_better_one_nearly_always() -> None:
    rng = np.random.default_rng(0)
    same, better = 0, 0
    for _ in range(200):
        base = rng.random(200) < 0.7
        same += compare(base, rng.random(200) < 0.7, num_resamples=1).p_value < 0.05
        better += compare(base, rng.random(200) < 0.9, num_resamples=1).p_value < 0.05
    assert same / 200 < 0.08
    assert better / 200 > 0.95


def test_whole_groups_are_drawn_for_the_interval() -> None:
    first, second = np.zeros(40, bool), np.arange(40) < 20
    alone = compare(first, second)
    grouped = compare(first, second, [f"recording {number // 10}" for number in range(40)])
    assert (alone.units, alone.num_units) == ("clips", 40)
    assert (grouped.units, grouped.num_units) == ("groups", 4)
    assert np.diff(grouped.interval) > 2 * np.diff(alone.interval)
    assert grouped.p_value == alone.p_value


@pytest.mark.parametrize(("first", "second"), [([], []), ([True], [True, False]), (True, True)])
def test_what_are_not_the_same_clips_are_refused(first: object, second: object) -> None:
    with pytest.raises(ValueError, match="not the same clips"):
        compare(first, second)
