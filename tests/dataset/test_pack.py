from __future__ import annotations

import errno
import os
import pickle
import tracemalloc
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from filmstrip.dataset import pack as pack_module
from filmstrip.dataset.index import VideoIndex, VideoRow, open_index
from filmstrip.dataset.pack import pack
from filmstrip.dataset.packed import PackedClips
from filmstrip.dataset.split import split_index
from filmstrip.errors import DatasetError, NoVideoError, StorageError
from filmstrip.video.decode import read_clip
from filmstrip.video.encode import write_video
from filmstrip.video.sampling import UniformSampling
from filmstrip.video.transforms import Framing

ROOT = Path("/data")


def index_of(num_clips: int) -> VideoIndex:
    rows = tuple(
        VideoRow(ROOT / f"{'ab'[i % 2]}/ü{i}.mp4", "ab"[i % 2], f"g{i // 2}", "train")
        for i in range(num_clips)
    )
    return VideoIndex(ROOT, rows, class_names=("b", "a"))


def frames_of(row: VideoRow, height: int = 6, width: int = 8) -> np.ndarray:
    """A clip of its own length and content for each file name."""
    number = int(row.path.stem[1:])
    rng = np.random.default_rng(number)
    return rng.integers(0, 256, (number % 4 + 1, height, width, 3), dtype=np.uint8)


def test_a_packed_clip_is_the_clip_that_was_read(tmp_path: Path) -> None:
    index = index_of(7)
    info = {"size": 6, "sampling": {"kind": "uniform", "num_frames": 4}}
    assert pack(index, tmp_path / "clips.npz", frames_of, info) == ()
    clips = PackedClips(tmp_path / "clips.npz")
    assert len(clips) == 7
    for i, row in enumerate(index.rows):
        assert clips[i].dtype == np.uint8
        assert np.array_equal(clips[i], frames_of(row))
    assert clips.labels.tolist() == index.labels.tolist()
    assert clips.class_names == ("b", "a")
    assert clips.splits == ("train",) * 7
    assert clips.groups == index.groups
    assert clips.names == index.names
    assert clips.info == info
    assert [path.name for path in tmp_path.iterdir()] == ["clips.npz"]


def test_numpy_reads_the_same_file_with_zeros_after_short_clips(tmp_path: Path) -> None:
    index = index_of(5)
    pack(index, tmp_path / "clips.npz", frames_of, {})
    with np.load(tmp_path / "clips.npz", allow_pickle=False) as arrays:
        assert arrays["frames"].shape == (5, 4, 6, 8, 3)
        assert arrays["lengths"].tolist() == [1, 2, 3, 4, 1]
        for row, length, frames in zip(
            index.rows, arrays["lengths"], arrays["frames"], strict=True
        ):
            assert np.array_equal(frames[:length], frames_of(row))
            assert not frames[length:].any()


def test_a_file_name_that_is_not_utf8_survives(tmp_path: Path) -> None:
    row = VideoRow(ROOT / os.fsdecode(b"a/\xff0.mp4"), "a")
    index = VideoIndex(ROOT, (row,))
    pack(index, tmp_path / "clips.npz", frames_of, {})
    assert PackedClips(tmp_path / "clips.npz").names == index.names


def test_the_same_clips_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        pack(index_of(3), tmp_path / name, frames_of, {"size": 6})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_large_clips_are_mapped_and_never_all_in_memory(tmp_path: Path) -> None:
    index, path = index_of(24), tmp_path / "clips.npz"
    clip_bytes = 4 * 256 * 256 * 3

    def read(row: VideoRow) -> np.ndarray:
        return frames_of(row, 256, 256)

    tracemalloc.start()
    pack(index, path, read, {})
    _, while_packing = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    clips = PackedClips(path)
    same = [np.array_equal(clips[i], read(row)) for i, row in enumerate(index.rows)]
    _, while_reading = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert all(same)
    assert path.stat().st_size > 24 * clip_bytes
    assert while_packing < 6 * clip_bytes
    assert while_reading < 6 * clip_bytes


def test_a_worker_process_gets_the_path_and_not_the_arrays(tmp_path: Path) -> None:
    pack(index_of(8), tmp_path / "clips.npz", lambda row: frames_of(row, 256, 256), {})
    clips = PackedClips(tmp_path / "clips.npz")
    sent = pickle.dumps(clips)
    assert len(sent) < 1000
    assert np.array_equal(pickle.loads(sent)[3], clips[3])  # noqa: S301


