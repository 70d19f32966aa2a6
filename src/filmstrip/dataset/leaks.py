"""Clips that belong together and stand on two sides of a split.

Measured on such a split, a model is asked about what it has learnt by heart, and its accuracy
vanishes on new recordings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filmstrip.dataset.index import VideoIndex
from filmstrip.dataset.relations import KINDS, Kind, Relation, group_relations
from filmstrip.errors import DatasetError
from filmstrip.storage import write_table

_NUM_NAMED = 3
_COLUMNS = ("first", "second", "kind", "first_split", "second_split")


@dataclass(frozen=True, slots=True)
class LeakingPair:
    """Two clips that belong together and stand apart.

    Attributes:
        first: the name of one.
        second: the name of the other.
        kind: what they have in common.
        first_split: where the first stands: "train", "val" or "test".
        second_split: where the second stands.
    """

    first: str
    second: str
    kind: Kind
    first_split: str
    second_split: str

    def as_json(self) -> dict[str, str]:
        """The columns of the table of leaks."""
        return {column: getattr(self, column) for column in _COLUMNS}


def leaking_pairs(index: VideoIndex, found: Iterable[Relation] = ()) -> list[LeakingPair]:
    """The pairs that the split of ``index`` parts, surest first; each pair once.

    Args:
        index: the clips with their groups and splits; those without a split cannot leak.
        found: what is known of them beyond their groups.
    """
    decided = [row for row in index.rows if row.split]
    index = replace(index, rows=tuple(decided))
    sides = [row.split for row in decided]
    side_of = dict(zip(index.names, sides, strict=True))
    pairs: dict[frozenset[str], LeakingPair] = {}
    related = [*found, *group_relations(index, sides)]
    for one in sorted(related, key=lambda one: list(KINDS).index(one.kind)):
        first, second = side_of.get(one.first), side_of.get(one.second)
        if first and second and first != second:
            pair = LeakingPair(one.first, one.second, one.kind, first, second)
            pairs.setdefault(frozenset((one.first, one.second)), pair)
    return list(pairs.values())


def refuse(pairs: Sequence[LeakingPair], index: VideoIndex, table: Path) -> None:
    """Say that the given split leaks, with the first pairs; all of them go into ``table``.

    Raises:
        DatasetError: always.
        StorageError: the table cannot be written.
    """
    write_leaks(table, pairs)
    shown = [
        f"{one.first} in {one.first_split} and {one.second} in {one.second_split} "
        f"({KINDS[one.kind]})"
        for one in pairs[:_NUM_NAMED]
    ]
    more = f"; {len(pairs) - _NUM_NAMED} more" if len(pairs) > _NUM_NAMED else ""
    raise DatasetError(
        f"{index.root}: the given split leaks, {counted(len(pairs))} of clips that belong "
        f"together on two sides: {'; '.join(shown)}{more}. All of them: {table}",
        "copies, pieces of one recording and clips of one group on one side of the split",
        "move them to one side, or leave the split to Filmstrip; or give --allow-leak to "
        "'filmstrip train', and every figure will be marked as leaky.",
    )


def write_leaks(table: Path, pairs: Iterable[LeakingPair]) -> None:
    """Write all pairs as a CSV.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    write_table(table, _COLUMNS, (pair.as_json() for pair in pairs))


def leak_warning(metrics: Mapping[str, Any]) -> str:
    """What must stand above the figures of ``metrics.json``; empty where no leak is known."""
    num_pairs = metrics.get("leaks", {}).get("num_pairs", 0)
    if not num_pairs:
        return ""
    return (
        f"LEAKY FIGURES: {counted(num_pairs)} of clips that belong together on two sides of the "
        "split. Expect less on new recordings."
    )


def counted(num_pairs: int) -> str:
    """``1 pair``, ``2 pairs``."""
    return f"{num_pairs} pair{'' if num_pairs == 1 else 's'}"


def leak_record(
    pairs: Sequence[LeakingPair], checked: Sequence[str], is_allowed: bool, most: int
) -> dict[str, Any]:
    """What ``metrics.json`` says of leaks: how many pairs, and the first ``most`` of them."""
    return {
        "allowed": is_allowed,
        "checked": list(checked),
        "num_pairs": len(pairs),
        "pairs": [pair.as_json() for pair in pairs[:most]],
    }
