from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filmstrip.dataset.index import VideoIndex, VideoRow
from filmstrip.dataset.leaks import leaking_pairs
from filmstrip.dataset.split import fold_splits, missing_classes, split_index
from filmstrip.errors import DatasetError

ROOT = Path("/data")


def index_of(clips: list[tuple[str, str]]) -> VideoIndex:
    """An index of (label, group) pairs; an empty group stands alone."""
    rows = tuple(
        VideoRow(ROOT / label / f"{i:04}.mp4", label, group)
        for i, (label, group) in enumerate(clips)
    )
    return VideoIndex(ROOT, rows)


def alone(num_classes: int, clips_per_class: int) -> VideoIndex:
    return index_of([(str(i % num_classes), "") for i in range(num_classes * clips_per_class)])


def spanning(num_groups: int, num_classes: int = 3) -> VideoIndex:
    """Each group has a clip of every class, as when each person shows every action."""
    return index_of([(str(c), f"g{g}") for g in range(num_groups) for c in range(num_classes)])


def counts(index: VideoIndex) -> dict[str, int]:
    return dict(Counter(row.split for row in index.rows))


# Every class has three groups or more, so that all three sides can be filled.
@st.composite
def indices(draw: st.DrawFn) -> VideoIndex:
    stand_alone = draw(st.booleans())
    clips = []
    for label in range(draw(st.integers(2, 4))):
        for group in range(draw(st.integers(3, 8))):
            name = f"{label}-{group}"
            clips += [(str(label), name)] * (1 if stand_alone else draw(st.integers(1, 4)))
    return index_of(draw(st.permutations(clips)))


