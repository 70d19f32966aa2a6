from __future__ import annotations

import os
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
    assert "lies beside the class folders" in reasons["loose.mp4"]


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
    for folder in ("train", "test", "unlabelled"):
        two_classes(tmp_path / folder)
    touch(tmp_path, "test/loose.mp4")
    index = open_index(tmp_path)
    assert {row.split for row in index.rows} == {"train", "test"}
    reasons = {file.path.relative_to(tmp_path).as_posix(): file.reason for file in index.skipped}
    assert len(reasons) == 5
    assert "stands beside train, val and test" in reasons["unlabelled/kick/a.mp4"]
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
