from __future__ import annotations

import csv
from pathlib import Path

import pytest

from filmstrip.dataset.index import VideoIndex, VideoRow
from filmstrip.dataset.leaks import LeakingPair, leak_record, leak_warning, leaking_pairs, refuse
from filmstrip.dataset.relations import Relation
from filmstrip.errors import DatasetError


def index_of(*clips: tuple[str, str]) -> VideoIndex:
    """Clips a, b, c … of (group, split)."""
    rows = (
        VideoRow(Path(f"/d/{name}"), "up", group, split)
        for name, (group, split) in zip("abcdefghij", clips, strict=False)
    )
    return VideoIndex(Path("/d"), tuple(rows))


def test_relations_and_groups_that_a_split_parts_leak_the_surest_first() -> None:
    index = index_of(("x", "train"), ("x", "test"), ("y", "train"), ("z", "val"), ("w", "test"))
    found = [Relation("c", "d", "near"), Relation("e", "c", "exact")]
    assert leaking_pairs(index, found) == [
        LeakingPair("e", "c", "exact", "test", "train"),
        LeakingPair("c", "d", "near", "train", "val"),
        LeakingPair("a", "b", "group", "train", "test"),
    ]


def test_what_stands_on_one_side_or_on_none_does_not_leak() -> None:
    index = index_of(("x", "train"), ("x", "train"), ("x", ""), ("y", ""))
    assert leaking_pairs(index, [Relation("a", "b", "near"), Relation("a", "d", "exact")]) == []


def test_a_pair_is_told_once_by_its_surest_kind() -> None:
    index = index_of(("x", "train"), ("x", "test"))
    [pair] = leaking_pairs(index, [Relation("b", "a", "near"), Relation("a", "b", "continuation")])
    assert pair.kind == "near"


def test_a_large_group_on_two_sides_gives_a_pair_for_each_clip_not_for_all_pairs() -> None:
    index = index_of(*[("x", "train")] * 4, *[("x", "test")] * 4, ("x", "val"))
    pairs = leaking_pairs(index)
    assert [(pair.first, pair.second) for pair in pairs] == [("a", other) for other in "efghi"]


def test_a_refusal_shows_the_first_pairs_and_writes_all_of_them(tmp_path: Path) -> None:
    index = index_of(*[("x", "train")], *[("x", "test")] * 5)
    pairs = leaking_pairs(index)
    with pytest.raises(DatasetError) as error:
        refuse(pairs, index, tmp_path / "leaks.csv")
    assert "5 pairs" in error.value.given
    assert "a in train and b in test (one group)" in error.value.given
    assert "; 2 more" in error.value.given
    assert "--allow-leak" in error.value.remedy
    with (tmp_path / "leaks.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [pair.as_json() for pair in pairs]


def test_figures_are_warned_of_where_a_leak_is_known_and_only_there() -> None:
    pairs = leaking_pairs(index_of(("x", "train"), ("x", "test"), ("x", "val")))
    record = leak_record(pairs, ("exact", "groups"), True, most=1)
    assert record["num_pairs"] == 2
    assert record["pairs"] == [pairs[0].as_json()]
    assert leak_warning({"leaks": record}).startswith("LEAKY FIGURES: 2 pairs")
    assert leak_warning({"leaks": leak_record([], ("groups",), False, most=1)}) == ""
    assert leak_warning({}) == ""
