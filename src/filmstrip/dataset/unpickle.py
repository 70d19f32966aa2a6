"""Plain arrays out of a pickle file, without trusting the file.

A pickle is a program: it may name any function and have it called. This unpickler follows
"Restricting Globals" (https://docs.python.org/3/library/pickle.html#restricting-globals) and admits
only what arrays, numbers, texts and plain containers need. Even NumPy's own rebuilding functions
are replaced by the small ones below, because ``numpy.dtype`` believes the flags that a pickle gives
it, and wrong flags make NumPy read numbers as addresses.
"""

from __future__ import annotations

import math
import os
import pickle
import re
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from filmstrip.errors import DatasetError

_MAX_DEPTH = 20
_MOST_VALUES = 10_000_000
_MOST_EMPTY = 1_000_000
_CONTAINERS = (Mapping, list, tuple, set, frozenset)
_PLAIN = (str, bytes, int, float, complex, np.generic, type(None))
_EXPECTED = "NumPy arrays of numbers or text in plain dicts, lists and tuples, and nothing else"


def load_arrays(path: Path) -> object:
    """Read a ``.pkl`` of arrays and plain containers, of any pickle protocol and NumPy version.

    Returns:
        What was pickled: a dict, list, tuple or array.

    Raises:
        DatasetError: the file names anything else (nothing of it is run), is damaged, cannot be
            read, is larger than the memory, or stands for more than it holds.
    """
    try:
        num_bytes = path.stat().st_size
        refuse_beyond_memory(path, num_bytes)
        with path.open("rb") as file:
            # Python 2 wrote arrays' bytes as text; latin1 maps each character to its byte.
            content = _PlainUnpickler(path, _BoundedFile(file, num_bytes), encoding="latin1").load()
        _check_extent(content)
        return content
    except DatasetError:
        raise
    except Exception as error:  # a damaged or hostile pickle can raise anything
        raise DatasetError(
            f"{path}: cannot be read as a pickle of plain arrays ({error or type(error).__name__})",
            _EXPECTED,
            "write the arrays again with pickle.dump, or better with numpy.savez.",
        ) from error


def refuse_beyond_memory(path: Path, needed_bytes: int) -> None:
    """Raise a ``DatasetError`` if ``needed_bytes`` of ``path`` exceed the free memory."""
    if not hasattr(os, "sysconf"):  # Windows does not tell; there the reading itself fails
        return
    memory_bytes = min(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), _available_bytes())
    if needed_bytes > memory_bytes:
        raise DatasetError(
            f"{path}: needs {needed_bytes / 1e9:.1f} GB of memory, and this machine has "
            f"{memory_bytes / 1e9:.1f} GB free",
            "a pickle or a compressed file that fits in memory, for it is read as a whole",
            "write the arrays as uint8 with numpy.savez, uncompressed, which is read clip by clip.",
        )


