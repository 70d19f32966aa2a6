"""Packed files that stand for far more than they hold: an error in seconds, never a hang."""

from __future__ import annotations

import contextlib
import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib import format as npy

from filmstrip.dataset import unpickle
from filmstrip.dataset.index import open_index
from filmstrip.errors import DatasetError

FRAMES = np.zeros((4, 2, 8, 8, 3), np.uint8)
LABELS = np.array(["hug", "hug", "kick", "kick"])


def nested_tuples(depth: int, width: int) -> bytes:
    """A pickle of tuples in tuples, each of which holds the one inside ``width`` times."""
    repeat = b"".join(pickle.DUP for _ in range(width - 1))
    wrap = {1: pickle.TUPLE1, 2: pickle.TUPLE2}[width]
    return pickle.EMPTY_TUPLE + depth * (repeat + wrap)


HOSTILE_PICKLES = {
    "deep": nested_tuples(100_000, 1) + b".",
    "exponential": nested_tuples(60, 2) + b".",
    "exponential_key": b"}" + nested_tuples(60, 2) + b"Ns.",
    "exponential_keys": b"}(" + nested_tuples(60, 2) + b"Nu.",
    "exponential_dict": b"(" + nested_tuples(60, 2) + b"Nd.",
    "exponential_member": b"\x80\x04\x8f(" + nested_tuples(60, 2) + b"\x90.",
    "exponential_frozenset": b"\x80\x04(" + nested_tuples(60, 2) + b"\x91.",
    "exponential_set_call": b"c__builtin__\nset\n](" + nested_tuples(60, 2) + b"e\x85R.",
    "exponential_ordered": (
        b"ccollections\nOrderedDict\n](" + nested_tuples(60, 2) + b"N\x86e\x85R."
    ),
    "long_bytes": b"\x80\x04\x8e" + struct.pack("<Q", 10**12) + b".",
    "state_of_a_function": b"c_codecs\nencode\nN}\x8c\x0b__doc__" + b"Ns\x86b.",
}


@pytest.mark.parametrize("name", HOSTILE_PICKLES)
def test_hostile_pickles_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "clips.pkl"
    path.write_bytes(HOSTILE_PICKLES[name])
    with pytest.raises(DatasetError):
        open_index(path)


def test_an_empty_array_of_absurd_length_is_refused(tmp_path: Path) -> None:
    whole = pickle.dumps((FRAMES, np.zeros((1_234_567, 0))), protocol=2)
    path = tmp_path / "clips.pkl"
    path.write_bytes(whole.replace(struct.pack("<i", 1_234_567), struct.pack("<i", 2**31 - 1)))
    with pytest.raises(DatasetError, match="an empty array of shape"):
        open_index(path)


def npz(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def header(text: str) -> bytes:
    padded = text.encode() + b" " * (-len(text) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded


def array_of(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    npy.write_array(file, values)
    return file.getvalue()


@pytest.mark.parametrize(
    "frames",
    [
        header("{'descr': '|u1', 'fortran_order': False, 'shape': (4, 99999999, 999, 999, 3), }"),
        header("{'descr': '|u1', 'fortran_order': False, 'shape': (999999999999, 0), }"),
        header("{'descr': '<U0', 'fortran_order': False, 'shape': (999999999999,), }"),
        header("{'descr': '|u1', 'fortran_order': False, 'shape': " + "(" * 9000),
        header("{'descr': " + "-" * 9000 + "1}"),
    ],
)
def test_headers_that_ask_for_more_than_there_is_are_refused(tmp_path: Path, frames: bytes) -> None:
    path = npz(tmp_path / "clips.npz", frames=frames, labels=array_of(LABELS))
    with pytest.raises(DatasetError, match="cannot be read as arrays"):
        open_index(path)


def test_a_zip_bomb_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = npz(tmp_path / "clips.npz", frames=array_of(np.zeros((4, 50, 160, 160, 3), np.uint8)))
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(unpickle, "_available_bytes", lambda: 10e6, raising=False)
    with pytest.raises(DatasetError, match=r"needs 0\.0 GB of memory"):
        open_index(path)


@pytest.mark.parametrize(
    "members",
    [
        {"class_names": np.array("hug")},
        {"class_names": np.array([[1.5, 2.5]])},
        {"groups": np.array(3)},
        {"lengths": np.array("x")},
        {"labels": np.array([b"\xff", b"\xff", b"\xfe", b"\xfe"])},
        {"labels": np.array(["x" * 5000, "y", "z", "z"])},
    ],
)
def test_members_of_odd_shapes_are_refused(tmp_path: Path, members: dict[str, Any]) -> None:
    np.savez(tmp_path / "clips.npz", **{"frames": FRAMES, "labels": LABELS} | members)
    with pytest.raises(DatasetError):
        open_index(tmp_path / "clips.npz")


def test_a_deep_info_is_passed_over(tmp_path: Path) -> None:
    np.savez(tmp_path / "clips.npz", frames=FRAMES, labels=LABELS, info="[" * 100_000)
    assert len(open_index(tmp_path / "clips.npz")) == 4


@pytest.mark.parametrize("suffix", ["pkl", "npz"])
def test_mutated_files_are_read_or_refused_and_raise_nothing_else(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"clips.{suffix}"
    if suffix == "npz":
        np.savez_compressed(path, frames=FRAMES, labels=LABELS, info="{}")
    else:
        path.write_bytes(pickle.dumps({"frames": FRAMES[:, :, :2, :2], "labels": LABELS}))
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        changed = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 5)):
            changed[place] = rng.integers(0, 256)
        path.write_bytes(changed)
        with contextlib.suppress(DatasetError):
            open_index(path)
