"""Features as plain files that other tools read: npy, safetensors, Parquet.

npy and safetensors make a file for each clip and view, Parquet one table for all.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as safetensors_bytes

from filmstrip.errors import FilmstripError
from filmstrip.storage import fitting_name, replacing

FileFormat = Literal["npy", "safetensors", "parquet"]

PARQUET_FILE = "features.parquet"

# The most that waits in memory; a reader, too, takes a group of rows at a time.
_ROW_GROUP_BYTES = 32 << 20
_TEXT_COLUMNS = ("path", "label", "group", "split", "view")


@dataclass(frozen=True, eq=False, slots=True)
class ClipFeatures:
    """One view of one clip, as it goes into a file.

    Attributes:
        path: the video, relative to the root of the videos.
        label: the name of its class, empty if none is known.
        group: the recording that it was cut from.
        split: ``train``, ``val``, ``test``, or empty.
        view: ``plain`` or ``flip``.
        file: where it goes, without the format's suffix, relative to the folder of features.
        features: (T, D) float32, a row for each sampled frame.
        times_seconds: (T,) float64, when the video was looked at; NaN where that is not known.
    """

    path: str
    label: str
    group: str
    split: str
    view: str
    file: str
    features: NDArray[np.float32]
    times_seconds: NDArray[np.float64]


Write = Callable[[ClipFeatures], str]
"""Writes one clip, and returns the name of the file that holds it below the folder."""


@contextmanager
def writing_features(file_format: FileFormat, folder: Path, num_features: int) -> Iterator[Write]:
    """Write clips one by one below ``folder``; each file appears whole or not at all.

    Args:
        file_format: ``npy``: one array (T, D) float32 a file. ``safetensors``: ``features`` (T, D)
            float32 and ``times_seconds`` (T,) float64. ``parquet``: one table, ``PARQUET_FILE``,
            with a row for each frame; it appears once the block ends well.
        folder: where files go.
        num_features: D, the width that all clips share.

    Raises:
        FilmstripError: Parquet is asked for, and pyarrow is not installed.
        StorageError: the disk is full or cannot be written.
    """
    if file_format == "parquet":
        with _writing_parquet(folder / PARQUET_FILE, num_features) as write:
            yield write
    else:
        encode = _npy_bytes if file_format == "npy" else _safetensors_bytes

        def write_file(clip: ClipFeatures) -> str:
            place = Path(clip.file)
            name = place.with_name(fitting_name(place.name, f".{file_format}", folder))
            content = encode(clip)
            with replacing(folder / name) as temporary:
                temporary.write_bytes(content)
            return str(name)

        yield write_file


def check_installed(file_format: FileFormat) -> None:
    """Raise a ``FilmstripError`` if ``file_format`` needs a package that is not installed."""
    if file_format != "parquet":
        return
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise FilmstripError(
            "--format parquet: the package pyarrow is not installed",
            "pyarrow, which writes Parquet files",
            "install it with: pip install 'filmstrip[parquet]'; or use --format npy or "
            "safetensors, which need nothing more.",
        ) from error


def _npy_bytes(clip: ClipFeatures) -> bytes:
    """In memory first: to a file, NumPy does not tell why a write failed."""
    content = io.BytesIO()
    np.save(content, clip.features, allow_pickle=False)
    return content.getvalue()


def _safetensors_bytes(clip: ClipFeatures) -> bytes:
    tensors: dict[str, NDArray[Any]] = {
        "features": clip.features,
        "times_seconds": clip.times_seconds,
    }
    return safetensors_bytes(tensors)


@contextmanager
def _writing_parquet(path: Path, num_features: int) -> Iterator[Write]:
    check_installed("parquet")
    import pyarrow.parquet as pq

    schema = _schema(num_features)
    # A Python file, not Arrow's own: its errors say what the system said.
    with (
        replacing(path) as temporary,
        temporary.open("wb") as file,
        pq.ParquetWriter(file, schema, use_dictionary=list(_TEXT_COLUMNS)) as writer,
    ):
        waiting: list[ClipFeatures] = []
        num_rows = 0

        def flush() -> None:
            writer.write_table(_table(waiting, schema), row_group_size=num_rows)

        def write(clip: ClipFeatures) -> str:
            nonlocal num_rows
            waiting.append(clip)
            num_rows += len(clip.features)
            if num_rows * num_features * clip.features.itemsize >= _ROW_GROUP_BYTES:
                flush()
                waiting.clear()
                num_rows = 0
            return path.name

        yield write
        if waiting:
            flush()


def _schema(num_features: int) -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            *((name, pa.string()) for name in _TEXT_COLUMNS),
            ("frame", pa.int32()),
            ("time_seconds", pa.float64()),
            ("features", pa.list_(pa.float32(), num_features)),
        ]
    )


def _table(clips: Sequence[ClipFeatures], schema: Any) -> Any:
    """An Arrow table of at least one clip, a row for each frame."""
    import pyarrow as pa

    lengths = [len(clip.features) for clip in clips]
    clip_of_row = pa.array(np.repeat(np.arange(len(clips)), lengths))
    columns = [
        pa.array([_utf8(getattr(clip, name)) for clip in clips], pa.string()).take(clip_of_row)
        for name in _TEXT_COLUMNS
    ]
    columns.append(pa.array(np.concatenate([np.arange(n, dtype=np.int32) for n in lengths])))
    columns.append(pa.array(np.concatenate([clip.times_seconds for clip in clips])))
    # (sum of T, D) as one run of numbers, which Arrow cuts into rows of D
    values = np.concatenate([clip.features for clip in clips])
    numbers = pa.array(values.reshape(-1))
    columns.append(pa.FixedSizeListArray.from_arrays(numbers, values.shape[1]))
    return pa.Table.from_arrays(columns, schema=schema)


def _utf8(text: str) -> str:
    r"""Parquet holds UTF-8 only: a file name's other bytes become ``\xff``."""
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")
