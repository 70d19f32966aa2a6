from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from filmstrip.errors import RunError, StorageError
from filmstrip.storage import fitting_name, locked, parse_json, replacing, write_table, writing

HOLD_THE_LOCK = """
import sys, time
from pathlib import Path
from filmstrip.storage import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_replacing_makes_the_folder_and_puts_the_new_file_in_the_place_of_the_old(
    tmp_path: Path,
) -> None:
    path = tmp_path / "deep" / "file.txt"
    for text in ("old", "new"):
        with replacing(path) as temporary:
            temporary.write_text(text)
            assert temporary.suffix == ".txt"
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("half of")
        assert path.read_text() == "old"


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail_midway() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half of")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_midway()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_vanishes_meanwhile_is_a_storage_error(tmp_path: Path) -> None:
    path = tmp_path / "run" / "file.txt"

    def write_too_late() -> None:
        with replacing(path) as temporary:
            path.parent.rmdir()
            temporary.write_text("too late")

    with pytest.raises(StorageError, match="No such file") as error:
        write_too_late()
    assert error.value.expected == "a folder that is there until the work is done"


def test_a_file_that_outgrows_its_limit_is_a_storage_error_and_leaves_the_old_one(
    tmp_path: Path, largest_file
) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    with (
        largest_file(1000),
        pytest.raises(StorageError, match=r"file\.bin.*limit") as error,
        replacing(path) as temporary,
    ):
        temporary.write_bytes(bytes(2000))
    assert "again" in error.value.remedy
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="the disk is full"), writing(tmp_path):
        Path("/dev/full").write_bytes(bytes(100))


@pytest.mark.parametrize("name", ["file.txt/below", "folder"])
def test_a_place_where_no_file_can_be_is_a_storage_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.txt").write_text("a file")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError) as error, replacing(tmp_path / name) as temporary:
        temporary.write_text("text")
    assert name.split("/")[0] in error.value.given


def test_a_lock_keeps_other_processes_out_until_its_own_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_LOCK, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="another Filmstrip process"), locked(tmp_path):
            pytest.fail("two processes hold one lock")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with locked(tmp_path):
        assert (tmp_path / ".lock").exists()


def test_a_lock_is_free_again_after_its_block(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / "new"):
            assert (tmp_path / "new").is_dir()


def test_a_table_keeps_commas_quotes_line_breaks_and_names_that_are_no_text(
    tmp_path: Path,
) -> None:
    values = ["a,b", 'c"d', "e\nf", b"\xff.mp4".decode(errors="surrogateescape"), "Zürich"]
    path = tmp_path / "table.csv"
    write_table(path, ["value"], [{"value": value} for value in values])
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        assert [row["value"] for row in csv.DictReader(file)] == values


@pytest.mark.parametrize("name", ["x" * 255, "a." + "b" * 253, "é" * 127, f"{'x' * 250}.mp4"])
def test_replacing_writes_names_as_long_as_the_disk_takes(tmp_path: Path, name: str) -> None:
    with replacing(tmp_path / name) as temporary:
        temporary.write_text("text")
    assert (tmp_path / name).read_text() == "text"


def test_a_name_too_long_for_the_disk_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 256)
    with pytest.raises(StorageError, match="too long") as caught, replacing(path) as temporary:
        temporary.write_text("text")
    assert "shorter name" in caught.value.remedy


@pytest.mark.parametrize("name", ["x" * 252, "x" * 400, "é" * 200, "\udcff" * 300, "🎬" * 100])
def test_fitting_name_shortens_to_what_the_disk_takes(tmp_path: Path, name: str) -> None:
    names = [fitting_name(f"{name}{number}", ".npy", tmp_path) for number in range(3)]
    assert len(set(names)) == 3
    for number, short in enumerate(names):
        assert short == fitting_name(f"{name}{number}", ".npy", tmp_path)
        assert short.endswith(".npy")
        assert len(os.fsencode(short)) <= 255
        (tmp_path / short).touch()


def test_fitting_name_keeps_a_name_that_fits(tmp_path: Path) -> None:
    assert fitting_name("x" * 251, ".npy", tmp_path) == f"{'x' * 251}.npy"
    assert fitting_name("a\udcff", ".npy", tmp_path) == "a\udcff.npy"


def test_json_nested_too_deeply_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json("[" * 100_000)
    assert parse_json('{"a": [1]}') == {"a": [1]}