def test_a_clip_that_is_asked_for_twice_is_a_copy_each_time(tmp_path: Path) -> None:
    pack(index_of(8), tmp_path / "clips.npz", lambda row: frames_of(row, 256, 256), {})
    clips = PackedClips(tmp_path / "clips.npz")
    first = clips[3]
    first[:] = 0
    assert clips[3].any()
    for i in (-1, 8):
        with pytest.raises(IndexError, match="which holds 8"):
            clips[i]


def test_clips_that_cannot_be_read_are_left_out_and_named(tmp_path: Path) -> None:
    index = index_of(6)

    def read(row: VideoRow) -> np.ndarray:
        if row.path.stem == "ü2":
            raise NoVideoError("ü2.mp4: is empty", "a video", "remove it")
        return frames_of(row, width=9) if row.path.stem == "ü4" else frames_of(row)

    broken, odd = pack(index, tmp_path / "clips.npz", read, {})
    assert (broken.path.name, odd.path.name) == ("ü2.mp4", "ü4.mp4")
    assert "is empty" in broken.reason
    assert "(6, 9, 3), those of other clips (6, 8, 3)" in odd.reason
    clips = PackedClips(tmp_path / "clips.npz")
    assert clips.names == tuple(index.names[i] for i in (0, 1, 3, 5))
    assert np.array_equal(clips[2], frames_of(index.rows[3]))


def test_nothing_is_written_where_no_clip_can_be_read(tmp_path: Path) -> None:
    def read(row: VideoRow) -> np.ndarray:
        raise NoVideoError(f"{row.path.name}: is empty", "a video", "remove it")

    with pytest.raises(DatasetError, match=r"none of 3 clips could be read \(first: ü0.mp4"):
        pack(index_of(3), tmp_path / "clips.npz", read, {})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DatasetError, match=r"clips\.zip"):
        pack(index_of(3), tmp_path / "clips.zip", read, {})


def test_a_full_disk_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(index_of(3), tmp_path / "clips.npz", frames_of, {})
    before = (tmp_path / "clips.npz").read_bytes()

    def full(member: IO[bytes], *_: object) -> None:
        member.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pack_module, "_write_frames", full)
    with pytest.raises(StorageError, match="the disk is full"):
        pack(index_of(5), tmp_path / "clips.npz", frames_of, {})
    assert (tmp_path / "clips.npz").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["clips.npz"]


def test_a_folder_of_videos_is_packed_and_indexed_with_the_same_splits(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for label in ("hug", "kick"):
        for i in range(6):
            frames = rng.integers(0, 256, (4 + i, 32, 48, 3), dtype=np.uint8)
            (tmp_path / "videos" / label).mkdir(parents=True, exist_ok=True)
            write_video(tmp_path / "videos" / label / f"seq{i // 2}_{i}.mp4", frames, 10)
    (tmp_path / "videos/kick/seq9_broken.mp4").write_bytes(b"no video")
    index = split_index(open_index(tmp_path / "videos"))
    framing = Framing(size=32)

    def read(row: VideoRow) -> np.ndarray:
        return read_clip(row.path, UniformSampling(num_frames=6), framing).frames

    (skipped,) = pack(index, tmp_path / "clips.npz", read, {"framing": framing.model_dump()})
    assert skipped.path.name == "seq9_broken.mp4"
    packed = open_index(tmp_path / "clips.npz")
    decoded = [row for row in index.rows if row.path != skipped.path]
    assert [(r.label, r.group, r.split) for r in packed.rows] == [
        (r.label, r.group, r.split) for r in decoded
    ]
    assert packed.grouping == "12 clips in 3 groups, as stored in clips.npz"
    clips = PackedClips(tmp_path / "clips.npz")
    for row, source in zip(packed.rows, decoded, strict=True):
        assert row.packed_index is not None
        assert np.array_equal(clips[row.packed_index], read(source))
    assert {len(clips[i]) for i in range(12)} == {4, 5, 6}


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_arrays_of_another_make_are_read(tmp_path: Path, write: object) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (6, 5, 64, 64, 3), dtype=np.uint8)
    train, test = np.asfortranarray(frames[:4] / 255.0), frames[4:] / 255.0
    path = tmp_path / "mine.npz"
    write(path, X_train=train, y_train=[0, 1, 0, 1], X_test=test, y_test=[1, 0])  # type: ignore[operator]
    clips = PackedClips(path)
    assert all(np.array_equal(clips[i], frames[i]) for i in range(6))
    assert clips.splits == ("train",) * 4 + ("test",) * 2
    assert clips.groups == clips.names == ("",) * 6
    assert clips.info == {}


