"""The fingerprints of many videos, for a training that asks which clips belong together.

What the doctor has found is used. A video that it has not seen is decoded once, here, in threads
beside each other, and only its thumbnails are made: about half the cost of the doctor's visit, and
kept by the hash of the file's bytes like its facts.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
from av.video.reformatter import VideoReformatter
from pydantic import BaseModel, ConfigDict, ValidationError

from filmstrip.cache import Cache, keep
from filmstrip.dataset.doctor.facts import THUMBNAIL_SIDE
from filmstrip.dataset.doctor.fingerprints import Fingerprint
from filmstrip.dataset.doctor.survey import known_facts
from filmstrip.dataset.doctor.thumbnails import (
    GREY_SIDE,
    paced_frames,
    small_picture,
    thumbnail,
)
from filmstrip.errors import VideoError
from filmstrip.video.failures import machine_failures

# Thumbnails that an older version took otherwise are taken anew.
_KIND = "fingerprints-2"


def glance_at(
    contents: Mapping[Path, str],
    cache: Cache,
    advance: Callable[[str], None] = lambda _words: None,
    warn: Callable[[str], None] = warnings.warn,
) -> dict[Path, Fingerprint]:
    """The fingerprints of videos; those that cannot be decoded to their end have none.

    Args:
        contents: the videos, each with the hash of its bytes.
        cache: keeps fingerprints, and the doctor's facts.
        advance: called after each video with its name.
        warn: receives a sentence if the fingerprints cannot be kept.
    """
    found: dict[Path, Fingerprint] = {}
    pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="glance")
    try:
        looks = pool.map(
            lambda item: _look_up_or_decode(item[0], item[1], cache, warn), contents.items()
        )
        for path, fingerprint in zip(contents, looks, strict=True):
            if fingerprint is not None:
                found[path] = fingerprint
            advance(path.name)
    finally:
        pool.shutdown(cancel_futures=True)
    return found


class _Thumbnails(BaseModel):
    """A fingerprint as it lies in the cache."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64"
    )

    times_seconds: tuple[float, ...]
    pictures: bytes

    def fingerprint(self) -> Fingerprint:
        pictures = np.frombuffer(self.pictures, dtype=np.uint8)
        return Fingerprint(
            np.array(self.times_seconds), pictures.reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        )


def _look_up_or_decode(
    path: Path, content_hash: str, cache: Cache, warn: Callable[[str], None]
) -> Fingerprint | None:
    facts = known_facts(cache, content_hash)
    if facts is not None:
        return Fingerprint.of(facts) if facts.fault is None and facts.num_frames else None
    entry = cache.facts(_KIND, content_hash)
    with suppress(OSError, ValidationError):  # absent, or damaged by the disk
        return _Thumbnails.model_validate_json(entry.read_bytes()).fingerprint()
    try:
        with machine_failures(path):
            thumbnails = _decode(path)
    except VideoError:
        return None  # whoever needs the clip itself will name it, and why
    keep(entry, thumbnails.model_dump_json().encode(), cache.folder, warn)
    return thumbnails.fingerprint()


def _decode(path: Path) -> _Thumbnails:
    """Decode a video whole, but scale down only the frames that are taken."""
    reformatter = VideoReformatter()
    taken = [
        (seconds, thumbnail(small_picture(reformatter, frame, GREY_SIDE, GREY_SIDE, "gray")))
        for seconds, frame in paced_frames(path)
    ]
    return _Thumbnails(
        times_seconds=tuple(seconds for seconds, _ in taken),
        pictures=b"".join(picture.tobytes() for _, picture in taken),
    )
