"""Fingerprints of a run's clips in one file, ``fingerprints.npz``.

The file lets a run recognise copies of its clips on another machine, without the clips: 7 kB for
each of the 3.8 s clips of UT-Interaction.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from filmstrip.dataset.doctor.facts import THUMBNAIL_SIDE
from filmstrip.dataset.doctor.fingerprints import Fingerprint
from filmstrip.storage import replacing


def write_fingerprints(path: Path, fingerprints: Mapping[str, Fingerprint]) -> None:
    """Write fingerprints by the hash of their video's bytes. The file appears when it is complete.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    prints = list(fingerprints.values())
    side = THUMBNAIL_SIDE
    times = [one.times_seconds for one in prints]
    thumbnails = [one.thumbnails for one in prints]
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            contents=np.array(list(fingerprints), dtype="S40"),
            counts=np.array([len(one) for one in times], dtype=np.int64),
            times_seconds=np.concatenate([np.zeros(0), *times]),
            thumbnails=np.concatenate([np.zeros((0, side, side), np.uint8), *thumbnails]),
        )


def read_fingerprints(path: Path) -> dict[str, Fingerprint]:
    """Return the fingerprints that were written; none where the file is absent or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            contents, counts = file["contents"], file["counts"]
            times, thumbnails = file["times_seconds"], file["thumbnails"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return {}
    fits = (
        (contents.shape, contents.dtype.kind) == (counts.shape, "S")
        and (counts.dtype, thumbnails.dtype) == (np.int64, np.uint8)
        and times.shape == (counts.sum(),)
        and thumbnails.shape == (counts.sum(), THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        and bool((counts > 0).all())
    )
    if not fits:
        return {}
    starts = np.cumsum(counts)[:-1]
    parts = zip(np.split(times, starts), np.split(thumbnails, starts), strict=True)
    names = [content.decode("ascii", errors="replace") for content in contents]
    return dict(zip(names, (Fingerprint(*part) for part in parts), strict=False))
