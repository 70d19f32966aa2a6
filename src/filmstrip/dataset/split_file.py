"""The splits of a run as a table, ``splits.csv``, so that another run can use the same ones."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path

from filmstrip.dataset.index import VideoIndex
from filmstrip.dataset.rows import composed
from filmstrip.errors import DatasetError
from filmstrip.storage import write_table

_COLUMNS = ["path", "label", "group", "split"]


@dataclass(frozen=True, slots=True)
class Side:
    """What a table of splits says of a clip.

    Attributes:
        label: the name of its class.
        group: the group that stays on one side.
        split: ``train``, ``val`` or ``test``.
    """

    label: str
    group: str
    split: str


def write_splits(index: VideoIndex, path: Path) -> None:
    """Write each clip's path, label, group and split, sorted by path.

    The file appears under its name only when it is complete.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    cells = sorted(
        (name, row.label, group, row.split)
        for name, row, group in zip(index.names, index.rows, index.groups, strict=True)
    )
    write_table(path, _COLUMNS, (dict(zip(_COLUMNS, row, strict=True)) for row in cells))


def read_splits(
    path: Path, index: VideoIndex, may_miss: bool = False, may_name_others: bool = False
) -> VideoIndex:
    """The clips of ``index`` with the groups and splits that ``write_splits`` wrote.

    Args:
        path: the file.
        index: the clips.
        may_miss: leave out the clips that the file does not name, such as those that the run which
            wrote it could not read.
        may_name_others: pass over clips of the file that are not in ``index``.

    Raises:
        DatasetError: the file is missing or no splits file, or its clips and labels are not those
            of the index.
    """
    stored = {cells["path"]: cells for cells in _read(path)}
    if may_miss:
        pairs = zip(index.rows, index.names, strict=True)
        index = replace(index, rows=tuple(row for row, name in pairs if name in stored))
    names = set(index.names)
    labels = dict(zip(index.names, (row.label for row in index.rows), strict=True))
    unknown = [] if may_name_others else sorted(set(stored) - names)
    missing = sorted(names - set(stored))
    relabelled = sorted(
        name for name in names & set(stored) if composed(stored[name]["label"]) != labels[name]
    )
    for clips, what in (
        (unknown, "names {} clips that are not in the data"),
        (missing, "misses {} clips of the data"),
        (relabelled, "gives {} clips another label than the data"),
    ):
        if clips:
            raise DatasetError(
                f"{path}: {what.format(len(clips))}, such as {', '.join(clips[:3])}",
                f"the splits of the {len(index)} clips below {index.root}",
                "give the data that the splits were made for, or make new splits.",
            )
    rows = tuple(
        replace(row, group=stored[name]["group"], split=stored[name]["split"])
        for row, name in zip(index.rows, index.names, strict=True)
    )
    num_groups = len({row.group for row in rows})
    grouping = f"{len(rows)} clips in {num_groups} groups, as written in {path.name}"
    return replace(index, rows=rows, grouping=grouping)


def read_sides(path: Path) -> dict[str, Side]:
    """Return the label, group and split of each clip that the file names.

    Raises:
        DatasetError: the file is missing or no splits file.
    """
    return {row["path"]: Side(row["label"], row["group"], row["split"]) for row in _read(path)}


def _read(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file)
            columns, rows = reader.fieldnames, list(reader)
    except (OSError, csv.Error) as error:
        raise DatasetError(
            f"{path}: cannot be read ({getattr(error, 'strerror', error)})",
            "a splits.csv that a run wrote",
            "check the path.",
        ) from error
    if columns != _COLUMNS or any(None in row or None in row.values() for row in rows):
        raise DatasetError(
            f"{path}: is not a table of splits",
            f"the columns {','.join(_COLUMNS)} and four cells in each line",
            "give the splits.csv of a run, or give your own list of clips as the data instead.",
        )
    return rows
