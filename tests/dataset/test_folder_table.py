from __future__ import annotations

from pathlib import Path

import pytest

from filmstrip.dataset.index import open_index
from filmstrip.dataset.videos import list_videos
from filmstrip.errors import DatasetError

LABELS = "path,label,group\nvideos/a.mp4,hug,1\nvideos/b.mp4,hug,2\nvideos/c.mp4,kick,1\n"
LABELS += "videos/d.mp4,kick,2\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Five videos in one folder, and a table that labels four of them."""
    (tmp_path / "videos").mkdir()
    for name in "abcde":
        (tmp_path / f"videos/{name}.mp4").touch()
    (tmp_path / "clips.csv").write_text(LABELS)
    return tmp_path


def test_a_folder_without_classes_is_read_by_its_only_table(data: Path) -> None:
    index = open_index(data)
    assert index.root == data
    assert [row.label for row in index.rows] == ["hug", "hug", "kick", "kick"]
    assert index.groups == ("1", "2", "1", "2")
    assert index.reading.startswith("The labels are those of clips.csv, the only table")
    assert [file.path.name for file in index.skipped] == ["e.mp4"]


def test_a_table_of_segments_is_not_taken_for_labels(data: Path) -> None:
    (data / "segments.csv").write_text("path,label\nvideos/a.mp4,up\nvideos/a.mp4,down\n")
    (data / "notes.csv").write_text("day,weather\n1,rain\n")
    assert open_index(data).class_names == ("hug", "kick")


def test_two_tables_that_could_be_meant_are_refused_by_name(data: Path) -> None:
    (data / "other.csv").write_text(LABELS.replace("hug", "wave"))
    with pytest.raises(DatasetError, match=r"2 tables in it .*: clips\.csv, other\.csv"):
        open_index(data)


def test_a_table_that_cannot_be_used_is_told_of_with_the_reason(data: Path) -> None:
    (data / "clips.csv").write_text("path,label\nvideos/gone.mp4,hug\n")
    with pytest.raises(DatasetError, match="fewer than two classes"):
        open_index(data)
    for path in (data / "videos").iterdir():
        path.rename(data / path.name)
    with pytest.raises(
        DatasetError, match=r"no table in it labels .*clips\.csv: none of the files"
    ):
        open_index(data)


def test_class_folders_win_over_a_table(data: Path) -> None:
    for label in ("run", "walk"):
        (data / label).mkdir()
        for name in "ab":
            (data / label / f"{name}.mp4").touch()
    assert open_index(data).class_names == ("run", "videos", "walk")


def test_videos_without_labels_take_those_of_the_table(data: Path) -> None:
    index = list_videos([data])
    assert [row.label for row in index.rows] == ["hug", "hug", "kick", "kick", ""]
