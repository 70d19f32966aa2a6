from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from filmstrip.errors import FilmstripError, StorageError
from filmstrip.features import plain_files
from filmstrip.features.plain_files import (
    PARQUET_FILE,
    ClipFeatures,
    check_installed,
    writing_features,
)

WIDTH = 6


def clip(name: str, num_frames: int, label: str = "kick") -> ClipFeatures:
    rng = np.random.default_rng(num_frames)
    return ClipFeatures(
        path=name,
        label=label,
        group="p1",
        split="",
        view="plain",
        file=name,
        features=rng.normal(size=(num_frames, WIDTH)).astype(np.float32),
        times_seconds=np.arange(num_frames) / 8,
    )


def test_npy_holds_the_features_of_a_clip(tmp_path: Path) -> None:
    one = clip("kick/a.mp4", 4)
    with writing_features("npy", tmp_path, WIDTH) as write:
        assert write(one) == "kick/a.mp4.npy"
    found = np.load(tmp_path / "kick/a.mp4.npy")
    assert found.dtype == np.float32
    assert np.array_equal(found, one.features)


def test_safetensors_holds_the_features_and_the_times(tmp_path: Path) -> None:
    one = clip("kick/a.mp4", 4)
    with writing_features("safetensors", tmp_path, WIDTH) as write:
        assert write(one) == "kick/a.mp4.safetensors"
    found = load_file(tmp_path / "kick/a.mp4.safetensors")
    assert set(found) == {"features", "times_seconds"}
    assert np.array_equal(found["features"], one.features)
    assert np.array_equal(found["times_seconds"], one.times_seconds)


def test_parquet_has_a_row_for_each_frame_of_each_clip_in_order(tmp_path: Path) -> None:
    clips = [clip("kick/a.mp4", 3), clip("b.mp4", 1, label=""), clip("hug/c.mp4", 5, "hug")]
    with writing_features("parquet", tmp_path, WIDTH) as write:
        assert {write(one) for one in clips} == {PARQUET_FILE}
    table = pq.read_table(tmp_path / PARQUET_FILE)
    assert table["path"].to_pylist() == ["kick/a.mp4"] * 3 + ["b.mp4"] + ["hug/c.mp4"] * 5
    assert table["label"].to_pylist() == ["kick"] * 3 + [""] + ["hug"] * 5
    assert table["frame"].to_pylist() == [0, 1, 2, 0, 0, 1, 2, 3, 4]
    assert table["time_seconds"].to_pylist() == [n / 8 for n in table["frame"].to_pylist()]
    found = np.array(table["features"].to_pylist(), dtype=np.float32)
    assert np.array_equal(found, np.concatenate([one.features for one in clips]))


def test_parquet_is_written_in_groups_of_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain_files, "_ROW_GROUP_BYTES", 10 * WIDTH * 4)
    clips = [clip(f"{number}.mp4", num_frames=4) for number in range(7)]
    with writing_features("parquet", tmp_path, WIDTH) as write:
        for one in clips:
            write(one)
    file = pq.ParquetFile(tmp_path / PARQUET_FILE)
    groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert groups == [12, 12, 4]
    assert file.read()["path"].to_pylist() == [f"{n}.mp4" for n in range(7) for _ in range(4)]


def test_a_table_of_no_clip_has_its_columns(tmp_path: Path) -> None:
    with writing_features("parquet", tmp_path, WIDTH):
        pass
    table = pq.read_table(tmp_path / PARQUET_FILE)
    assert table.num_rows == 0
    assert table.schema.field("features").type.list_size == WIDTH


def test_a_name_that_is_not_utf8_is_written_to_parquet_with_its_bytes_spelt_out(
    tmp_path: Path,
) -> None:
    name = b"caf\xe9/\xff.mp4".decode(errors="surrogateescape")
    with writing_features("parquet", tmp_path, WIDTH) as write:
        write(clip(name, 1))
    assert pq.read_table(tmp_path / PARQUET_FILE)["path"].to_pylist() == [r"caf\xe9/\xff.mp4"]


@pytest.mark.parametrize("file_format", ["npy", "safetensors", "parquet"])
def test_a_full_disk_is_a_storage_error_and_leaves_no_half_file(
    file_format: plain_files.FileFormat,
    tmp_path: Path,
    largest_file: Callable[[int], AbstractContextManager[None]],
) -> None:
    before = clip("a.mp4", 2)
    with writing_features(file_format, tmp_path, WIDTH) as write:
        [kept] = {write(before)}
    content = (tmp_path / kept).read_bytes()
    with (
        largest_file(600),
        pytest.raises(StorageError, match="file-size limit"),
        writing_features(file_format, tmp_path, WIDTH) as write,
    ):
        write(clip("a.mp4", 500))
    assert [path.name for path in tmp_path.iterdir()] == [kept]
    assert (tmp_path / kept).read_bytes() == content


@pytest.mark.parametrize("file_format", ["npy", "safetensors", "parquet"])
def test_an_interruption_leaves_whole_files_only(
    file_format: plain_files.FileFormat, tmp_path: Path
) -> None:
    def write_and_interrupt() -> None:
        with writing_features(file_format, tmp_path, WIDTH) as write:
            write(clip("a.mp4", 2))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_interrupt()
    left = [] if file_format == "parquet" else [f"a.mp4.{file_format}"]
    assert [path.name for path in tmp_path.iterdir()] == left


def test_without_pyarrow_only_parquet_is_refused_and_the_way_out_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    check_installed("npy")
    check_installed("safetensors")
    with pytest.raises(FilmstripError, match="pyarrow is not installed") as caught:
        check_installed("parquet")
    assert "filmstrip[parquet]" in caught.value.remedy
