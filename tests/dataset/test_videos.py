from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from filmstrip.dataset.index import VideoIndex
from filmstrip.dataset.videos import list_videos
from filmstrip.errors import DatasetError


def touch(root: Path, *names: str) -> None:
    """Empty files: an index never opens a video, so none needs to hold one."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def labels_of(index: VideoIndex) -> dict[str, tuple[str, str]]:
    rows = zip(index.names, index.rows, strict=True)
    return {name: (row.label, row.split) for name, row in rows}


def test_videos_of_class_folders_have_labels_and_loose_ones_have_none(tmp_path: Path) -> None:
    touch(tmp_path, "kick/a.mp4", "hug/deep/b.avi", "c.mp4", "notes.txt", "kick/thumbs.db")
    index = list_videos([tmp_path])
    assert index.root == tmp_path
    assert labels_of(index) == {
        "c.mp4": ("", ""),
        "hug/deep/b.avi": ("hug", ""),
        "kick/a.mp4": ("kick", ""),
    }
    assert {file.path.name for file in index.skipped} == {"notes.txt", "thumbs.db"}
    assert not any(file.is_loss for file in index.skipped)


def test_a_folder_of_loose_videos_is_enough(tmp_path: Path) -> None:
    touch(tmp_path, "b.mp4", "a.mp4")
    assert list_videos([tmp_path]).names == ("a.mp4", "b.mp4")


def test_split_folders_give_splits_with_or_without_class_folders(tmp_path: Path) -> None:
    touch(tmp_path, "train/kick/a.mp4", "train/b.mp4", "test/c.mp4", "other/d.mp4")
    assert labels_of(list_videos([tmp_path])) == {
        "other/d.mp4": ("", ""),
        "test/c.mp4": ("", "test"),
        "train/b.mp4": ("", "train"),
        "train/kick/a.mp4": ("kick", "train"),
    }


def test_a_file_is_taken_whatever_its_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "clip", "b.mp4")
    index = list_videos([tmp_path / "clip"])
    assert (index.root, index.names) == (tmp_path, ("clip",))


def test_several_places_share_the_deepest_folder_above_them(tmp_path: Path) -> None:
    touch(tmp_path, "x/one/kick/a.mp4", "x/two/kick/a.mp4", "x/c.mp4")
    index = list_videos([tmp_path / "x/one", tmp_path / "x/two", tmp_path / "x/c.mp4"])
    assert index.root == tmp_path / "x"
    assert index.names == ("c.mp4", "one/kick/a.mp4", "two/kick/a.mp4")


def test_a_video_that_is_named_twice_is_taken_once_with_its_label(tmp_path: Path) -> None:
    touch(tmp_path, "videos/kick/a.mp4", "videos/hug/b.mp4")
    twice = tmp_path / "videos/hug/../kick/a.mp4"
    index = list_videos([twice, tmp_path / "videos", tmp_path / "videos/kick/a.mp4"])
    assert labels_of(index) == {"hug/b.mp4": ("hug", ""), "kick/a.mp4": ("kick", "")}


def test_a_table_needs_no_labels_and_its_missing_files_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "videos/a.mp4", "videos/b.mp4")
    table = tmp_path / "list.csv"
    table.write_text(
        "path,group\nvideos/a.mp4,p1\nvideos/gone.mp4,p1\nvideos/b.mp4,\nvideos/a.mp4,\n"
    )
    index = list_videos([table])
    assert index.names == ("videos/a.mp4", "videos/b.mp4")
    assert index.groups == ("p1", "videos/b.mp4")
    assert [file.path.name for file in index.skipped] == ["gone.mp4"]


def test_no_name_of_a_table_leads_out_of_the_root(tmp_path: Path) -> None:
    touch(tmp_path, "lists/a.mp4", "elsewhere/b.mp4")
    table = tmp_path / "lists/list.csv"
    table.write_text(f"path,label\na.mp4,kick\n../elsewhere/b.mp4,\n{tmp_path}/lists/a.mp4,kick\n")
    index = list_videos([table])
    assert index.root == tmp_path
    assert labels_of(index) == {"elsewhere/b.mp4": ("", ""), "lists/a.mp4": ("kick", "")}


def test_links_keep_the_names_under_which_they_are_given(tmp_path: Path) -> None:
    touch(tmp_path, "store/0a1b.mp4")
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/wave.mp4").symlink_to(tmp_path / "store/0a1b.mp4")
    assert list_videos([tmp_path / "videos"]).names == ("wave.mp4",)


def test_packed_clips_keep_their_labels(tmp_path: Path) -> None:
    file = tmp_path / "clips.npz"
    frames = np.zeros((2, 3, 8, 8, 3), dtype=np.uint8)
    np.savez(file, frames=frames, labels=np.array(["hug", "kick"]))
    index = list_videos([file])
    assert labels_of(index) == {"clips.npz#0": ("hug", ""), "clips.npz#1": ("kick", "")}


def test_what_is_not_there_is_told_before_anything_is_done(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    with pytest.raises(DatasetError, match="gone: no such file or folder"):
        list_videos([tmp_path / "a.mp4", tmp_path / "gone"])


def test_a_folder_without_a_video_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt")
    with pytest.raises(DatasetError, match="no video in it or below it") as caught:
        list_videos([tmp_path])
    assert "class" not in str(caught.value)