@given(indices(), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_no_group_is_on_two_sides_and_every_class_on_all(index: VideoIndex, seed: int) -> None:
    split = split_index(index, seed)
    sides = defaultdict(set)
    for row in split.rows:
        sides[row.group].add(row.split)
    assert all(len(found) == 1 for found in sides.values())
    assert {row.split for row in split.rows} == {"train", "val", "test"}
    assert missing_classes(split) == {}
    assert [replace(row, split="") for row in split.rows] == list(index.rows)


@given(indices(), st.integers(0, 3), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_seed_decides_and_the_order_of_the_files_does_not(
    index: VideoIndex, seed: int, random: object
) -> None:
    shuffled = list(index.rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    other = split_index(VideoIndex(ROOT, tuple(shuffled)), seed)
    first = split_index(index, seed)
    assert {row.path: row.split for row in first.rows} == {r.path: r.split for r in other.rows}


@given(
    st.integers(30, 60), st.sampled_from([0.05, 0.1, 0.15, 0.2, 0.3]), st.sampled_from([0.1, 0.25])
)
@settings(max_examples=40, deadline=None)
def test_the_fractions_are_near_the_request_where_groups_are_many(
    num_groups: int, val_fraction: float, test_fraction: float
) -> None:
    found = counts(split_index(spanning(num_groups), 0, val_fraction, test_fraction))
    assert found["test"] / (3 * num_groups) == pytest.approx(test_fraction, abs=0.04)
    assert found["val"] / (3 * num_groups) == pytest.approx(val_fraction, abs=0.04)


def test_classes_stay_in_proportion_where_clips_stand_alone() -> None:
    index = index_of([("common", "")] * 700 + [("rare", "")] * 70)
    split = split_index(index)
    found = Counter((row.label, row.split) for row in split.rows)
    assert found["common", "test"] == 100
    assert found["rare", "test"] == 10
    assert found["common", "val"] == pytest.approx(105, abs=8)
    assert found["rare", "val"] == pytest.approx(10.5, abs=1.5)


def test_another_seed_gives_another_split() -> None:
    index = spanning(20)
    assert len({tuple(row.split for row in split_index(index, s).rows) for s in range(5)}) > 2


@pytest.mark.parametrize(("clips_per_class", "expected"), [(3, (1, 1, 1)), (5, (3, 1, 1))])
def test_every_class_is_on_every_side_even_where_clips_are_few(
    clips_per_class: int, expected: tuple[int, int, int]
) -> None:
    split = split_index(alone(6, clips_per_class))
    for label in split.class_names:
        found = Counter(row.split for row in split.rows if row.label == label)
        assert (found["train"], found["val"], found["test"]) == expected


def test_a_class_of_one_group_is_in_train_and_of_two_also_in_test() -> None:
    clips = [("many", f"m{i}") for i in range(100)]
    clips += [("one", "a")] * 2 + [("two", "b"), ("two", "c")]
    for seed in range(10):
        split = split_index(index_of(clips), seed)
        assert missing_classes(split) == {"val": ("one", "two"), "test": ("one",)}


def test_a_group_far_larger_than_the_side_stays_in_train() -> None:
    clips = [("ab"[i % 2], "giant") for i in range(60)]
    clips += [("ab"[i % 2], f"g{i // 2}") for i in range(80)]
    for seed in range(10):
        giant = {row.split for row in split_index(index_of(clips), seed).rows[:60]}
        assert giant == {"train"}


def test_given_sides_stay_and_val_is_taken_from_train_by_groups() -> None:
    index = spanning(20)
    given_splits = ["test" if row.group in ("g0", "g1", "g2") else "train" for row in index.rows]
    split = split_index(index.with_splits(given_splits))
    assert {row.group for row in split.rows if row.split == "test"} == {"g0", "g1", "g2"}
    # 15 % of the 17 groups that train had, to the nearest whole group.
    assert counts(split) == {"train": 45, "val": 6, "test": 9}
    assert leaking_pairs(split) == []


def test_a_given_val_stays_and_test_is_taken_from_train() -> None:
    index = spanning(10)
    given_splits = ["val" if row.group == "g0" else "train" for row in index.rows]
    split = split_index(index.with_splits(given_splits))
    assert {row.group for row in split.rows if row.split == "val"} == {"g0"}
    assert counts(split)["test"] > 0


def test_splits_that_are_all_given_stay_as_they_are() -> None:
    index = spanning(3).with_splits(["train"] * 3 + ["val"] * 3 + ["test"] * 3)
    assert split_index(index) == index


def test_a_side_of_fraction_zero_is_empty() -> None:
    assert set(counts(split_index(spanning(4), val_fraction=0))) == {"train", "test"}


@pytest.mark.parametrize(("val_fraction", "test_fraction"), [(-0.1, 0.1), (0.5, 0.5), (0, 1)])
def test_fractions_out_of_range_are_refused(val_fraction: float, test_fraction: float) -> None:
    with pytest.raises(DatasetError, match=f"val_fraction {val_fraction:g}"):
        split_index(spanning(9), 0, val_fraction, test_fraction)


@pytest.mark.parametrize(
    ("index", "side"), [(spanning(2), "val"), (index_of([("a", "x"), ("b", "y")]), "test")]
)
def test_too_few_groups_are_refused_with_the_side_that_stays_empty(
    index: VideoIndex, side: str
) -> None:
    with pytest.raises(DatasetError, match=f"the groups cannot fill {side}") as error:
        split_index(index)
    assert "--group-pattern" in error.value.remedy


@given(indices(), st.integers(2, 3), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_folds_test_every_clip_once_and_keep_groups_whole(
    index: VideoIndex, num_folds: int, seed: int
) -> None:
    folds = fold_splits(index, num_folds, seed, val_fraction=0)
    tested = Counter(row.path for fold in folds for row in fold.rows if row.split == "test")
    assert tested == Counter(row.path for row in index.rows)
    for fold in folds:
        assert leaking_pairs(fold) == []
        assert set(counts(fold)) == {"train", "test"}


def test_each_fold_takes_val_from_the_rest() -> None:
    for fold in fold_splits(spanning(20), 5, seed=0):
        assert counts(fold) == {"train": 42, "val": 6, "test": 12}
        assert leaking_pairs(fold) == []
        assert missing_classes(fold) == {}


def test_as_many_folds_as_groups_leave_one_group_out_each() -> None:
    folds = fold_splits(spanning(7), 7, seed=0)
    held = [{row.group for row in fold.rows if row.split == "test"} for fold in folds]
    assert sorted(map(tuple, held)) == [(f"g{i}",) for i in range(7)]


def test_folds_set_given_splits_aside() -> None:
    index = spanning(6)
    given_splits = index.with_splits(["test"] * len(index))
    assert fold_splits(given_splits, 3, seed=0) == fold_splits(index, 3, seed=0)


@pytest.mark.parametrize("num_folds", [0, 1, 6])
def test_folds_that_the_groups_cannot_fill_are_refused(num_folds: int) -> None:
    with pytest.raises(DatasetError, match=f"num_folds {num_folds}") as error:
        fold_splits(spanning(5), num_folds, seed=0)
    assert error.value.expected == "2 to 5 folds"


def test_a_fold_that_holds_a_whole_class_is_refused_by_name() -> None:
    index = index_of([("many", f"m{i}") for i in range(9)] + [("one", "a")] * 3)
    with pytest.raises(DatasetError, match="holds every clip of one"):
        fold_splits(index, 3, seed=0)


def test_split_sides_are_those_of_scikit_learns_folds() -> None:
    from sklearn.model_selection import StratifiedGroupKFold

    index = spanning(20)
    folds = fold_splits(index, 4, seed=3, val_fraction=0)
    order = np.argsort(index.names)
    groups = np.array(index.groups)[order]
    # Groups are numbered by name, as scikit-learn numbers them itself.
    dealer = StratifiedGroupKFold(4, shuffle=True, random_state=3)
    for fold, (_, inside) in zip(
        folds, dealer.split(order, index.labels[order], groups), strict=True
    ):
        expected = {index.names[i] for i in order[inside]}
        found = {
            name for name, row in zip(fold.names, fold.rows, strict=True) if row.split == "test"
        }
        assert found == expected
