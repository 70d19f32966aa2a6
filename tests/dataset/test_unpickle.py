from __future__ import annotations

import contextlib
import os
import pickle
import tracemalloc
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from filmstrip.dataset import unpickle
from filmstrip.dataset.unpickle import load_arrays
from filmstrip.errors import DatasetError

ARRAYS = {
    "uint8": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big endian": np.arange(5, dtype=">i4"),
    "half": np.linspace(0, 1, 7, dtype=np.float16),
    "bool": np.array([True, False]),
    "text": np.array(["hug", "Grüße"]),
    "bytes": np.array([b"hug", b"k"]),
    "nothing": np.zeros((0, 3), dtype=np.float32),
    "one number": np.array(7),
    "scalar": np.float32(0.25),
}


def same(found: Any, expected: Any) -> bool:
    return (
        np.asarray(found).dtype == np.asarray(expected).dtype
        and np.asarray(found).shape == np.asarray(expected).shape
        and bool(np.all(np.asarray(found) == np.asarray(expected)))
    )


def load(folder: Path, content: bytes) -> Any:
    path = folder / "clips.pkl"
    path.write_bytes(content)
    return load_arrays(path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_of_every_protocol_come_back_the_same(
    tmp_path: Path, name: str, protocol: int
) -> None:
    content = pickle.dumps([ARRAYS[name]], protocol)
    (found,) = load(tmp_path, content)
    assert same(found, pickle.loads(content)[0])  # noqa: S301
    assert np.array_equal(found, ARRAYS[name])


@given(
    array=hnp.arrays(
        st.one_of(
            hnp.integer_dtypes(), hnp.unsigned_integer_dtypes(), hnp.floating_dtypes(sizes=(16, 64))
        ),
        hnp.array_shapes(max_dims=5, max_side=4),
    ),
    protocol=st.integers(0, pickle.HIGHEST_PROTOCOL),
)
@settings(max_examples=60, deadline=None)
def test_any_numbers_come_back_as_from_pythons_own_unpickler(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, protocol: int
) -> None:
    content = pickle.dumps(array, protocol)
    found = load(tmp_path_factory.getbasetemp(), content)
    expected = pickle.loads(content)  # noqa: S301
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_containers_come_back_the_same(tmp_path: Path, protocol: int) -> None:
    content = {
        "list": [1, 2.5, None, True, "ü", b"\xff"],
        "tuple": (1, (2, ())),
        "set": {1, 2},
        "frozenset": frozenset("ab"),
        "ordered": OrderedDict(b=1, a=2),
    }
    assert load(tmp_path, pickle.dumps(content, protocol)) == content


@pytest.mark.parametrize("protocol", [0, 1, 2, 3])
def test_arrays_of_numpy_1_are_read(tmp_path: Path, protocol: int) -> None:
    content = pickle.dumps(ARRAYS["uint8"], protocol)
    old = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert old != content
    assert same(load(tmp_path, old), ARRAYS["uint8"])


def test_arrays_of_python_2_are_read(tmp_path: Path) -> None:
    # What Python 2.7 with NumPy 1.16 writes for numpy.array([1, 255, 0], 'uint8'), protocol 2.
    content = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b"
        b"\x87Rq\x03(K\x01K\x03\x85cnumpy\ndtype\nq\x04U\x02u1K\x00K\x01\x87Rq\x05(K\x03U\x01|NNN"
        b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x03\x01\xff\x00tb."
    )
    assert same(load(tmp_path, content), np.array([1, 255, 0], np.uint8))


