"""One table of labelled clips, from whatever the data comes as.

``open_index`` recognises a folder for each class, folders of splits or groups that hold these, a
CSV, the official lists of UCF101 and HMDB51, and a packed array file. No video is opened here.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from filmstrip.dataset.folder_table import read_folder_or_table
from filmstrip.dataset.groups import infer_groups
from filmstrip.dataset.layout import ClassFolders
from filmstrip.dataset.lists import read_official_lists
from filmstrip.dataset.lost import describe_lost
from filmstrip.dataset.packed import PACKED_SUFFIXES, read_packed
from filmstrip.dataset.rows import (
    Listing,
    SkippedFile,
    VideoRow,
    composed,
    natural_key,
    same_name,
)
from filmstrip.dataset.spelling import address_in, one_spelling
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
        reading: one sentence on what was taken for classes, splits and groups; empty where the data
            itself says so.
    """

    root: Path
    rows: tuple[VideoRow, ...]
    grouping: str = ""
    class_names: tuple[str, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()
    reading: str = ""

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

    @property
    def lost_classes(self) -> dict[str, tuple[SkippedFile, ...]]:
        """The classes of which nothing is left, each with what was left out of it."""
        known = {same_name(name) for name in self.class_names}
        lost: dict[str, list[SkippedFile]] = {}
        for file in self.skipped:
            if file.label and same_name(file.label) not in known:
                lost.setdefault(same_name(file.label), []).append(file)
        return {files[0].label: tuple(files) for files in lost.values()}

    def summary(self) -> tuple[str, ...]:
        """Return what was read, in sentences: the reading, classes and groups, what is lost."""
        counted = f"{len(self.class_names)} classes; {self.grouping}."
        lost = f"WARNING: {describe_lost(self.lost_classes)}." if self.lost_classes else ""
        return tuple(filter(None, (self.reading and f"{self.reading}.", counted, lost)))

    def without(self, paths: Iterable[Path], what: str = "cannot be read") -> VideoIndex:
        """The clips but those of ``paths``.

        Args:
            paths: files that turned out to be unreadable, or that are left out for another reason.
            what: the reason, as in "3 of 9 clips cannot be read".

        Raises:
            DatasetError: fewer than two classes are left.
        """
        left_out = set(paths)
        kept = [row for row in self.rows if row.path not in left_out]
        rows, lone = _drop_single_clips(Listing(kept, []))
        labels = {row.label for row in rows}
        if len(labels) < 2:
            first = min(left_out, default=self.root)
            raise DatasetError(
                f"{self.root}: {len(left_out)} of {len(self.rows)} clips {what}, which leaves "
                f"{len(labels)} classes of two or more clips",
                "two or more classes of two or more clips",
                f"repair or replace these files, the first is {first}; or add other clips.",
            )
        class_names = tuple(name for name in self.class_names if name in labels)
        skipped = (*self.skipped, *lone)
        return replace(self, rows=tuple(rows), class_names=class_names, skipped=skipped)

    def leaving_out(self, files: Sequence[SkippedFile], what: str = "cannot be read") -> VideoIndex:
        """The clips but those of ``files``, which are added to ``skipped`` with their classes.

        Raises:
            DatasetError: fewer than two classes are left.
        """
        label_of = {row.path: row.label for row in self.rows}
        named = tuple(replace(file, label=label_of.get(file.path, file.label)) for file in files)
        kept = self.without((file.path for file in files), what)
        return replace(kept, skipped=(*kept.skipped, *named))

    def subset(self, split: str) -> VideoIndex:
        """The clips of one split, with all class names kept so that labels stay the same."""
        return replace(self, rows=tuple(row for row in self.rows if row.split == split))


def open_index(
    data: Path,
    *,
    lists: Path | None = None,
    list_number: int = 1,
    group_pattern: str | None = None,
    class_folders: ClassFolders = "auto",
) -> VideoIndex:
    """Index labelled clips.

    Args:
        data: a folder, a table (``.csv``, ``.tsv``, ``.txt``) or a packed file (``.npz``,
            ``.pkl``).
        lists: the folder of UCF101's or HMDB51's official lists for the videos below ``data``.
        list_number: which of the official splits, from 1.
        group_pattern: a regular expression that finds the group in each clip's name; else groups
            come from the data itself or from known patterns in the names.
        class_folders: which folders are the classes where ``data`` is a folder of folders: the top
            ones, those in them (below the folders of splits), or what their names suggest.

    Raises:
        DatasetError: there is nothing to index, fewer than two classes can be learnt, a class's
            name is no text, or the given splits have no train, miss clips, or test classes that
            train does not have.
    """
    data = data.expanduser().absolute()
    listing = one_spelling(_read(data, lists, list_number, class_folders))
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
    return VideoIndex(root, tuple(rows), grouping, class_names, tuple(skipped), listing.reading)


def _read(data: Path, lists: Path | None, list_number: int, class_folders: ClassFolders) -> Listing:
    if address := address_in(data):
        raise DatasetError(
            f"{address}: is an address",
            "labelled videos on this machine: a folder of class folders, a CSV, or a packed .npz "
            "or .pkl",
            "give the path of the videos, or copy them to this machine first; addresses are for "
            "'filmstrip predict' and the other commands that answer about one video.",
        )
    if not data.exists():
        raise DatasetError(
            f"{data}: no such file or folder",
            "a folder of class folders, a table (.csv, .tsv, .txt), or a packed .npz or .pkl",
            "check the spelling, and that the disk is mounted.",
        )
    if lists is not None:
        return read_official_lists(data, lists.expanduser().absolute(), list_number)
    if data.is_dir():
        return read_folder_or_table(data, class_folders)
    if data.suffix.lower() in TABLE_SUFFIXES:
        return read_table(data)
    if data.suffix.lower() in PACKED_SUFFIXES:
        return read_packed(data)
    if is_video(data):
        raise DatasetError(
            f"{data}: is one video",
            "a folder of class folders, a table with path,label, or a packed .npz or .pkl",
            "give the folder that holds the class folders.",
        )
    raise DatasetError(
        f"{data}: is a file of no known kind",
        "a folder of class folders, a table with path,label, or a packed .npz or .pkl",
        "give the folder of the videos, or a table of them with one of the suffixes "
        f"{', '.join(TABLE_SUFFIXES)}.",
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
            row.label,
            kind="only clip of its class",
        )
        for row in listing.rows
        if counts[row.label] == 1
    ]
    return rows, listing.skipped + skipped


