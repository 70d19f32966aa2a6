"""Plain arrays out of a pickle file, without trusting the file.

A pickle is a program: it may name any function and have it called. This unpickler follows
"Restricting Globals" (https://docs.python.org/3/library/pickle.html#restricting-globals) and admits
only what arrays, numbers, texts and plain containers need. Even NumPy's own rebuilding functions
are replaced by the small ones below, because ``numpy.dtype`` believes the flags that a pickle gives
it, and wrong flags make NumPy read numbers as addresses.
"""

from __future__ import annotations

import os
import pickle
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from filmstrip.errors import DatasetError

_EXPECTED = "NumPy arrays of numbers or text in plain dicts, lists and tuples, and nothing else"


def load_arrays(path: Path) -> object:
    """Read a ``.pkl`` of arrays and plain containers, of any pickle protocol and NumPy version.

    Returns:
        What was pickled: a dict, list, tuple or array.

    Raises:
        DatasetError: the file names anything else (nothing of it is run), is damaged, cannot be
            read, or is larger than the memory.
    """
    try:
        refuse_beyond_memory(path, path.stat().st_size)
        with path.open("rb") as file:
            # Python 2 wrote arrays' bytes as text; latin1 maps each character to its byte.
            return _PlainUnpickler(path, file, encoding="latin1").load()
    except DatasetError:
        raise
    except Exception as error:  # a damaged or hostile pickle can raise anything
        raise DatasetError(
            f"{path}: cannot be read as a pickle of plain arrays ({error or type(error).__name__})",
            _EXPECTED,
            "write the arrays again with pickle.dump, or better with numpy.savez.",
        ) from error


def refuse_beyond_memory(path: Path, needed_bytes: int) -> None:
    """Raise a ``DatasetError`` if ``needed_bytes`` of ``path`` exceed this machine's memory."""
    if not hasattr(os, "sysconf"):  # Windows does not tell; there the reading itself fails
        return
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed_bytes > memory_bytes:
        raise DatasetError(
            f"{path}: needs {needed_bytes / 1e9:.1f} GB of memory, and this machine has "
            f"{memory_bytes / 1e9:.1f} GB",
            "a pickle or a compressed file that fits in memory, for it is read as a whole",
            "write the arrays as uint8 with numpy.savez, uncompressed, which is read clip by clip.",
        )


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
        checked: Any = (version, shape, dtype.numpy, bool(is_fortran), _as_bytes(raw))
        super().__setstate__(checked)


def _reconstruct(*_fixed: object) -> _PlainArray:
    """An empty array, as every pickle makes it first; its state follows."""
    return np.ndarray.__new__(_PlainArray, (0,), "b")


def _from_buffer(
    buffer: bytes | bytearray, dtype: _PlainDtype, shape: tuple[int, ...], order: Any
) -> np.ndarray[Any, Any]:
    """An array as pickle protocol 5 writes it."""
    return np.frombuffer(buffer, dtype.numpy).reshape(shape, order=order)


def _scalar(dtype: _PlainDtype, raw: bytes | str) -> Any:
    return np.frombuffer(_as_bytes(raw), dtype.numpy, count=1)[0]


def _encode(text: str, encoding: str) -> bytes:
    """Bytes as pickle protocols 0 to 2 write them: as text in latin1."""
    if encoding != "latin1":
        raise ValueError(f"bytes written as {encoding!r} are not admitted")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Bytes of length 0, which protocols 0 to 2 write as a call without arguments."""
    return b""


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
    ("collections", "OrderedDict"): OrderedDict,
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
        for name, rebuild in (("set", set), ("frozenset", frozenset), ("bytes", _no_bytes))
    },
}