class Call:
    """Pickles into a call of ``function``, which an ordinary unpickler would run."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    ("function", "name"),
    [(os.system, r"\w+\.system"), (eval, r"\w+\.eval"), (exec, r"\w+\.exec")],
)
def test_a_call_is_refused_by_name_and_not_run(
    tmp_path: Path, function: Callable[..., object], name: str, protocol: int
) -> None:
    witness = tmp_path / "witness"
    code = f"touch {witness}" if function is os.system else f"open({str(witness)!r}, 'w')"
    content = pickle.dumps({"X": np.zeros(3), "y": Call(function, code)}, protocol)
    with pytest.raises(DatasetError, match=f"asks for {name}, which was not run") as error:
        load(tmp_path, content)
    assert not witness.exists()
    assert "do not trust the file" in error.value.remedy
    pickle.loads(content)  # noqa: S301
    assert witness.exists(), "the pickle was harmless, so the test showed nothing"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("numpy", "load"),
        ("numpy", "fromfile"),
        ("numpy.core", "multiarray._reconstruct"),
        ("builtins", "getattr"),
        ("builtins", "bytearray"),
        ("operator", "attrgetter"),
        ("copyreg", "_reconstructor"),
        ("collections", "defaultdict"),
        ("filmstrip.dataset.unpickle", "load_arrays"),
        ("numpy", "ndarray.tofile"),
    ],
)
def test_whatever_is_not_on_the_list_is_refused(tmp_path: Path, module: str, name: str) -> None:
    content = b"\x80\x04\x8c" + bytes([len(module)]) + module.encode()
    content += b"\x8c" + bytes([len(name)]) + name.encode() + b"\x93)R."
    with pytest.raises(DatasetError, match=f"asks for {module}.{name}"):
        load(tmp_path, content)


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="arrays of type 'O8' are not admitted"):
        load(tmp_path, pickle.dumps(np.array([{}, None], dtype=object)))


def test_arrays_of_records_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="not admitted"):
        load(tmp_path, pickle.dumps(np.zeros(2, dtype=[("a", "i4")])))


def state_of(shape: bytes, kind: bytes, flags: bytes, raw: bytes) -> bytes:
    """A protocol 2 pickle of an array with a state of one's own making."""
    return (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        + (b"(K\x01" + shape + b"cnumpy\ndtype\nU\x02" + kind + b"K\x00K\x01\x87R")
        + (b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff" + flags + b"tb\x89")
        + (b"U" + bytes([len(raw)]) + raw + b"tb.")
    )


def test_flags_that_turn_numbers_into_addresses_have_no_effect(tmp_path: Path) -> None:
    # 63 are the flags of an object array: NumPy itself would follow 0x4141414141414141.
    found = load(tmp_path, state_of(b"K\x01\x85", b"i8", b"K\x3f", b"A" * 8))
    assert found.dtype == np.int64
    assert not found.dtype.hasobject
    assert found.tolist() == [0x4141414141414141]


@pytest.mark.parametrize(
    ("shape", "raw"),
    [
        (b"K\x02\x85", b"A" * 8),
        (b"J\xff\xff\xff\xff\x85", b"A" * 8),
        (b"J\x00\x00\x00\x40J\x00\x00\x00\x40J\x00\x00\x00\x40\x87", b""),
        (b"U\x01a\x85", b"A" * 8),
    ],
)
def test_a_shape_that_the_content_does_not_fill_is_refused(
    tmp_path: Path, shape: bytes, raw: bytes
) -> None:
    with pytest.raises(DatasetError, match="cannot be read as a pickle of plain arrays"):
        load(tmp_path, state_of(shape, b"i8", b"K\x00", raw))


def test_a_forged_memo_index_claims_no_memory(tmp_path: Path) -> None:
    tracemalloc.start()
    assert load(tmp_path, b"\x80\x04Nr\xff\xff\xff\x7f.") is None
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 1_000_000


def test_bytes_written_as_another_encoding_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="bytes written as 'utf-7' are not admitted"):
        load(tmp_path, b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00utf-7\x86R.")


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_refused_or_read_and_never_raises_anything_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(pickle.dumps((ARRAYS["uint8"], ["hug", "kick"], ARRAYS["half"]), 4))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(2, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DatasetError):
        load(tmp_path_factory.getbasetemp(), bytes(content[: data.draw(st.integers(0, 400))]))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"clips\.pkl: cannot be read"):
        load_arrays(tmp_path / "clips.pkl")


def test_a_file_larger_than_the_memory_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clips.pkl"
    with path.open("wb") as file:
        file.truncate(2 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))

    def never(*_: object, **__: object) -> None:
        pytest.fail("the file was read")

    monkeypatch.setattr(unpickle, "_PlainUnpickler", never)
    with pytest.raises(DatasetError, match=r"needs [\d.]+ GB of memory, and this machine has"):
        load_arrays(path)
