"""Which clips of other data a model has learnt from: by their bytes, and by what they show.

A clip that was moved, renamed, encoded again or cut is recognised as it is between the sides of a
split (see ``relations``). Fingerprints of the learnt clips suffice for that. Where a learnt clip is
still there, pairs are also compared in colour, which rejects videos that only look alike in small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from filmstrip.cache import Cache
from filmstrip.dataset.clip_table import Clip, clips_of
from filmstrip.dataset.content import content_hash
from filmstrip.dataset.doctor.continuation import find_continuations
from filmstrip.dataset.doctor.duplicates import clusters, find_near_duplicates
from filmstrip.dataset.doctor.fingerprints import Fingerprint
from filmstrip.dataset.doctor.glance import glance_at
from filmstrip.dataset.doctor.second_look import confirmed, goes_on
from filmstrip.dataset.index import VideoIndex
from filmstrip.dataset.relations import Kind
from filmstrip.dataset.rows import VideoRow
from filmstrip.errors import VideoError


@dataclass(frozen=True, slots=True)
class Learnt:
    """The clips that a model has learnt from or was calibrated on.

    Attributes:
        clips: by name.
        sides: ``train`` or ``val`` of each, by name.
        root: what their names were relative to.
        fingerprints: of those that are known by what they show, by content.
    """

    clips: Mapping[str, Clip]
    sides: Mapping[str, str]
    root: Path
    fingerprints: Mapping[str, Fingerprint]


@dataclass(frozen=True, slots=True)
class Overlap:
    """What other data shares with the clips that a model has learnt from.

    Attributes:
        found: for each shared clip, by name, the learnt clip that it belongs to and how.
        checked: what was looked for, names of ``relations.CHECKS``.
        num_unseen: how many clips of both could not be compared by what they show.
        num_unread: how many learnt clips could not be compared at all.
    """

    found: Mapping[str, tuple[str, Kind]]
    checked: tuple[str, ...]
    num_unseen: int = 0
    num_unread: int = 0


def find_overlap(
    index: VideoIndex,
    learnt: Learnt,
    cache: Cache,
    by_sight: bool = True,
    advance: Callable[[str], None] = lambda _words: None,
) -> Overlap:
    """Find the clips of ``index`` that belong to a learnt clip.

    Args:
        index: other data, or the same in another place.
        learnt: what the model has learnt from.
        cache: keeps fingerprints of videos.
        by_sight: decode the videos and compare what they show; else only equal bytes are found.
        advance: called after each video that was decoded or looked up.

    Raises:
        StorageError: the cache cannot be written.
    """
    name_of = {clip.content: name for name, clip in learnt.clips.items() if clip.content}
    num_unread = sum(not clip.content for clip in learnt.clips.values())
    clips = clips_of(index)
    found: dict[str, tuple[str, Kind]] = {
        name: (name_of[clip.content], "exact")
        for name, clip in clips.items()
        if clip.content in name_of
    }
    is_packed = any(row.packed_index is not None for row in index.rows)
    if not by_sight or is_packed or not learnt.clips:
        return Overlap(found, ("exact",), len(name_of), num_unread)
    contents: dict[str, Path] = {}
    names: dict[str, list[str]] = {}
    for row, (name, clip) in zip(index.rows, clips.items(), strict=True):
        if clip.content and name not in found:
            contents.setdefault(clip.content, row.path)
            names.setdefault(clip.content, []).append(name)
    there = _Places(learnt)
    known = _fingerprints(learnt, name_of, there, cache)
    if not known:
        return Overlap(found, ("exact",), len(name_of), num_unread)
    ours = glance_at({path: content for content, path in contents.items()}, cache, advance)
    # A learnt clip that is gone gets a path that no file has.
    learnt_at = {
        there.path(name_of[content]) or Path("/gone", content): content for content in known
    }
    theirs = {path: known[content] for path, content in learnt_at.items()}
    content_of = {path: content for content, path in contents.items()}
    for own, other, kind in _belonging(ours, theirs):
        for name in names[content_of[own]]:
            found.setdefault(name, (name_of[learnt_at[other]], kind))
    num_unseen = len(name_of) - len(known) + len(contents) - len(ours)
    return Overlap(found, ("exact", "near", "continuation"), num_unseen, num_unread)


def _fingerprints(
    learnt: Learnt, name_of: Mapping[str, str], there: _Places, cache: Cache
) -> dict[str, Fingerprint]:
    """The fingerprints of the learnt clips by content, as far as they are known or can be made."""
    known = {key: one for key, one in learnt.fingerprints.items() if key in name_of}
    missing = {
        path: content
        for content, name in name_of.items()
        if content not in known and (path := there.path(name)) is not None
    }
    return known | {missing[path]: one for path, one in glance_at(missing, cache).items()}


def _belonging(
    ours: Mapping[Path, Fingerprint], theirs: Mapping[Path, Fingerprint]
) -> Iterator[tuple[Path, Path, Kind]]:
    """Pairs of one of ``ours`` and one of ``theirs`` that belong together, the surest first.

    Pairs are looked at in colour where both files are there.
    """
    seen = {**theirs, **ours}
    near = find_near_duplicates(seen)
    inside = [pair for pair in near if (pair.first in ours) == (pair.second in ours)]
    across = [pair for pair in near if (pair.first in ours) != (pair.second in ours)]
    across = [
        *confirmed(pair for pair in across if _are_there(pair.first, pair.second)),
        *(pair for pair in across if not _are_there(pair.first, pair.second)),
    ]
    for pair in across:
        own, other = sorted((pair.first, pair.second), key=lambda path: path not in ours)
        yield own, other, "near"
    # Of copies only one may be given to find_continuations.
    together = clusters((pair.first, pair.second) for pair in (*inside, *across))
    copies = {path for cluster in together for path in cluster[1:]}
    originals = {path: one for path, one in seen.items() if path not in copies}
    for first, second in find_continuations(originals):
        if (first in ours) == (second in ours):
            continue
        if not _are_there(first, second) or goes_on(first, second):
            own, other = (first, second) if first in ours else (second, first)
            yield own, other, "continuation"


class _Places:
    """Where learnt clips are, as far as they are where they were and have not changed."""

    def __init__(self, learnt: Learnt) -> None:
        self._learnt = learnt
        self._paths: dict[str, Path | None] = {}

    def path(self, name: str) -> Path | None:
        """Return the path of a learnt video; None if it is gone or has changed."""
        if name not in self._paths:
            path = self._learnt.root / name
            try:
                is_same = content_hash(VideoRow(path, "")) == self._learnt.clips[name].content
            except VideoError:
                is_same = False
            self._paths[name] = path if is_same else None
        return self._paths[name]


def _are_there(*paths: Path) -> bool:
    return all(path.is_file() for path in paths)
