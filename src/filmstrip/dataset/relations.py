"""Which clips must not be parted: copies, and the pieces of one recording.

Groups from names are only as good as the names. Here the clips themselves are asked: files of equal
bytes, videos that show the same moments, and videos of which one goes on where the other ends.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from filmstrip.cache import Cache
from filmstrip.dataset.content import content_hash
from filmstrip.dataset.doctor.continuation import find_continuations
from filmstrip.dataset.doctor.duplicates import clusters, find_near_duplicates
from filmstrip.dataset.doctor.fingerprints import Fingerprint
from filmstrip.dataset.doctor.glance import glance_at
from filmstrip.dataset.doctor.second_look import confirmed, goes_on
from filmstrip.dataset.index import VideoIndex
from filmstrip.errors import VideoError

Kind = Literal["exact", "near", "continuation", "group"]

KINDS: dict[Kind, str] = {
    "exact": "the same bytes",
    "near": "the same moments",
    "continuation": "one recording, cut in two",
    "group": "one group",
}
"""What two clips have in common, the surest first."""

CHECKS = {
    "exact": "copies",
    "near": "near-duplicates",
    "groups": "clips of one group",
    "continuation": "recordings that were cut",
}
"""What can be looked for on two sides of a split."""


@dataclass(frozen=True, slots=True)
class Relation:
    """Two clips, by their names, that belong together."""

    first: str
    second: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Relations:
    """What was found among the clips of an index, and what was looked for.

    Attributes:
        found: the pairs; of three copies or more each beside the first one.
        checked: what was looked for, names of ``CHECKS``.
        num_compared: how many different clips were compared by what they show.
        num_unseen: how many could not be, because they cannot be decoded or are arrays.
        fingerprints: of the clips that were compared by what they show, by content.
    """

    found: tuple[Relation, ...] = ()
    checked: tuple[str, ...] = ("groups",)
    num_compared: int = 0
    num_unseen: int = 0
    fingerprints: Mapping[str, Fingerprint] = field(default_factory=dict, compare=False, repr=False)

    def told(self) -> str:
        """One sentence on what was found, or was not looked for."""
        counts = [
            f"{num} by {words}"
            for kind, words in KINDS.items()
            if (num := sum(one.kind == kind for one in self.found))
        ]
        num_pairs = f"{len(self.found)} pair{'' if len(self.found) == 1 else 's'}"
        found = f"{num_pairs} that belong together ({', '.join(counts)})"
        if "near" not in self.checked:
            return (
                f"Copies: {found if counts else 'no two files have the same bytes'}. "
                "NOT looked for: near-duplicates and recordings that were cut."
            )
        unseen = f"; {self.num_unseen} could not be compared" if self.num_unseen else ""
        found = found if counts else "none is a copy of another or its continuation"
        return f"Copies: of {self.num_compared} different clips compared, {found}{unseen}."


def find_relations(
    index: VideoIndex,
    cache: Cache,
    by_sight: bool = True,
    advance: Callable[[str], None] = lambda _words: None,
    warn: Callable[[str], None] = warnings.warn,
) -> Relations:
    """Compare the clips of an index with each other.

    Args:
        index: the clips.
        cache: keeps fingerprints of videos.
        by_sight: decode the videos and compare what they show; else only equal bytes are found.
        advance: called after each clip that was decoded or looked up.
        warn: receives a sentence if the cache cannot be written.
    """
    by_content: dict[str, list[int]] = {}
    for place, row in enumerate(index.rows):
        try:
            by_content.setdefault(content_hash(row), []).append(place)
        except VideoError:
            continue  # whoever needs the clip itself will name it, and why
    names = index.names
    found = [
        Relation(names[same[0]], names[other], "exact")
        for same in by_content.values()
        for other in same[1:]
    ]
    is_packed = any(row.packed_index is not None for row in index.rows)
    if not by_sight or is_packed:
        return Relations(tuple(found), ("exact", "groups"))
    name_of = {index.rows[same[0]].path: names[same[0]] for same in by_content.values()}
    contents = {index.rows[same[0]].path: digest for digest, same in by_content.items()}
    seen = glance_at(contents, cache, advance, warn)
    near = [(pair.first, pair.second) for pair in confirmed(find_near_duplicates(seen))]
    copies = {path for cluster in clusters(near) for path in cluster[1:]}
    originals = {path: one for path, one in seen.items() if path not in copies}
    found += [Relation(name_of[a], name_of[b], "near") for a, b in near]
    found += [
        Relation(name_of[a], name_of[b], "continuation")
        for a, b in find_continuations(originals)
        if goes_on(a, b)
    ]
    num_unseen = len(contents) - len(seen)
    fingerprints = {contents[path]: one for path, one in seen.items()}
    return Relations(tuple(found), tuple(CHECKS), len(seen), num_unseen, fingerprints)


def join_groups(index: VideoIndex, found: Iterable[Relation]) -> VideoIndex:
    """The same clips, with the groups of clips that belong together made one."""
    group_of = dict(zip(index.names, index.groups, strict=True))
    joined = clusters(
        (group_of[one.first], group_of[one.second])
        for one in found
        if one.first in group_of and one.second in group_of
    )
    joined = [groups for groups in joined if len(groups) > 1]
    if not joined:
        return index
    name_of = {group: groups[0] for groups in joined for group in groups}
    groups = [name_of.get(group, group) for group in index.groups]
    rows = tuple(replace(row, group=group) for row, group in zip(index.rows, groups, strict=True))
    told = (
        f"{index.grouping}; {sum(map(len, joined))} of these groups share copies or recordings and "
        f"were joined, which leaves {len(set(groups))} (--no-near-duplicates: only by equal bytes)"
    )
    return replace(index, rows=rows, grouping=told)


def apart(index: VideoIndex) -> VideoIndex:
    """The same clips, each its own group."""
    rows = tuple(
        replace(row, group=name) for row, name in zip(index.rows, index.names, strict=True)
    )
    return replace(index, rows=rows, grouping=f"{len(index)} clips divided one by one, at random")


def group_relations(index: VideoIndex, sides: Sequence[str]) -> list[Relation]:
    """For each clip whose group began on another side, that clip and the group's first one there.

    Not all pairs of a group: a hundred clips on each of two sides would be ten thousand.

    Args:
        index: the clips with their groups.
        sides: the side of each clip, those that are sure to be asked for first in order.
    """
    firsts: dict[str, dict[str, str]] = {}  # group → side → clip
    for name, group, side in sorted(zip(index.names, index.groups, sides, strict=True)):
        firsts.setdefault(group, {}).setdefault(side, name)
    found = []
    for name, group, side in zip(index.names, index.groups, sides, strict=True):
        home = min(firsts[group], key=_place)
        if side != home:
            found.append(Relation(firsts[group][home], name, "group"))
    return found


def _place(side: str) -> int:
    return ("train", "val", "test", "").index(side)
