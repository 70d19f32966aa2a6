"""Every file of a data set decoded whole, in parallel, and none of them twice.

The facts of a file are kept by the hash of its bytes, one small JSON file each, so that a survey
that was cut short goes on, a second one decodes nothing, and a renamed video is known.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from filmstrip.cache import Cache
from filmstrip.dataset.doctor.facts import Fault, VideoFacts
from filmstrip.dataset.doctor.inspection import inspect_video
from filmstrip.dataset.doctor.workers import Lost, work_through
from filmstrip.dataset.rows import is_there
from filmstrip.storage import replacing

# Facts that an older version found otherwise are found anew.
_KIND = "doctor-4"
_SILENCE_SECONDS = 60.0
_BLOCK_BYTES = 2**22


def survey(
    paths: Sequence[Path],
    cache: Cache,
    num_workers: int | None = None,
    silence_seconds: float = _SILENCE_SECONDS,
    advance: Callable[[str], None] = lambda _words: None,
) -> dict[Path, VideoFacts]:
    """The facts of each file, in the order of ``paths``.

    Args:
        paths: the files.
        cache: keeps facts.
        num_workers: processes; as many as the machine has cores if not given.
        silence_seconds: a decoder that yields no frame for so long is killed, and its file
            reported as unreadable.
        advance: called after each file with its name.

    Raises:
        StorageError: the cache cannot be written.
    """
    found: dict[Path, VideoFacts] = {}
    work = partial(_look_up_or_inspect, cache)
    workers = num_workers or os.cpu_count() or 1
    for path, answer in work_through(work, paths, workers, silence_seconds):
        # What was lost is not kept: the next survey tries again.
        found[path] = (
            VideoFacts(fault=Fault(kind="unreadable", words=answer.words))
            if isinstance(answer, Lost)
            else answer
        )
        advance(path.name)
    return {path: found[path] for path in paths}


def known_facts(cache: Cache, content_hash: str) -> VideoFacts | None:
    """What an earlier survey found of a file with these bytes; None if nothing is kept of it."""
    try:
        return VideoFacts.model_validate_json(cache.facts(_KIND, content_hash).read_bytes())
    except (OSError, ValidationError):
        return None  # absent, or damaged by the disk


def _file_hash(path: Path, beat: Callable[[], None]) -> str:
    digest = hashlib.blake2b(digest_size=20)
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            beat()
    return digest.hexdigest()


def _look_up_or_inspect(cache: Cache, path: Path, beat: Callable[[], None]) -> VideoFacts:
    if not is_there(path):  # to open a pipe would be to wait for its writer
        return inspect_video(path)
    try:
        content_hash = _file_hash(path, beat)
    except OSError as error:
        words = f"could not be read ({error.strerror})"
        return VideoFacts(fault=Fault(kind="unreadable", words=words))
    known = known_facts(cache, content_hash)
    if known is not None:
        return known
    facts = inspect_video(path, beat).model_copy(update={"content_hash": content_hash})
    with replacing(cache.facts(_KIND, content_hash)) as temporary:
        temporary.write_text(facts.model_dump_json(), encoding="utf-8")
    return facts
