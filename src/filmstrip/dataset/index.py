"""One table of labelled clips, from whatever the data comes as.

``open_index`` recognises a folder for each class, train/val/test folders of these, a CSV, the
official lists of UCF101 and HMDB51, and a packed array file. No video is opened here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from filmstrip.dataset.folders import read_folder
from filmstrip.dataset.groups import infer_groups
from filmstrip.dataset.lists import read_official_lists
from filmstrip.dataset.packed import PACKED_SUFFIXES, read_packed
from filmstrip.dataset.rows import Listing, SkippedFile, VideoRow, natural_key
from filmstrip.dataset.table import TABLE_SUFFIXES, read_table
from filmstrip.errors import DatasetError
from filmstrip.video.formats import is_video

__all__ = ["SkippedFile", "VideoIndex", "VideoRow", "open_index"]


@dataclass(frozen=True)
class VideoIndex:
    """Labelled clips with their groups and, once decided, their splits.

    Attributes:
        root: what the clips' names are relative to.
        rows: the clips, sorted by name.
        grouping: one sentence on where the groups come from.
        class_names: the classes; in natural order if not given.
        skipped: what was left out, and why.
    """

    root: Path
    rows: tuple[VideoRow, ...]
    grouping: str = ""
    class_names: tuple[str, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()

    def __post_init__(self) -> None:
        """Name the classes where the caller did not."""
        if not self.class_names:
            names = sorted({row.label for row in self.rows}, key=natural_key)
            object.__setattr__(self, "class_names", tuple(names))

    def __len__(self) -> int:
        """The number of clips."""
        return len(self.rows)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The text that names each clip in tables and splits."""
        return tuple(row.name(self.root) for row in self.rows)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Each clip's place in ``class_names``, (N,) int64."""
        places = {name: place for place, name in enumerate(self.class_names)}
        return np.array([places[row.label] for row in self.rows], dtype=np.int64)

    @property
    def groups(self) -> tuple[str, ...]:
        """Each clip's group; a clip without one is its own."""
        return tuple(row.group or name for row, name in zip(self.rows, self.names, strict=True))

    def with_splits(self, splits: Sequence[str]) -> VideoIndex:
        """The same clips, each with its place in ``splits``: "train", "val", "test" or ""."""
        pairs = zip(self.rows, splits, strict=True)
        return replace(self, rows=tuple(replace(row, split=split) for row, split in pairs))

    def without(self, paths: Iterable[Path]) -> VideoIndex:
        """The clips but those of ``paths``, files that turned out to be unreadable.

        Raises:
            DatasetError: fewer than two classes are left.
        """
        left_out = set(paths)
        kept = [row for row in self.rows if row.path not in left_out]
        rows, lone = _drop_single_clips(Listing(kept, []))
        labels = {row.label for row in rows}
        if len(labels) < 2:
            raise DatasetError(
                f"{self.root}: {len(left_out)} of {len(self.rows)} clips cannot be read, which "
                f"leaves {len(labels)} classes of two or more clips",
                "two or more classes of two or more clips",
                f"replace the unreadable files; the first: {min(left_out, default=self.root)}.",
            )
        class_names = tuple(name for name in self.class_names if name in labels)
        skipped = (*self.skipped, *lone)
        return replace(self, rows=tuple(rows), class_names=class_names, skipped=skipped)

    def subset(self, split: str) -> VideoIndex:
        """The clips of one split, with all class names kept so that labels stay the same."""
        return replace(self, rows=tuple(row for row in self.rows if row.split == split))


def open_index(
    data: Path,
    *,
    lists: Path | None = None,
    list_number: int = 1,
    group_pattern: str | None = None,
) -> VideoIndex:
    """Index labelled clips.

    Args:
        data: a folder, a table (``.csv``, ``.tsv``, ``.txt``) or a packed file (``.npz``,
            ``.pkl``).
        lists: the folder of UCF101's or HMDB51's official lists for the videos below ``data``.
        list_number: which of the official splits, from 1.
        group_pattern: a regular expression that finds the group in each clip's name; else groups
            come from the data itself or from known patterns in the names.

    Raises:
        DatasetError: there is nothing to index, fewer than two classes can be learnt, a class's
            name is no text, or the given splits have no train, miss clips, or test classes that
            train does not have.
    """
    data = data.expanduser().absolute()
    listing = _read(data, lists, list_number)
    rows, skipped = _drop_single_clips(listing)
    labels = {row.label for row in rows}
    if len(labels) < 2:
        raise _too_few_classes(data, listing)
    _check_names_are_text(data, labels)
    _check_given_splits(data, rows)
    root = data if data.is_dir() else data.parent
    rows.sort(key=lambda row: (row.path.as_posix(), row.packed_index or 0))
    rows, grouping = with_groups(rows, root, listing.grouping, group_pattern)
    class_names = tuple(name for name in listing.class_names if name in labels)
    return VideoIndex(root, tuple(rows), grouping, class_names, tuple(skipped))


