"""Every file of a data set decoded whole, in parallel, and none of them twice.

The facts of a file are kept by the hash of its bytes, one small JSON file each, so that a survey
that was cut short goes on, a second one decodes nothing, and a renamed video is known.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from filmstrip.cache import Cache, keep
from filmstrip.dataset.doctor.facts import Fault, FaultKind, VideoFacts
from filmstrip.dataset.doctor.inspection import inspect_video
from filmstrip.dataset.doctor.workers import Lost, work_through
from filmstrip.dataset.rows import is_there

# Facts that an older version found otherwise are found again. Version 4 could keep a lack of memory
# as damage of the file.
_KIND = "doctor-5"
_SILENCE_SECONDS = 60.0
_BLOCK_BYTES = 2**22


def survey(
    paths: Sequence[Path],
    cache: Cache,
    num_workers: int | None = None,
    silence_seconds: float = _SILENCE_SECONDS,
    advance: Callable[[str], None] = lambda _words: None,
    warn: Callable[[str], None] = warnings.warn,
) -> dict[Path, VideoFacts]:
    """The facts of each file, in the order of ``paths``.

    Args:
        paths: the files.
        cache: keeps facts.
        num_workers: processes; as many as the machine has cores if not given.
        silence_seconds: a decoder that yields no frame for so long is killed, and its file
            reported as unreadable.
        advance: called after each file with its name.
        warn: receives a sentence if the facts cannot be kept.
    """
    found: dict[Path, VideoFacts] = {}
    work = partial(_look_up_or_inspect, cache)
    workers = num_workers or os.cpu_count() or 1
    for path, answer in work_through(work, paths, workers, silence_seconds):
        if isinstance(answer, Lost):
            kind: FaultKind = "unchecked" if answer.passing else "unreadable"
            found[path] = VideoFacts(fault=Fault(kind=kind, words=answer.words))
        else:
            found[path] = answer.facts
            if answer.is_new:
                entry = cache.facts(_KIND, answer.facts.content_hash)
                keep(entry, answer.facts.model_dump_json().encode(), cache.folder, warn)
        advance(path.name)
    return {path: found[path] for path in paths}


def known_facts(cache: Cache, content_hash: str) -> VideoFacts | None:
    """What an earlier survey found of a file with these bytes; None if nothing is kept of it."""
    try:
        return VideoFacts.model_validate_json(cache.facts(_KIND, content_hash).read_bytes())
    except (OSError, ValidationError):
        return None  # absent, or damaged by the disk


@dataclass(frozen=True, slots=True)
class _Looked:
    """The answer of a worker: the facts, and whether they are to be kept."""

    facts: VideoFacts
    is_new: bool = False


def _look_up_or_inspect(cache: Cache, path: Path, beat: Callable[[], None]) -> _Looked:
    """Return what is known of a file, or inspect it.

    Only facts of the file's bytes are to be kept: not a lack of memory, and nothing that was found
    while the file changed or could not be read.
    """
    if not is_there(path):  # to open a pipe would be to wait for its writer
        return _Looked(inspect_video(path))
    try:
        content_hash = _file_hash(path, beat)
    except OSError:
        return _Looked(inspect_video(path, beat))
    known = known_facts(cache, content_hash)
    if known is not None:
        return _Looked(known)
    facts = inspect_video(path, beat).model_copy(update={"content_hash": content_hash})
    if facts.fault is None:
        return _Looked(facts, is_new=True)
    if facts.fault.kind in ("unchecked", "unreadable"):  # the latter by bounds that can be changed
        return _Looked(facts)
    try:
        changed = _file_hash(path, beat) != content_hash
    except OSError as error:
        return _Looked(_unchecked(facts, f"could not be read ({error.strerror})"))
    if changed:
        return _Looked(_unchecked(facts, "changed while it was read"))
    return _Looked(facts, is_new=True)


def _unchecked(facts: VideoFacts, words: str) -> VideoFacts:
    return VideoFacts(size_bytes=facts.size_bytes, fault=Fault(kind="unchecked", words=words))


def _file_hash(path: Path, beat: Callable[[], None]) -> str:
    digest = hashlib.blake2b(digest_size=20)
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            beat()
    return digest.hexdigest()
