from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmstrip.dataset.index import VideoIndex, VideoRow
from filmstrip.dataset.split_file import read_splits, write_splits
from filmstrip.errors import DatasetError, StorageError

ROOT = Path("/data")


def index_of(*names: str) -> VideoIndex:
    rows = tuple(VideoRow(ROOT / name, name.split("/")[0], group=name[-5]) for name in names)
    return VideoIndex(ROOT, rows)


CLIPS = ("hug/b1.mp4", "hug/a1.mp4", "kick/a,2.mp4", 'kick/"ü"3.mp4')
SPLITS = ["train", "test", "val", "train"]


def test_splits_are_written_sorted_and_read_back_the_same(tmp_path: Path) -> None:
    index = index_of(*CLIPS).with_splits(SPLITS)
    path = tmp_path / "run" / "splits.csv"
    write_splits(index, path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[:3] == [
        "path,label,group,split",
        "hug/a1.mp4,hug,1,test",
        "hug/b1.mp4,hug,1,train",
    ]
    bare = index.with_splits([""] * 4)
    read = read_splits(path, bare)
    assert read.rows == index.rows
    assert read.grouping == "4 clips in 3 groups, as written in splits.csv"
    assert os.listdir(path.parent) == ["splits.csv"]  # noqa: PTH208


# Any bytes but "/" and NUL can name a file; Python decodes those that are no UTF-8 to surrogates.
names = (
    st.binary(min_size=1)
    .filter(lambda name: not {b"/"[0], 0} & set(name) and name not in (b".", b".."))
    .map(os.fsdecode)
)


@given(st.lists(names, min_size=1, max_size=8, unique=True), st.data())
def test_any_file_name_survives(tmp_path_factory: pytest.TempPathFactory, clips, data) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    splits = st.sampled_from(["train", "val", "test"])
    rows = tuple(VideoRow(ROOT / "hug" / name, "hug", "g", data.draw(splits)) for name in clips)
    index = VideoIndex(ROOT, rows)
    write_splits(index, path)
    assert read_splits(path, index.with_splits([""] * len(rows))).rows == rows


def test_a_name_that_is_not_utf8_is_written_as_its_bytes(tmp_path: Path) -> None:
    row = VideoRow(ROOT / os.fsdecode(b"hug/\xff.mp4"), "hug", "g", "train")
    write_splits(VideoIndex(ROOT, (row,)), tmp_path / "splits.csv")
    assert b"hug/\xff.mp4,hug,g,train" in (tmp_path / "splits.csv").read_bytes()


@pytest.mark.parametrize(
    ("clips", "given"),
    [
        (CLIPS[:3], 'names 1 clips that are not in the data, such as kick/"ü"3.mp4'),
        ((*CLIPS, "hug/c1.mp4"), "misses 1 clips of the data, such as hug/c1.mp4"),
    ],
)
def test_splits_of_other_clips_are_refused(
    tmp_path: Path, clips: tuple[str, ...], given: str
) -> None:
    write_splits(index_of(*CLIPS).with_splits(SPLITS), tmp_path / "splits.csv")
    with pytest.raises(DatasetError, match=given):
        read_splits(tmp_path / "splits.csv", index_of(*clips))


def test_splits_with_other_labels_are_refused(tmp_path: Path) -> None:
    write_splits(index_of(*CLIPS).with_splits(SPLITS), tmp_path / "splits.csv")
    renamed = VideoIndex(ROOT, tuple(VideoRow(ROOT / name, "wave") for name in CLIPS))
    with pytest.raises(DatasetError, match="gives 4 clips another label"):
        read_splits(tmp_path / "splits.csv", renamed)


@pytest.mark.parametrize(
    "text", ["path,label\na.mp4,hug\n", "path,label,group,split\na.mp4,hug\n", ""]
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "splits.csv").write_text(text)
    with pytest.raises(DatasetError, match="not a table of splits"):
        read_splits(tmp_path / "splits.csv", index_of(*CLIPS))
    with pytest.raises(DatasetError, match="cannot be read"):
        read_splits(tmp_path / "nowhere.csv", index_of(*CLIPS))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write every folder")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match=r"splits\.csv: could not be written"):
        write_splits(index_of(*CLIPS), tmp_path / "splits.csv")


def test_what_is_no_table_at_all_is_refused(tmp_path: Path) -> None:
    (tmp_path / "splits.csv").write_text("x" * 200_000)
    with pytest.raises(DatasetError, match="cannot be read"):
        read_splits(tmp_path / "splits.csv", index_of(*CLIPS))
