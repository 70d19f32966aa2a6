from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmstrip.dataset.groups import infer_groups
from filmstrip.errors import DatasetError


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        (["v_YoYo_g07_c01.avi", "v_YoYo_g25_c01.avi"], ["g07", "g25"]),
        (
            ["April_09_brush_hair_u_nm_np1_ba_goo_0.avi", "atm_brush_hair_f_cm_np2_le_bad_11.avi"],
            ["April_09_brush_hair", "atm_brush_hair"],
        ),
        (["S001C001P003R001A001.avi", "S001C002P011R002A049.avi"], ["P003", "P011"]),
        (
            ["-JYd9JT_cRs_000012_000022.mp4", "zz3bPK1UhN8_000001_000011.mp4"],
            ["-JYd9JT_cRs", "zz3bPK1UhN8"],
        ),
        (["person01_boxing_d1.avi", "person12_boxing_d2.avi"], ["person01", "person12"]),
        (["subject03/a.mp4", "subject04/a.mp4"], ["subject03", "subject04"]),
        (["Actor_01/03-01.mp4", "Actor_24/03-02.mp4"], ["Actor01", "Actor24"]),
        (["set1_59_seq10_2.avi", "set1_60_seq_11_2.avi"], ["seq10", "seq11"]),
        (["scene-1_a.mp4", "scene-2_b.mp4"], ["scene1", "scene2"]),
    ],
)
def test_known_names_give_their_groups(names: list[str], groups: list[str]) -> None:
    assert infer_groups(names)[0] == groups


def test_people_come_before_sequences_and_sequences_before_scenes() -> None:
    names = ["scene1_seq1_person1.mp4", "scene1_seq2_person2.mp4", "scene2_seq3_person1.mp4"]
    assert infer_groups(names)[0] == ["person1", "person2", "person1"]
    assert infer_groups([name[:11] for name in names])[0] == ["seq1", "seq2", "seq3"]


def test_a_pattern_that_all_names_share_tells_nothing_and_the_next_is_tried() -> None:
    assert infer_groups(["seq01_scene1.mp4", "seq01_scene2.mp4"])[0] == ["scene1", "scene2"]


def test_a_word_inside_another_is_no_pattern() -> None:
    groups, sentence = infer_groups(["preseq1.mp4", "preseq2.mp4"])
    assert groups == ["", ""]
    assert "each its own group" in sentence


def test_a_few_names_without_the_pattern_stand_alone() -> None:
    names = [f"person{i % 4}_{i}.mp4" for i in range(38)] + ["trailer.mp4", "test.mp4"]
    groups, sentence = infer_groups(names)
    assert groups[-2:] == ["", ""]
    assert sentence == (
        "40 clips in 6 groups, by 'personNN' in the name (person0_0.mp4 is of person0); "
        "2 without it, each its own group"
    )


def test_a_pattern_that_many_names_lack_is_not_taken() -> None:
    names = [f"person{i % 4}_{i}.mp4" for i in range(36)] + ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
    assert set(infer_groups(names)[0]) == {""}


def test_names_without_a_known_pattern_stand_alone_and_the_sentence_says_so() -> None:
    groups, sentence = infer_groups(["a.mp4", "b.mp4"])
    assert groups == ["", ""]
    assert sentence.startswith("2 clips, each its own group: no known pattern")
    assert "--group-pattern" in sentence


@pytest.mark.parametrize(
    ("pattern", "groups"), [(r"cam(\d)", ["1", "2"]), (r"cam\d", ["cam1", "cam2"])]
)
def test_an_own_pattern_takes_its_parenthesis_or_the_whole_match(
    pattern: str, groups: list[str]
) -> None:
    found, sentence = infer_groups(["person1_cam1.mp4", "person1_cam2.mp4"], pattern)
    assert found == groups
    assert sentence == (
        f"2 clips in 2 groups, by the pattern {pattern!r} (person1_cam1.mp4 is of {groups[0]})"
    )


def test_an_own_pattern_must_be_found_in_every_name() -> None:
    with pytest.raises(DatasetError, match=r"not found in 2 of 3 names, such as b.mp4, c.mp4"):
        infer_groups(["cam1.mp4", "b.mp4", "c.mp4"], r"cam\d")


def test_an_own_pattern_that_is_no_regular_expression_is_refused() -> None:
    with pytest.raises(DatasetError, match="--group-pattern '\\(a'"):
        infer_groups(["a.mp4"], "(a")


@given(st.lists(st.text(), min_size=1, max_size=30))
def test_every_name_gets_a_group_in_its_place(names: list[str]) -> None:
    groups, sentence = infer_groups(names)
    assert len(groups) == len(names)
    alone = groups.count("")
    told = f"in {len(set(groups) - {''}) + alone} groups" if alone < len(names) else "its own"
    assert told in sentence
    assert infer_groups(list(reversed(names)))[0] == groups[::-1]