def _available_bytes() -> float:
    """The memory that Linux can give without swapping; infinite where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError, IndexError):
        return math.inf


def check_shape(shape: tuple[int, ...], dtype: np.dtype[Any], num_bytes: int) -> None:
    """Raise a ``ValueError`` unless an array of this shape takes exactly ``num_bytes``.

    An array of no bytes may claim any length, so its sides are bounded.
    """
    needed = math.prod(shape) * dtype.itemsize
    if needed != num_bytes or any(side < 0 for side in shape):
        raise ValueError(f"an array of shape {shape} takes {needed} bytes, there are {num_bytes}")
    if not num_bytes and max(shape, default=0) > _MOST_EMPTY:
        raise ValueError(f"an empty array of shape {shape}")


def check_text(array: np.ndarray[Any, Any]) -> None:
    """Raise a ``ValueError`` if an array of text holds what no character is.

    NumPy does not look, and Python's own functions fail on such text in ways that nothing expects.
    """
    if array.dtype.kind == "U" and array.size:
        codes = np.frombuffer(array.tobytes(), np.dtype("u4").newbyteorder(array.dtype.byteorder))
        if codes.max() > sys.maxunicode:
            raise ValueError("text that is not Unicode")


def _check_extent(content: object) -> None:
    """Refuse nesting and repetition that make a small file stand for a huge structure."""
    waiting: list[tuple[object, int]] = [(content, 0)]
    num_values = 0
    while waiting:
        value, depth = waiting.pop()
        if depth > _MAX_DEPTH:
            raise ValueError(f"containers nested more than {_MAX_DEPTH} deep")
        inside = value.values() if isinstance(value, Mapping) else value
        if not isinstance(value, _CONTAINERS) or not isinstance(inside, Iterable):
            continue
        for one in inside:
            num_values += 1
            if num_values > _MOST_VALUES:
                raise ValueError(f"more than {_MOST_VALUES} values in its containers")
            if isinstance(one, _CONTAINERS):
                waiting.append((one, depth + 1))


class _BoundedFile:
    """A file from which nothing is read that is longer than the file."""

    def __init__(self, file: BinaryIO, num_bytes: int) -> None:
        self._file = file
        self._num_bytes = num_bytes
        self.readline = file.readline

    def read(self, num_bytes: int) -> bytes:
        if num_bytes > self._num_bytes - self._file.tell():
            raise EOFError(f"it ends {num_bytes} bytes before its content does")
        return self._file.read(num_bytes)


class _PlainUnpickler(pickle._Unpickler):
    """Refuses every name that is not admitted.

    It extends the unpickler in Python, not the one in C, because the latter makes room for whatever
    memo index a pickle names: six bytes can claim 34 GB. Arrays come whole, so it is no slower.
    """

    def __init__(self, path: Path, file: Any, encoding: str) -> None:
        super().__init__(file, encoding=encoding)
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise DatasetError(
                f"{self._path}: the pickle asks for {module}.{name}, which was not run",
                _EXPECTED,
                "convert it where it was made: numpy.savez('clips.npz', frames=…, labels=…); "
                "if you expected plain arrays only, do not trust the file.",
            ) from None


def _check_plain(values: Iterable[object]) -> None:
    """Only plain values are keys: the hash of nested tuples can take for ever."""
    for value in values:
        if not isinstance(value, _PLAIN):
            raise ValueError(f"a {type(value).__name__} as a key or as a member of a set")


def _check_state_is_of_an_array(stack: list[Any]) -> None:
    if not isinstance(stack[-2], (_PlainArray, _PlainDtype)):
        raise ValueError("state for something other than an array is not admitted")


def _checked(
    opcode: bytes, check: Callable[[list[Any]], None]
) -> tuple[int, Callable[[Any], None]]:
    """An opcode and what loads it, after a look at what it takes from the stack."""
    load: Any = _PlainUnpickler.dispatch[opcode[0]]

    def load_checked(unpickler: Any) -> None:
        check(unpickler.stack)
        load(unpickler)

    return opcode[0], load_checked


_PlainUnpickler.dispatch = _PlainUnpickler.dispatch | dict(
    (
        _checked(pickle.ADDITEMS, _check_plain),
        _checked(pickle.FROZENSET, _check_plain),
        _checked(pickle.SETITEMS, lambda stack: _check_plain(stack[::2])),
        _checked(pickle.DICT, lambda stack: _check_plain(stack[::2])),
        _checked(pickle.SETITEM, lambda stack: _check_plain(stack[-2:-1])),
        _checked(pickle.BUILD, _check_state_is_of_an_array),
    )
)


class _PlainDtype:
    """Stands in for ``numpy.dtype``: a kind, a size and a byte order, and no flags or fields."""

    def __init__(self, kind: str, *_flags: object) -> None:
        if not re.fullmatch(r"[<>|=]?(?:[biuf]\d{1,2}|[US]\d+)", kind):
            raise ValueError(f"arrays of type {kind!r} are not admitted")
        self.numpy = np.dtype(kind)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        byte_order, subarray, names, fields = state[1:5]
        if subarray or names or fields:
            raise ValueError("arrays of records are not admitted")
        self.numpy = self.numpy.newbyteorder(byte_order)


class _PlainArray(np.ndarray[Any, Any]):
    """An array that takes plain types and bytes only; NumPy itself checks the shape."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        version, shape, dtype, is_fortran, raw = state
        content = _as_bytes(raw)
        check_shape(shape, dtype.numpy, len(content))
        checked: Any = (version, shape, dtype.numpy, bool(is_fortran), content)
        super().__setstate__(checked)
        check_text(self)


def _reconstruct(*_fixed: object) -> _PlainArray:
    """An empty array, as every pickle makes it first; its state follows."""
    return np.ndarray.__new__(_PlainArray, (0,), "b")


def _from_buffer(
    buffer: bytes | bytearray, dtype: _PlainDtype, shape: tuple[int, ...], order: Any
) -> np.ndarray[Any, Any]:
    """An array as pickle protocol 5 writes it."""
    check_shape(shape, dtype.numpy, len(buffer))
    array = np.frombuffer(buffer, dtype.numpy).reshape(shape, order=order)
    check_text(array)
    return array


def _scalar(dtype: _PlainDtype, raw: bytes | str) -> Any:
    array = np.frombuffer(_as_bytes(raw), dtype.numpy, count=1)
    check_text(array)
    return array[0]


def _encode(text: str, encoding: str) -> bytes:
    """Bytes as pickle protocols 0 to 2 write them: as text in latin1."""
    if encoding != "latin1":
        raise ValueError(f"bytes written as {encoding!r} are not admitted")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Bytes of length 0, which protocols 0 to 2 write as a call without arguments."""
    return b""


def _set(values: Iterable[object] = ()) -> set[object]:
    members = list(values)
    _check_plain(members)
    return set(members)


def _frozenset(values: Iterable[object] = ()) -> frozenset[object]:
    return frozenset(_set(values))


def _ordered_dict(items: Iterable[Iterable[object]] = ()) -> OrderedDict[object, object]:
    pairs = [(key, value) for key, value in items]
    _check_plain(key for key, _ in pairs)
    return OrderedDict(pairs)


def _as_bytes(raw: object) -> bytes:
    if isinstance(raw, str):
        return raw.encode("latin1")
    if isinstance(raw, (bytes, bytearray)):
        return bytes(raw)
    raise ValueError(f"an array's content is a {type(raw).__name__}, not bytes")


# numpy.core became numpy._core in NumPy 2; Python 2 says __builtin__.
_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): "numpy.ndarray",  # only ever an argument of _reconstruct
    ("numpy", "dtype"): _PlainDtype,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): _ordered_dict,
    **{
        (f"numpy.{core}.{module}", name): rebuild
        for core in ("core", "_core")
        for module, name, rebuild in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
    **{
        (builtins, name): rebuild
        for builtins in ("builtins", "__builtin__")
        for name, rebuild in (("set", _set), ("frozenset", _frozenset), ("bytes", _no_bytes))
    },
}
