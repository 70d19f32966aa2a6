from __future__ import annotations

from pathlib import Path

import pytest

from filmstrip.dataset.index import open_index
from filmstrip.dataset.leaks import leaking_pairs
from filmstrip.errors import DatasetError


def ucf101(tmp_path: Path) -> tuple[Path, Path]:
    """A small UCF101: the official naming and lists, with classes in an order of their own."""
    videos, lists = tmp_path / "UCF-101", tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    train, test = [], []
    for number, label in ((1, "YoYo"), (2, "Archery")):
        for group in range(1, 5):
            for clip in (1, 2):
                name = f"{label}/v_{label}_g{group:02}_c{clip:02}.avi"
                (videos / label).mkdir(parents=True, exist_ok=True)
                (videos / name).touch()
                train += [f"{name} {number}"] if group > 1 else []
                test += [name] if group == 1 else []
    (lists / "classInd.txt").write_text("1 YoYo\r\n2 Archery\r\n")
    (lists / "trainlist01.txt").write_text("\r\n".join(train) + "\r\n")
    (lists / "testlist01.txt").write_text("\n".join(test) + "\n")
    (lists / "trainlist02.txt").write_text("\n".join(train[:8]) + "\n")
    (lists / "testlist02.txt").write_text("\n".join(test) + "\n")
    return videos, lists


def hmdb51(tmp_path: Path) -> tuple[Path, Path]:
    """A small HMDB51: the official naming, and marks 1 (train), 2 (test) and 0 (neither)."""
    videos, lists = tmp_path / "hmdb51", tmp_path / "splits"
    lists.mkdir()
    for label in ("brush_hair", "hit"):
        (videos / label).mkdir(parents=True)
        lines = []
        for film, mark in (("April_09", 1), ("Faith_Rewarded", 1), ("atm", 2), ("se7en", 0)):
            for clip in (0, 1):
                name = f"{film}_{label}_u_nm_np1_ba_goo_{clip}.avi"
                (videos / label / name).touch()
                lines.append(f"{name} {mark} ")
        (lists / f"{label}_test_split1.txt").write_text("\n".join(lines) + "\n")
    return videos, lists


def test_ucf101_lists_give_the_splits_and_the_order_of_the_classes(tmp_path: Path) -> None:
    videos, lists = ucf101(tmp_path)
    index = open_index(videos, lists=lists)
    assert index.class_names == ("YoYo", "Archery")
    assert {row.group for row in index.rows if row.split == "test"} == {"g01"}
    assert {row.group for row in index.rows if row.split == "train"} == {"g02", "g03", "g04"}
    assert index.grouping == (
        "16 clips in 4 groups, by gNN, as in UCF101, in the name "
        "(Archery/v_Archery_g01_c01.avi is of g01)"
    )
    assert leaking_pairs(index) == []


def test_list_number_chooses_the_list(tmp_path: Path) -> None:
    videos, lists = ucf101(tmp_path)
    index = open_index(videos, lists=lists, list_number=2)
    assert len(index.subset("train")) == 8
    with pytest.raises(DatasetError, match="list number 3") as error:
        open_index(videos, lists=lists, list_number=3)
    assert "1, 2" in error.value.expected


def test_hmdb51_lists_give_the_splits_and_leave_out_the_unused(tmp_path: Path) -> None:
    videos, lists = hmdb51(tmp_path)
    index = open_index(videos, lists=lists)
    assert index.class_names == ("brush_hair", "hit")
    assert len(index.subset("train")) == 8
    assert {row.group for row in index.subset("test").rows} == {"atm_brush_hair", "atm_hit"}
    (file,) = index.skipped
    assert file.path == lists
    assert file.reason == "4 clips are marked as neither train nor test in list 1"


def test_listed_videos_that_are_absent_are_left_out_and_named(tmp_path: Path) -> None:
    videos, lists = ucf101(tmp_path)
    gone = videos / "YoYo/v_YoYo_g02_c01.avi"
    gone.unlink()
    index = open_index(videos, lists=lists)
    assert len(index) == 15
    assert [file.path for file in index.skipped] == [gone]


@pytest.mark.parametrize("folder", ["Yoyo", "YOYO"])
def test_lists_match_folders_whatever_their_case(tmp_path: Path, folder: str) -> None:
    videos, lists = ucf101(tmp_path)
    (videos / "YoYo").rename(videos / folder)
    index = open_index(videos, lists=lists)
    assert index.class_names == ("YoYo", "Archery")
    assert len(index) == 16
    assert f"YoYo is in {folder}" in index.reading
    assert index.lost_classes == {}


def test_a_listed_class_of_which_nothing_is_there_is_lost(tmp_path: Path) -> None:
    videos, lists = ucf101(tmp_path)
    with (lists / "classInd.txt").open("a") as file:
        file.write("3 Biking\n4 Diving\n")
    with (lists / "trainlist01.txt").open("a") as file:
        file.write("Biking/v_Biking_g02_c01.avi 3\n")
    (videos / "Juggling").mkdir()
    (videos / "Juggling/v_Juggling_g01_c01.avi").touch()
    lost = open_index(videos, lists=lists).lost_classes
    assert {name: files[0].reason for name, files in lost.items()} == {
        "Biking": f"{lists} names it, but it is not there",
        "Diving": "list 1 has no clip of it in train or test",
        "Juggling": f"{lists} names no clip in it",
    }


def test_an_hmdb51_class_that_no_list_uses_is_lost(tmp_path: Path) -> None:
    videos, lists = hmdb51(tmp_path)
    (videos / "wave").mkdir()
    (videos / "wave/a.avi").touch()
    (lists / "wave_test_split1.txt").write_text("a.avi 0\n")
    assert list(open_index(videos, lists=lists).lost_classes) == ["wave"]


def test_lists_of_which_no_video_is_there_are_refused(tmp_path: Path) -> None:
    _, lists = ucf101(tmp_path)
    with pytest.raises(DatasetError, match=r"none of the 16 videos .* \(first: YoYo/v_YoYo_g02"):
        open_index(tmp_path, lists=lists)


@pytest.mark.parametrize(
    ("name", "text", "given"),
    [
        ("classInd.txt", "1 YoYo\n", "the class 'Archery' of .* is not in classInd.txt"),
        ("classInd.txt", "YoYo\n", "fewer than 2 words"),
        ("classInd.txt", None, r"classInd.txt: cannot be read"),
        ("testlist01.txt", None, r"testlist01.txt: cannot be read"),
    ],
)
def test_damaged_ucf101_lists_are_refused(
    tmp_path: Path, name: str, text: str | None, given: str
) -> None:
    videos, lists = ucf101(tmp_path)
    if text is None:
        (lists / name).unlink()
    else:
        (lists / name).write_text(text)
    with pytest.raises(DatasetError, match=given):
        open_index(videos, lists=lists)


def test_an_unknown_hmdb51_mark_is_refused(tmp_path: Path) -> None:
    videos, lists = hmdb51(tmp_path)
    (lists / "hit_test_split1.txt").write_text("a.avi 7\n")
    with pytest.raises(DatasetError, match=r"'a\.avi 7' ends in '7'"):
        open_index(videos, lists=lists)


def test_a_folder_that_holds_no_lists_is_refused(tmp_path: Path) -> None:
    videos, _ = ucf101(tmp_path)
    with pytest.raises(DatasetError, match="no official lists that are known"):
        open_index(videos, lists=videos)
    with pytest.raises(DatasetError, match="no such folder"):
        open_index(videos, lists=tmp_path / "nowhere")
