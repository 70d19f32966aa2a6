from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from filmstrip.dataset.index import open_index
from filmstrip.errors import DatasetError


def touch(root: Path, *names: str) -> None:
    """Empty files: an index never opens a video, so none needs to hold one."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def two_classes(root: Path) -> None:
    touch(root, "kick/a.mp4", "kick/b.avi", "hug/a.mp4", "hug/c.MOV")


def splits_of(root: Path) -> dict[str, tuple[str, str]]:
    index = open_index(root)
    return {row.name(index.root): (row.label, row.split) for row in index.rows}


def test_a_folder_for_each_class_gives_its_name_to_its_videos(tmp_path: Path) -> None:
    two_classes(tmp_path)
    assert splits_of(tmp_path) == {
        "hug/a.mp4": ("hug", ""),
        "hug/c.MOV": ("hug", ""),
        "kick/a.mp4": ("kick", ""),
        "kick/b.avi": ("kick", ""),
    }


def test_a_deeper_video_belongs_to_the_top_class_folder(tmp_path: Path) -> None:
    two_classes(tmp_path)
    touch(tmp_path, "kick/2019/park/d.webm")
    assert splits_of(tmp_path)["kick/2019/park/d.webm"] == ("kick", "")


def test_hidden_files_and_folders_are_ignored(tmp_path: Path) -> None:
    two_classes(tmp_path)
    touch(tmp_path, ".cache/x.mp4", "kick/.x.mp4", "kick/.thumbs/y.mp4", "kick/._a.mp4")
    index = open_index(tmp_path)
    assert len(index) == 4
    assert index.skipped == ()


def test_what_is_no_video_or_has_no_class_is_left_out_and_named(tmp_path: Path) -> None:
    two_classes(tmp_path)
    touch(tmp_path, "kick/notes.txt", "README", "loose.mp4")
    reasons = {file.path.name: file.reason for file in open_index(tmp_path).skipped}
    assert set(reasons) == {"notes.txt", "README", "loose.mp4"}
    assert ".txt is not a video's suffix" in reasons["notes.txt"]
    assert "is next to the class folders" in reasons["loose.mp4"]


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [("train", "val", "test"), ("Train", "valid", "TEST"), ("training", "Validation", "testing")],
)
def test_split_folders_keep_their_splits(tmp_path: Path, train: str, val: str, test: str) -> None:
    for folder in (train, val, test):
        two_classes(tmp_path / folder)
    found = splits_of(tmp_path)
    assert found[f"{train}/kick/a.mp4"] == ("kick", "train")
    assert found[f"{val}/hug/c.MOV"] == ("hug", "val")
    assert found[f"{test}/hug/a.mp4"] == ("hug", "test")
    assert len(found) == 12


def test_a_folder_beside_the_splits_is_left_out_and_named(tmp_path: Path) -> None:
    for folder in ("train", "test"):
        two_classes(tmp_path / folder)
    touch(tmp_path, "test/loose.mp4", *(f"unlabelled/raw/{name}.mp4" for name in "abcd"))
    index = open_index(tmp_path)
    assert {row.split for row in index.rows} == {"train", "test"}
    reasons = {file.path.relative_to(tmp_path).as_posix(): file.reason for file in index.skipped}
    assert len(reasons) == 5
    assert "is next to test, train" in reasons["unlabelled/raw/a.mp4"]
    assert "not used: unlabelled (4 videos)" in index.reading
    assert "without a class folder" in reasons["test/loose.mp4"]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    touch(tmp_path, "train/a.mp4", "train/steam/b.mp4", "car/a.mp4", "car/b.mp4")
    index = open_index(tmp_path)
    assert index.class_names == ("car", "train")
    assert {row.split for row in index.rows} == {""}


def test_a_class_that_train_lacks_is_refused_by_name(tmp_path: Path) -> None:
    two_classes(tmp_path / "train")
    two_classes(tmp_path / "test")
    touch(tmp_path, "test/wave/a.mp4", "test/wave/b.mp4")
    with pytest.raises(DatasetError, match=r"train split has no clip of wave"):
        open_index(tmp_path)


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    two_classes(tmp_path)
    # Two loops in one folder double at each level: no walk down them ever ends.
    for name in ("again", "more"):
        (tmp_path / "kick" / name).symlink_to(tmp_path / "kick", target_is_directory=True)
    (tmp_path / "hug/other").symlink_to(tmp_path / "kick", target_is_directory=True)
    names = list(splits_of(tmp_path))
    assert len(names) == 6
    assert "hug/other/a.mp4" in names


def test_a_linked_class_folder_is_followed(tmp_path: Path) -> None:
    two_classes(tmp_path / "disk")
    (tmp_path / "data").mkdir()
    for name in ("kick", "hug"):
        (tmp_path / "data" / name).symlink_to(tmp_path / "disk" / name, target_is_directory=True)
    assert len(open_index(tmp_path / "data")) == 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path) -> None:
    two_classes(tmp_path)
    touch(tmp_path, "kick/locked/x.mp4")
    (tmp_path / "kick/locked").chmod(0)
    (file,) = open_index(tmp_path).skipped
    (tmp_path / "kick/locked").chmod(0o755)
    assert file.path == tmp_path / "kick/locked"


def test_a_folder_without_videos_tells_what_it_holds(tmp_path: Path) -> None:
    touch(tmp_path, "kick/1.jpg", "kick/2.jpg", "hug/labels.csv")
    with pytest.raises(DatasetError, match=r"no video .* \(found 2 .jpg, 1 .csv\)"):
        open_index(tmp_path)


@pytest.mark.parametrize("names", [("a.mp4", "b.mp4"), ("train/a.mp4", "test/b.mp4")])
def test_videos_without_class_folders_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    touch(tmp_path, *names)
    with pytest.raises(DatasetError, match="holds videos but no class folders") as error:
        open_index(tmp_path)
    assert "a folder for each class" in error.value.expected


def test_folders_that_differ_in_unicode_form_are_one_class(
    tmp_path: Path,
) -> None:
    composed, decomposed = (unicodedata.normalize(form, "hüpfen") for form in ("NFC", "NFD"))
    touch(tmp_path, "gehen/a.mp4", "gehen/b.mp4", f"{composed}/a.mp4", f"{decomposed}/b.mp4")
    index = open_index(tmp_path)
    assert index.class_names == ("gehen", composed)
    assert index.labels.tolist() == [0, 0, 1, 1]


def test_folders_that_differ_only_in_case_are_one_class_and_that_is_said(tmp_path: Path) -> None:
    touch(tmp_path, "train/Walk/a.mp4", "train/Walk/b.mp4", "train/run/a.mp4")
    touch(tmp_path, "test/walk/a.mp4", "test/run/a.mp4")
    index = open_index(tmp_path)
    assert index.class_names == ("run", "Walk")
    assert "Walk and walk are one class, Walk" in index.reading


def test_letters_of_two_cases_stay_two_classes(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.mp4", "a/2.mp4", "A/1.mp4", "A/2.mp4")
    assert open_index(tmp_path).class_names == ("A", "a")


def test_groups_are_the_top_folders_where_these_are_sessions(tmp_path: Path) -> None:
    for session in ("session1", "session2"):
        two_classes(tmp_path / session)
    index = open_index(tmp_path)
    assert index.class_names == ("hug", "kick")
    assert index.groups == ("session1",) * 4 + ("session2",) * 4
    assert "8 clips in 2 groups, by the folders above the classes" in index.grouping
    assert index.reading == (
        "session1, session2 are groups; the folders in them are the classes: hug, kick"
    )


def test_splits_below_the_class_folders_are_kept(tmp_path: Path) -> None:
    for label in ("hug", "kick"):
        touch(tmp_path / label, "train/a.mp4", "train/b.mp4", "test/c.mp4", "d.mp4")
    index = open_index(tmp_path)
    assert [row.split for row in index.rows if row.label == "hug"] == ["test", "train", "train"]
    assert "it lies in hug without a split folder" in index.skipped[0].reason


def test_folders_whose_reading_is_not_clear_are_refused_with_the_ways_out(tmp_path: Path) -> None:
    for label in ("kick", "punch"):
        touch(tmp_path / label, "left/a.mp4", "left/b.mp4", "right/a.mp4", "right/b.mp4")
    with pytest.raises(DatasetError, match="not clear which folders are the classes") as error:
        open_index(tmp_path)
    assert "--class-folders top or --class-folders sub" in error.value.remedy
    assert open_index(tmp_path, class_folders="top").class_names == ("kick", "punch")
    assert open_index(tmp_path, class_folders="sub").class_names == ("left", "right")


@pytest.mark.parametrize(
    ("name", "is_lost"),
    [("wave", True), ("wave/a.rm", True), ("notes/a.txt", False), ("previews/a.jpg", False)],
)
def test_a_folder_whose_videos_are_missing_is_a_lost_class(
    tmp_path: Path, name: str, is_lost: bool
) -> None:
    two_classes(tmp_path)
    if "." in name:
        touch(tmp_path, name)
    else:
        (tmp_path / name).mkdir()
    assert list(open_index(tmp_path).lost_classes) == (["wave"] if is_lost else [])
