"""Clips that belong together, on real files, and what becomes of their groups."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmstrip.cache import Cache
from filmstrip.dataset.index import VideoIndex, VideoRow, open_index
from filmstrip.dataset.relations import Relation, Relations, apart, find_relations, join_groups
from filmstrip.dataset.synthetic import render_clip
from filmstrip.video.encode import write_video


def frames_of(label: str, number: int) -> np.ndarray:
    return render_clip(label, np.random.default_rng([7, number]), 26, 64)


@pytest.fixture(scope="module")
def related(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of six clips; in one a copy, a copy encoded again, and a recording in halves."""
    root = tmp_path_factory.mktemp("related") / "videos"
    for offset, label in enumerate(("left", "growing")):
        for number in range(6):
            write_video(root / label / f"{number}.mp4", frames_of(label, 10 * offset + number), 16)
    shutil.copy(root / "left" / "0.mp4", root / "left" / "exact.mp4")
    write_video(root / "left" / "again.mp4", frames_of("left", 1)[4:], 16, options={"crf": "30"})
    halved = frames_of("left", 99)
    write_video(root / "left" / "a_half.mp4", halved[:13], 16)
    write_video(root / "left" / "the_other.avi", halved[13:], 16)
    return root


def pairs(relations: Relations) -> set[tuple[frozenset[str], str]]:
    return {(frozenset((one.first, one.second)), one.kind) for one in relations.found}


def test_copies_and_halves_are_found_among_clips_that_are_neither(
    related: Path, tmp_path: Path
) -> None:
    heard: list[str] = []
    relations = find_relations(open_index(related), Cache(tmp_path / "cache"), advance=heard.append)
    assert pairs(relations) == {
        (frozenset(("left/0.mp4", "left/exact.mp4")), "exact"),
        (frozenset(("left/1.mp4", "left/again.mp4")), "near"),
        (frozenset(("left/a_half.mp4", "left/the_other.avi")), "continuation"),
    }
    assert relations.checked == ("exact", "near", "groups", "continuation")
    assert (relations.num_compared, relations.num_unseen, len(heard)) == (15, 0, 15)
    assert relations.told() == (
        "Copies: of 15 different clips compared, 3 pairs that belong together (1 by the same "
        "bytes, 1 by the same moments, 1 by one recording, cut in two)."
    )


def test_without_a_look_only_equal_bytes_are_found_and_the_sentence_says_so(
    related: Path, tmp_path: Path
) -> None:
    relations = find_relations(open_index(related), Cache(tmp_path / "cache"), by_sight=False)
    assert [one.kind for one in relations.found] == ["exact"]
    assert relations.checked == ("exact", "groups")
    assert "NOT looked for: near-duplicates" in relations.told()
    assert not (tmp_path / "cache").exists()


def test_clips_that_share_nothing_are_said_to(related: Path, tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    for label in ("left", "growing"):
        (clean / label).mkdir(parents=True)
        for number in range(6):
            shutil.copy(related / label / f"{number}.mp4", clean / label)
    told = find_relations(open_index(clean), Cache(tmp_path / "cache")).told()
    assert told == (
        "Copies: of 12 different clips compared, none is a copy of another or its continuation."
    )


def test_a_file_that_cannot_be_decoded_is_counted_and_stops_nothing(
    related: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(related, tmp_path / "data"))
    (data / "growing" / "0.mp4").write_bytes(b"no video")
    relations = find_relations(open_index(data), Cache(tmp_path / "cache"))
    assert (relations.num_compared, relations.num_unseen) == (14, 1)
    assert "1 could not be compared" in relations.told()


def test_arrays_are_compared_by_their_bytes_alone(tmp_path: Path) -> None:
    clips = np.random.default_rng(0).integers(0, 256, (6, 4, 16, 16, 3), dtype=np.uint8)
    clips[5] = clips[0]
    np.savez(tmp_path / "clips.npz", X=clips, y=np.array([0, 0, 0, 1, 1, 1]))
    relations = find_relations(open_index(tmp_path / "clips.npz"), Cache(tmp_path / "cache"))
    assert relations.found == (Relation("clips.npz#0", "clips.npz#5", "exact"),)
    assert relations.checked == ("exact", "groups")


def index_of(groups: list[str]) -> VideoIndex:
    rows = (VideoRow(Path(f"/d/{i:03}.mp4"), "ab"[i % 2], group) for i, group in enumerate(groups))
    return VideoIndex(Path("/d"), tuple(rows), f"{len(groups)} clips in groups")


def test_groups_of_related_clips_become_one_and_the_sentence_says_so() -> None:
    index = index_of(["x", "x", "y", "z", "z"])
    joined = join_groups(index, [Relation("001.mp4", "003.mp4", "near")])
    assert joined.groups == ("x", "x", "y", "x", "x")
    assert joined.grouping == (
        "5 clips in groups; 2 of these groups share copies or recordings and were joined, which "
        "leaves 2 (--no-near-duplicates: only by equal bytes)"
    )


def test_a_relation_inside_a_group_or_to_a_clip_that_is_gone_changes_nothing() -> None:
    index = index_of(["x", "x", "y", "y"])
    found = [Relation("000.mp4", "001.mp4", "near"), Relation("000.mp4", "gone.mp4", "exact")]
    assert join_groups(index, found) == index


numbers = st.integers(0, 19)


@given(st.lists(numbers, min_size=20, max_size=20), st.lists(st.tuples(numbers, numbers)))
def test_what_belongs_together_ends_in_one_group_and_nothing_else_does(
    of: list[int], related_places: list[tuple[int, int]]
) -> None:
    index = index_of([f"g{number}" for number in of])
    found = [Relation(f"{a:03}.mp4", f"{b:03}.mp4", "near") for a, b in related_places]
    joined = join_groups(index, found).groups
    reached = {place: {place} for place in range(20)}
    links = [*related_places, *((a, b) for a in range(20) for b in range(a) if of[a] == of[b])]
    for a, b in links:
        union = reached[a] | reached[b]
        for place in union:
            reached[place] = union
    for a in range(20):
        for b in range(20):
            assert (joined[a] == joined[b]) == (b in reached[a])


def test_clips_that_are_set_apart_are_each_a_group() -> None:
    assert len(set(apart(index_of(["x"] * 5)).groups)) == 5
