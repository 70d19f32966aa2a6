from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from filmstrip.evaluation.ladder import combined, holm, rank
from filmstrip.evaluation.significance import compare

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)
NUM_CLIPS, CLIPS_A_GROUP = 60, 4
CLIPS = [f"{number}.mp4" for number in range(NUM_CLIPS)]
GROUPS = [f"recording {number // CLIPS_A_GROUP}" for number in range(NUM_CLIPS)]


def answers(*shares: float, seed: int = 0) -> list[NDArray[np.bool_]]:
    """Answers to the clips, one array for each share of right ones."""
    rng = np.random.default_rng(seed)
    return [rng.permutation(NUM_CLIPS) < share * NUM_CLIPS for share in shares]


def test_holm_gives_what_r_gives() -> None:
    # p.adjust(c(0.01, 0.04, 0.03, 0.005, 0.5), "holm")
    assert holm([0.01, 0.04, 0.03, 0.005, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.025, 0.5])


@given(p_values=P_VALUES)
def test_holm_rejects_what_its_steps_reject(p_values: list[float]) -> None:
    level = 0.05
    rejected = set()
    for step, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if not p_values[place] * (len(p_values) - step) < level:
            break
        rejected.add(place)
    assert {place for place, p in enumerate(holm(p_values)) if p < level} == rejected
    assert all(a >= p for a, p in zip(holm(p_values), p_values, strict=True))


@given(p_values=P_VALUES, order=st.randoms())
def test_the_combined_p_value_is_a_p_value_whatever_the_order(
    p_values: list[float], order: object
) -> None:
    shuffled = list(p_values)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert combined(p_values) == combined(shuffled)
    assert min(p_values) <= combined(p_values) <= 1
    assert combined(p_values[:1]) == p_values[0]


def test_one_lucky_seed_of_three_is_no_evidence() -> None:
    assert combined([1e-9, 0.5, 0.6]) == pytest.approx(0.75)
    assert combined([0.01, 0.02, 0.9]) == pytest.approx(0.03)
    assert combined([0.01, 0.04]) == pytest.approx(0.04)


def test_the_same_answers_under_three_seeds_are_no_more_evidence_than_under_one() -> None:
    [good], [poor] = answers(0.8), answers(0.6, seed=1)
    once = rank({"good": [good], "poor": [poor]}, [CLIPS], [GROUPS])
    thrice = rank({"good": [good] * 3, "poor": [poor] * 3}, [CLIPS] * 3, [GROUPS] * 3)
    assert once["good"].interval == thrice["good"].interval
    assert thrice["good"].num_units == NUM_CLIPS // CLIPS_A_GROUP
    one, three = once["poor"].against_best, thrice["poor"].against_best
    assert one is not None
    assert three is not None
    assert one.interval == three.interval
    assert one.p_value <= three.p_value <= 2 * one.p_value


def test_with_one_seed_and_two_classifiers_it_is_the_comparison_of_two_runs() -> None:
    [good], [poor] = answers(0.9), answers(0.6, seed=1)
    ranked = rank({"poor": [poor], "good": [good]}, [CLIPS], [GROUPS])
    assert list(ranked) == ["good", "poor"]
    alone = compare(good, poor, GROUPS)
    against = ranked["poor"].against_best
    assert ranked["good"].against_best is None
    assert against is not None
    assert against.p_value == against.adjusted_p_value == alone.p_value
    assert against.difference == pytest.approx(alone.difference)
    assert against.interval == alone.interval
    assert ranked["poor"].units == alone.units == "groups"


def test_clips_without_groups_are_drawn_with_all_their_answers() -> None:
    seeds = answers(0.7, 0.8)
    ranked = rank({"only": seeds}, [CLIPS] * 2, [CLIPS] * 2)["only"]
    assert (ranked.units, ranked.num_units) == ("clips", NUM_CLIPS)
    assert ranked.accuracy == pytest.approx(0.75)
    assert ranked.accuracy_by_seed == pytest.approx((0.7, 0.8))


@pytest.mark.parametrize("seed", range(5))
def test_of_ten_equal_classifiers_the_luckiest_is_not_called_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    is_right = {f"{n}": [rng.random(NUM_CLIPS) < 0.7 for _ in range(3)] for n in range(10)}
    ranked = rank(is_right, [CLIPS] * 3, [CLIPS] * 3)
    against = [standing.against_best for standing in ranked.values()]
    assert not any(stands.is_worse for stands in against if stands is not None)


def test_a_clearly_worse_one_is_called_worse_unless_few_recordings_are_behind_it() -> None:
    good, poor = [np.ones(NUM_CLIPS, bool)] * 3, [np.arange(NUM_CLIPS) % 2 == 0] * 3
    many = rank({"good": good, "poor": poor}, [CLIPS] * 3, [GROUPS] * 3)["poor"].against_best
    assert many is not None
    assert many.is_worse
    halves = [["a" if n < NUM_CLIPS // 2 else "b" for n in range(NUM_CLIPS)]] * 3
    poor = [np.arange(NUM_CLIPS) < NUM_CLIPS // 2] * 3  # all its faults are in one recording
    few = rank({"good": good, "poor": poor}, [CLIPS] * 3, halves)["poor"].against_best
    assert few is not None
    assert few.adjusted_p_value < 1e-6
    assert not few.is_worse


def test_answers_to_other_clips_are_refused() -> None:
    with pytest.raises(ValueError, match="each clip under each seed"):
        rank({"a": answers(0.5), "b": [np.ones(3, bool)]}, [CLIPS], [GROUPS])
    with pytest.raises(ValueError, match="each clip under each seed"):
        rank({}, [CLIPS], [GROUPS])
