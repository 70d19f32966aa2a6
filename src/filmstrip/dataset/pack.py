"""Clips into one packed file: decoded, resized and labelled once, read at the speed of the disk.

The file is an ordinary uncompressed ``.npz``: frames (N, T, H, W, 3) uint8 with short clips padded
with zeros, lengths (N,), labels (N,), class_names, names, groups, splits (all text), and info, a
JSON text. ``numpy.load`` opens it, and so does ``PackedClips``, without reading it whole.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from filmstrip.dataset.index import VideoIndex
from filmstrip.dataset.rows import UNREADABLE, SkippedFile, VideoRow
from filmstrip.errors import DatasetError, VideoError
from filmstrip.storage import replacing, writing


def pack(
    index: VideoIndex,
    out: Path,
    read: Callable[[VideoRow], NDArray[np.uint8]],
    info: Mapping[str, Any],
) -> tuple[SkippedFile, ...]:
    """Write the clips of ``index`` with their labels, groups and splits into one file.

    Memory stays flat: each clip goes to a temporary file beside ``out`` as it is read, and from
    there into ``out``, which appears only when it is complete. The disk must hold the clips twice.

    Args:
        index: the clips.
        out: the file to write, ``.npz``.
        read: gives a row's frames (T, H, W, 3) uint8, T ≥ 1, all of one size.
        info: how the frames were made (sampling, size …); anything that JSON can hold.

    Returns:
        The clips that could not be read and were left out, each with its reason.

    Raises:
        DatasetError: ``out`` is no ``.npz``, or no clip could be read.
        StorageError: the disk is full or cannot be written.
    """
    if out.suffix.lower() != ".npz":
        raise DatasetError(f"{out}: the file to write", "a name ending in .npz", "rename it.")
    written: list[VideoRow] = []
    lengths: list[int] = []
    skipped: list[SkippedFile] = []
    size: tuple[int, ...] = ()
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out.parent) as spool:
            for row in index.rows:
                try:
                    frames = read(row)
                except VideoError as error:
                    skipped.append(SkippedFile(row.path, str(error), kind=UNREADABLE))
                    continue
                size = size or frames.shape[1:]
                if frames.shape[1:] != size:
                    reason = f"its frames are {frames.shape[1:]}, those of other clips {size}"
                    reason += "; resize all to one size"
                    skipped.append(SkippedFile(row.path, reason, kind="of another size"))
                    continue
                spool.write(np.ascontiguousarray(frames).data)
                written.append(row)
                lengths.append(len(frames))
            if not written:
                raise DatasetError(
                    f"{index.root}: none of {len(index.rows)} clips could be read"
                    + (f" (first: {skipped[0].reason})" if skipped else ""),
                    "clips that can be decoded",
                    "replace the damaged files.",
                )
            members = _members(index, written, lengths, info)
            _write_archive(out, spool, (len(written), max(lengths), *size), members)
    return tuple(skipped)


def _members(
    index: VideoIndex, rows: list[VideoRow], lengths: list[int], info: Mapping[str, Any]
) -> dict[str, NDArray[Any]]:
    places = {name: place for place, name in enumerate(index.class_names)}
    return {
        "lengths": np.array(lengths, dtype=np.int64),
        "labels": np.array([places[row.label] for row in rows], dtype=np.int64),
        "class_names": np.array(index.class_names),
        "names": np.array([row.name(index.root) for row in rows]),
        "groups": np.array([row.group for row in rows]),
        "splits": np.array([row.split for row in rows]),
        "info": np.array(json.dumps(dict(info))),
    }


def _write_archive(
    out: Path, spool: IO[bytes], shape: tuple[int, ...], members: dict[str, NDArray[Any]]
) -> None:
    with replacing(out) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        spool.seek(0)
        with archive.open(zipfile.ZipInfo("frames.npy"), "w", force_zip64=True) as member:
            _write_frames(member, spool, shape, members["lengths"])
        for name, array in members.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as member:
                npy.write_array(member, array, allow_pickle=False)


def _write_frames(
    member: IO[bytes], spool: IO[bytes], shape: tuple[int, ...], lengths: NDArray[np.int64]
) -> None:
    """Write frames (N, T, H, W, 3), each clip of ``spool`` padded with zeros to T frames."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(member, header)
    _, longest, height, width, channels = shape
    frame_bytes = height * width * channels
    for length in lengths.tolist():
        member.write(spool.read(length * frame_bytes))
        member.write(bytes((longest - length) * frame_bytes))