def test_the_pickle_of_the_published_script_is_read(tmp_path: Path) -> None:
    # Six arrays in a tuple, frames as float64 in 0..1, as its pickle_file.py writes them.
    frames = np.random.default_rng(0).integers(0, 256, (10, 3, 8, 8, 3), dtype=np.uint8)
    labels = np.arange(10) % 2
    parts = [slice(0, 8), slice(8, 9), slice(9, 10)]
    content = tuple(array for s in parts for array in (frames[s] / 255.0, labels[s]))
    (tmp_path / "data.pkl").write_bytes(pickle.dumps(content))
    clips = PackedClips(tmp_path / "data.pkl")
    assert clips.splits == ("train",) * 8 + ("val", "test")
    assert clips.labels.tolist() == labels.tolist()
    assert all(np.array_equal(clips[i], frames[i]) for i in range(10))


@pytest.mark.parametrize(
    ("extra", "given"),
    [
        ({"lengths": np.array([1, 2, 9])}, "lengths of shape"),
        ({"lengths": np.array([1, 0, 2])}, "lengths of shape"),
        ({"lengths": np.array([1, 2])}, "lengths of shape"),
        ({"groups": np.array(["a"])}, "1 texts for 3 clips"),
        ({"splits": np.array(["train", "other", "train"])}, "'other'"),
    ],
)
def test_members_that_do_not_fit_the_clips_are_refused(
    tmp_path: Path, extra: dict[str, np.ndarray], given: str
) -> None:
    path = tmp_path / "clips.npz"
    np.savez(path, frames=np.zeros((3, 2, 4, 4, 3)), labels=np.arange(3), **extra)
    with pytest.raises(DatasetError, match=given):
        PackedClips(path)


def test_an_info_that_is_no_json_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "clips.npz"
    np.savez(path, frames=np.zeros((3, 2, 4, 4, 3)), labels=np.arange(3), info="made by me")
    assert PackedClips(path).info == {}


@pytest.mark.parametrize("size", [(3, 2, 4, 4, 3), (3, 2, 512, 512, 3)])
def test_a_file_cut_short_is_refused(tmp_path: Path, size: tuple[int, ...]) -> None:
    path = tmp_path / "clips.npz"
    np.savez(path, frames=np.zeros(size, np.uint8), labels=np.arange(3))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DatasetError, match="cannot be read as arrays"):
        PackedClips(path)


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "clips.npz", frames=np.array([{}, None]), labels=np.arange(2))
    with pytest.raises(DatasetError, match=r"frames\.npy holds Python objects"):
        PackedClips(tmp_path / "clips.npz")
    np.savez(tmp_path / "large.npz", frames=np.arange(300_000, dtype=object))
    with pytest.raises(DatasetError, match=r"frames\.npy holds Python objects"):
        PackedClips(tmp_path / "large.npz")


def test_a_missing_or_foreign_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read as arrays"):
        PackedClips(tmp_path / "nowhere.npz")
    with zipfile.ZipFile(tmp_path / "letters.npz", "w") as archive:
        archive.writestr("letter.txt", "dear")
    with pytest.raises(DatasetError, match="no pair of clips and labels"):
        PackedClips(tmp_path / "letters.npz")


def test_a_file_of_another_layout_says_how_it_is_read(tmp_path: Path) -> None:
    clips = np.random.default_rng(0).random((4, 5, 9, 10, 3)).astype(np.float32)
    path = tmp_path / "clips.npz"
    labels = np.array(["a", "a", "b", "b"])
    np.savez(path, X=clips.transpose(0, 4, 1, 2, 3), y=labels, lengths=[5, 2, 3, 1])
    packed = PackedClips(path)
    assert [len(packed[i]) for i in range(4)] == [5, 2, 3, 1]
    assert np.array_equal(packed[2], np.rint(clips[2, :3] * 255).astype(np.uint8))
    assert "(clips, channels, frames, height, width)" in packed.reading
    assert "pixels from 0 to 1" in packed.reading
