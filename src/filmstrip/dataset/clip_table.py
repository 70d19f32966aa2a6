"""The clips of a run as a table, ``clips.csv``, and how a later set of clips differs from it.

The table has the columns path, label, group and content. The content is a hash of the clip's bytes,
so that an edited clip differs and a clip that was moved or renamed is recognised.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from filmstrip.dataset.content import content_hash
from filmstrip.dataset.index import VideoIndex
from filmstrip.errors import RunError, VideoError
from filmstrip.storage import write_table

_COLUMNS = ["path", "label", "group", "content"]
_NUM_NAMED = 3


@dataclass(frozen=True, slots=True)
class Clip:
    """What identifies a clip besides its name.

    Attributes:
        label: the name of its class.
        group: the group that must stay on one side of a split; empty if it is not known.
        content: a hash of its bytes; empty if they could not be read or were not stored.
    """

    label: str
    group: str = ""
    content: str = ""


def clips_of(index: VideoIndex) -> dict[str, Clip]:
    """Return the clips of ``index`` by name. The bytes of each are read once a process."""
    clips = {}
    for name, row, group in zip(index.names, index.rows, index.groups, strict=True):
        try:
            content = content_hash(row)
        except VideoError:
            content = ""
        clips[name] = Clip(row.label, group, content)
    return clips


def write_clips(path: Path, clips: Mapping[str, Clip]) -> None:
    """Write the table, sorted by name. The file appears only when it is complete.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    cells = ((name, one.label, one.group, one.content) for name, one in sorted(clips.items()))
    write_table(path, _COLUMNS, (dict(zip(_COLUMNS, row, strict=True)) for row in cells))


def read_clips(path: Path) -> dict[str, Clip]:
    """Return the clips that ``write_clips`` wrote, by name.

    Raises:
        RunError: the file cannot be read or is damaged.
    """
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file)
            columns, rows = reader.fieldnames, list(reader)
    except (OSError, csv.Error) as error:
        columns, rows = None, []
        reason = f"cannot be read ({getattr(error, 'strerror', None) or error})"
    else:
        reason = "is damaged"
    if columns != _COLUMNS or any(None in row or None in row.values() for row in rows):
        raise RunError(
            f"{path}: {reason}",
            f"the columns {','.join(_COLUMNS)} and four cells in each line, as Filmstrip wrote it",
            "restore the file, or train into another --out. Features are cached, so nothing is "
            "decoded again.",
        )
    return {row["path"]: Clip(row["label"], row["group"], row["content"]) for row in rows}


def changed_clips(before: Mapping[str, Clip], now: Mapping[str, Clip]) -> list[str]:
    """Describe how the clips differ, one phrase for each kind of change; empty if they do not.

    Groups and contents that ``before`` does not know are not compared.
    """
    added = [name for name in now if name not in before]
    removed = [name for name in before if name not in now]
    renamed = _renamed(
        {name: before[name] for name in removed}, {name: now[name] for name in added}
    )
    new_names = set(renamed.values())
    both = [(name, before[name], now[name]) for name in before if name in now]
    kinds = {
        "added": [name for name in added if name not in new_names],
        "removed": [name for name in removed if name not in renamed],
        "renamed": [f"{old} to {new}" for old, new in renamed.items()],
        "edited": [name for name, old, new in both if old.content and old.content != new.content],
        "relabelled": [
            f"{name} from {old.label!r} to {new.label!r}"
            for name, old, new in both
            if old.label != new.label
        ],
        "moved to another group": [
            f"{name} from {old.group!r} to {new.group!r}"
            for name, old, new in both
            if old.group and old.group != new.group
        ],
    }
    return [
        f"{counted_clips(names)} {what} ({first_of(names)})"
        for what, names in kinds.items()
        if names
    ]


def counted_clips(names: Iterable[str]) -> str:
    """``1 clip``, ``2 clips``."""
    number = len(list(names))
    return f"{number} clip{'' if number == 1 else 's'}"


def first_of(names: Iterable[str]) -> str:
    """The first names, and how many more there are."""
    listed = list(names)
    more = f", and {len(listed) - _NUM_NAMED} more" if len(listed) > _NUM_NAMED else ""
    return ", ".join(listed[:_NUM_NAMED]) + more


def _renamed(removed: Mapping[str, Clip], added: Mapping[str, Clip]) -> dict[str, str]:
    """Pair each clip that is gone with a new one of the same bytes: old name → new name."""
    by_content: dict[str, list[str]] = {}
    for name, clip in added.items():
        by_content.setdefault(clip.content, []).append(name)
    by_content.pop("", None)
    return {
        name: by_content[clip.content].pop(0)
        for name, clip in removed.items()
        if by_content.get(clip.content)
    }
