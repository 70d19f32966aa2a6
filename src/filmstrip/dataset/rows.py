"""What an index is made of: a row for each clip, and a note for each file left out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, slots=True)
class VideoRow:
    """One labelled clip: a video file, or one clip inside a packed array file.

    Attributes:
        path: the video file, or the packed file.
        label: the name of its class.
        group: clips of one group come from one recording and stay on one side of a split;
            empty where the clip stands alone.
        split: "train", "val", "test", or empty where it is not decided yet.
        packed_index: the clip's place in the packed file; None for a video file.
    """

    path: Path
    label: str
    group: str = ""
    split: str = ""
    packed_index: int | None = None

    def name(self, root: Path) -> str:
        """What names the clip in tables: its path below ``root``, with ``#index`` if packed."""
        try:
            text = self.path.relative_to(root).as_posix()
        except ValueError:
            text = self.path.as_posix()
        return text if self.packed_index is None else f"{text}#{self.packed_index}"


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file that was left out, and why, with what to do about it."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What one way of listing clips (a folder, a CSV, official lists, a packed file) has found.

    Attributes:
        rows: the clips, in any order.
        skipped: what could not become a row.
        class_names: the order of the classes where the listing defines one; else empty.
        grouping: a sentence on where the groups come from where the listing gives them; else empty.
    """

    rows: list[VideoRow]
    skipped: list[SkippedFile]
    class_names: tuple[str, ...] = ()
    grouping: str = ""


def split_name(text: str) -> str | None:
    """``"train"``, ``"val"`` or ``"test"`` for its usual spellings in any case, else None."""
    return _SPLIT_NAMES.get(text.strip().lower())


def is_there(path: Path) -> bool:
    """Whether a list's entry is a file; a name that no file can have is simply not there."""
    try:
        return path.is_file()
    except OSError:
        return False


def natural_key(text: str) -> tuple[list[str | int], str]:
    """A sort key that puts ``class2`` before ``class10``."""
    parts = re.split(r"(\d+)", text.casefold())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], text