def _read(data: Path, lists: Path | None, list_number: int) -> Listing:
    if not data.exists():
        raise DatasetError(
            f"{data}: no such file or folder",
            "a folder of class folders, a table (.csv, .tsv, .txt), or a packed .npz or .pkl",
            "check the spelling, and that the disk is mounted.",
        )
    if lists is not None:
        return read_official_lists(data, lists.expanduser().absolute(), list_number)
    if data.is_dir():
        return read_folder(data)
    if data.suffix.lower() in TABLE_SUFFIXES:
        return read_table(data)
    if data.suffix.lower() in PACKED_SUFFIXES:
        return read_packed(data)
    what = "one video" if is_video(data) else "a file of no known kind"
    raise DatasetError(
        f"{data}: is {what}",
        "a folder of class folders, a table with path,label, or a packed .npz or .pkl",
        "give the folder that holds the class folders.",
    )


def _drop_single_clips(listing: Listing) -> tuple[list[VideoRow], list[SkippedFile]]:
    """Leave out each class of one clip: it could be learnt or tested, never both."""
    counts = Counter(row.label for row in listing.rows)
    rows = [row for row in listing.rows if counts[row.label] > 1]
    skipped = [
        SkippedFile(
            row.path,
            f"it is the only clip of the class {row.label!r}; a class needs two or more; "
            "add clips to it",
            kind="only clip of its class",
        )
        for row in listing.rows
        if counts[row.label] == 1
    ]
    return rows, listing.skipped + skipped


def _too_few_classes(data: Path, listing: Listing) -> DatasetError:
    counts = Counter(row.label for row in listing.rows)
    told = ", ".join(f"{label!r} with {count}" for label, count in counts.most_common(5))
    only = data / listing.rows[0].label if listing.rows else data
    deeper = f"give {only} if it holds the class folders; else " if only.is_dir() else ""
    return DatasetError(
        f"{data}: fewer than two classes that can be learnt (clips by class: {told or 'none'})",
        "two or more classes of two or more clips",
        f"{deeper}add the clips of the other classes.",
    )


def _check_names_are_text(data: Path, labels: Iterable[str]) -> None:
    """Files may have any name, but a class's is written into models, tables and pages."""
    for label in labels:
        try:
            label.encode()
        except UnicodeEncodeError:
            raise DatasetError(
                f"{data}: the name of the class {label!r} is no text in UTF-8",
                "names of classes that are text",
                "rename its folder; if the videos come from another system, convmv does it for all "
                "names at once.",
            ) from None


def _check_given_splits(data: Path, rows: list[VideoRow]) -> None:
    undecided = [row for row in rows if not row.split]
    if len(undecided) == len(rows):
        return
    if undecided:
        raise DatasetError(
            f"{data}: {len(undecided)} of {len(rows)} clips have no split, such as "
            f"{undecided[0].path}",
            "train, val or test for every clip, or for none",
            "fill the rest in, or leave all empty and let Filmstrip split.",
        )
    learnt = {row.label for row in rows if row.split == "train"}
    unlearnt = sorted({row.label for row in rows} - learnt, key=natural_key)
    if unlearnt:
        raise DatasetError(
            f"{data}: the given train split has no clip of {', '.join(unlearnt[:10])}",
            "every class in train",
            "add clips of these classes to train, or remove the classes from val and test.",
        )


def with_groups(
    rows: list[VideoRow], root: Path, given: str, pattern: str | None = None
) -> tuple[list[VideoRow], str]:
    """Give each row its group: by the pattern, as the listing gave it, or as the names tell."""
    names = [row.name(root) for row in rows]
    groups = [row.group for row in rows]
    if pattern is not None:
        groups, sentence = infer_groups(names, pattern)
    elif given:
        num_groups = len({group or name for group, name in zip(groups, names, strict=True)})
        sentence = f"{len(rows)} clips in {num_groups} groups, {given}"
    else:
        below_class = [_below_class(row, root) for row in rows]
        groups, sentence = infer_groups(below_class, shown=names)
    return [
        replace(row, group=group or name)
        for row, group, name in zip(rows, groups, names, strict=True)
    ], sentence


def _below_class(row: VideoRow, root: Path) -> str:
    """The name without the class, which often is its folder and begins its file's name.

    A pattern that is found in the class's own name would make each class a group.
    """
    parts = row.name(root).split("/")
    return "/".join(part.removeprefix(row.label) for part in parts)
