from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from filmstrip.dataset.index import VideoIndex, VideoRow, open_index
from filmstrip.errors import DatasetError

UT_INTERACTION = Path("/work/shared/data/ut_interaction")


def folder_of(root: Path, **clips: int) -> Path:
    """A class folder with so many empty files for each name."""
    for label, count in clips.items():
        (root / label).mkdir(parents=True)
        for i in range(count):
            (root / label / f"{label}_{chr(97 + i)}.mp4").touch()
    return root


def test_rows_labels_and_classes_belong_together(tmp_path: Path) -> None:
    index = open_index(folder_of(tmp_path, class10=2, class2=3))
    assert index.class_names == ("class2", "class10")
    assert index.labels.tolist() == [1, 1, 0, 0, 0]
    assert [index.class_names[i] for i in index.labels] == [row.label for row in index.rows]
    assert index.names[0] == "class10/class10_a.mp4"


def test_one_file_name_in_two_classes_is_two_clips_in_two_groups(tmp_path: Path) -> None:
    for name in ("kick/a.mp4", "kick/b.mp4", "hug/a.mp4", "hug/b.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    index = open_index(tmp_path)
    assert len(set(index.groups)) == 4
    assert "each its own group" in index.grouping


def test_a_class_folder_name_is_never_taken_for_a_group(tmp_path: Path) -> None:
    index = open_index(folder_of(tmp_path, scene1=3, scene2=3))
    assert "each its own group" in index.grouping


def test_a_class_of_one_clip_is_left_out_and_the_rest_goes_on(tmp_path: Path) -> None:
    index = open_index(folder_of(tmp_path, hug=2, kick=2, wave=1))
    assert index.class_names == ("hug", "kick")
    (file,) = index.skipped
    assert file.path == tmp_path / "wave/wave_a.mp4"
    assert "only clip of the class 'wave'" in file.reason
    assert "two or more" in file.reason
    assert "add clips" in file.reason


@pytest.mark.parametrize("clips", [{"hug": 9}, {"hug": 9, "kick": 1}])
def test_fewer_than_two_classes_are_refused(tmp_path: Path, clips: dict[str, int]) -> None:
    with pytest.raises(DatasetError, match="fewer than two classes") as error:
        open_index(folder_of(tmp_path, **clips))
    assert "'hug' with 9" in error.value.given
    assert error.value.remedy.startswith("add ")


def test_a_lone_folder_is_proposed_only_if_it_holds_folders_of_videos(tmp_path: Path) -> None:
    folder_of(tmp_path / "data/videos", hug=3, kick=3)
    with pytest.raises(DatasetError, match="fewer than two classes") as error:
        open_index(tmp_path / "data")
    inner = tmp_path / "data/videos"
    assert error.value.remedy.startswith(f"give {inner}, which holds folders of videos (hug, kick)")
    assert open_index(inner).class_names == ("hug", "kick")


def test_a_class_folder_alone_is_refused_with_its_parent_as_the_remedy(tmp_path: Path) -> None:
    folder_of(tmp_path, hug=3, kick=3)
    with pytest.raises(DatasetError, match="no class folders") as error:
        open_index(tmp_path / "hug")
    assert f"give {tmp_path} if hug is one class and kick another" in error.value.remedy


@pytest.mark.parametrize("address", ["http://host/a.ts", "rtsp://host:554/live", "s3://bucket/x"])
def test_an_address_is_refused_as_it_was_given(address: str) -> None:
    with pytest.raises(DatasetError) as error:
        open_index(Path(address))
    assert error.value.given == f"{address}: is an address"
    assert "filmstrip predict" in error.value.remedy


@pytest.mark.parametrize(
    ("name", "given"),
    [("nowhere", "no such file"), ("clip.mp4", "is one video"), ("notes.docx", "no known kind")],
)
def test_data_of_no_known_kind_is_refused(tmp_path: Path, name: str, given: str) -> None:
    if name != "nowhere":
        (tmp_path / name).touch()
    with pytest.raises(DatasetError, match=given):
        open_index(tmp_path / name)


def test_groups_come_from_the_file_names(tmp_path: Path) -> None:
    for label in ("hug", "kick"):
        for name in ("seq01_1.avi", "seq01_2.avi", "seq02_1.avi"):
            (tmp_path / label).mkdir(exist_ok=True)
            (tmp_path / label / name).touch()
    index = open_index(tmp_path)
    assert index.groups == ("seq01", "seq01", "seq02") * 2
    assert index.grouping == (
        "6 clips in 2 groups, by 'seqNN' in the name (hug/seq01_1.avi is of seq01)"
    )
    own = open_index(tmp_path, group_pattern=r"_(\d)\.avi")
    assert own.groups == ("1", "2", "1") * 2


def test_a_relative_path_indexes_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_of(tmp_path / "data", hug=2, kick=2)
    monkeypatch.chdir(tmp_path)
    assert open_index(Path("data")) == open_index(tmp_path / "data")


def test_a_subset_keeps_labels_and_class_names(tmp_path: Path) -> None:
    index = open_index(folder_of(tmp_path, hug=2, kick=2))
    part = index.with_splits(["train", "test", "test", "test"]).subset("test")
    assert part.class_names == index.class_names
    assert part.labels.tolist() == [0, 1, 1]
    with pytest.raises(ValueError, match="shorter"):
        index.with_splits(["train"])


def test_a_packed_clip_is_named_by_its_place() -> None:
    root = Path("/data")
    assert VideoRow(root / "clips.npz", "hug", packed_index=7).name(root) == "clips.npz#7"
    assert VideoRow(Path("/elsewhere/a.mp4"), "hug").name(root) == "/elsewhere/a.mp4"


@pytest.mark.parametrize("suffix", [".npz", ".pkl"])
def test_a_packed_file_is_indexed_clip_by_clip(tmp_path: Path, suffix: str) -> None:
    arrays = {"X_train": np.zeros((4, 2, 6, 8, 3)), "y_train": np.array([0, 0, 1, 1])}
    arrays |= {"X_test": np.zeros((2, 2, 6, 8, 3)), "y_test": np.array([1, 0])}
    path = tmp_path / f"clips{suffix}"
    if suffix == ".npz":
        np.savez(path, **arrays)
    else:
        path.write_bytes(pickle.dumps(arrays))
    index = open_index(path)
    assert [row.packed_index for row in index.rows] == [0, 1, 2, 3, 4, 5]
    assert index.labels.tolist() == [0, 0, 1, 1, 1, 0]
    assert [row.split for row in index.rows] == ["train"] * 4 + ["test"] * 2
    assert len(set(index.groups)) == 6


def test_class_names_follow_the_rows_where_none_are_given() -> None:
    root = Path("/data")
    rows = tuple(VideoRow(root / f"{i}.mp4", label) for i, label in enumerate("ba"))
    assert VideoIndex(root, rows).class_names == ("a", "b")
    assert VideoIndex(root, rows, class_names=("b", "a")).labels.tolist() == [0, 1]


@pytest.mark.skipif(not UT_INTERACTION.is_dir(), reason="the UT-Interaction clips are not here")
def test_ut_interaction_falls_into_its_twenty_sequences() -> None:
    index = open_index(UT_INTERACTION)
    assert index.grouping.startswith("120 clips in 20 groups, by 'seqNN' in the name")
    assert np.bincount(index.labels).tolist() == [20] * 6


def test_a_class_whose_name_is_no_text_is_refused_before_anything_is_learnt(
    tmp_path: Path,
) -> None:
    for name in (b"h\xfcpfen", b"gehen"):
        folder = tmp_path / os.fsdecode(name)
        folder.mkdir()
        for clip in ("a.mp4", "b.mp4"):
            (folder / clip).touch()
    with pytest.raises(DatasetError, match="is no text in UTF-8") as error:
        open_index(tmp_path)
    assert "rename its folder" in error.value.remedy


def test_a_file_whose_name_is_no_text_is_a_clip_like_any_other(tmp_path: Path) -> None:
    folder_of(tmp_path, hug=2, kick=2)
    (tmp_path / "hug" / os.fsdecode(b"\xff.mp4")).touch()
    assert len(open_index(tmp_path)) == 5