def _too_few_classes(data: Path, listing: Listing) -> DatasetError:
    counts = Counter(row.label for row in listing.rows)
    told = ", ".join(f"{label!r} with {count}" for label, count in counts.most_common(5))
    return DatasetError(
        f"{data}: fewer than two classes that can be learnt (clips by class: {told or 'none'})",
        "two or more classes of two or more clips",
        f"{_hint_at_deeper_folder(data, listing.rows)}add "
        + ("clips to each class." if len(counts) > 1 else "the clips of the other classes."),
    )


def _hint_at_deeper_folder(data: Path, rows: Sequence[VideoRow]) -> str:
    """Which folder to give if all videos are in folders of one folder below ``data``."""
    if not data.is_dir():
        return ""
    parents = {row.path.parent for row in rows}
    common = Path(os.path.commonpath(parents)) if parents else data
    deeper = {parent.relative_to(common).parts[0] for parent in parents if parent != common}
    if common == data or data not in common.parents or len(deeper) < 2:
        return ""
    names = ", ".join(sorted(deeper, key=natural_key)[:3])
    return f"give {common}, which holds folders of videos ({names}); or "


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
    parts = composed(row.name(root)).split("/")
    length = len(row.label)
    return "/".join(
        part[length:] if same_name(part[:length]) == same_name(row.label) else part
        for part in parts
    )
