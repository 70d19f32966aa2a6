"""A folder of videos, labelled by its class folders or else by the one table in it that does so."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from filmstrip.dataset.folders import NoVideosError, read_folder
from filmstrip.dataset.layout import ClassFolders
from filmstrip.dataset.rows import Listing, SkippedFile, is_there, natural_key
from filmstrip.dataset.table import TABLE_SUFFIXES, read_table
from filmstrip.errors import DatasetError

_MOST_NAMED = 10
_MOST_BYTES = 2**26  # a list of a million clips; larger files are something else
_ONLY = "the only table in the folder that gives each video one label"


def read_folder_or_table(root: Path, class_folders: ClassFolders = "auto") -> Listing:
    """List the videos of a folder by its class folders, or by the table in it.

    A table is used where the folders give fewer than two classes. It must be directly in the
    folder, and name existing videos of two or more classes with one label each.

    Raises:
        DatasetError: neither gives classes, or two or more tables could be meant.
    """
    try:
        listing: Listing | DatasetError = read_folder(root, class_folders=class_folders)
    except DatasetError as error:
        listing = error
    if isinstance(listing, Listing) and _num_classes(listing) > 1:
        return listing
    usable, refused = _tables(root)
    if len(usable) > 1:
        names = ", ".join(path.name for path in usable)
        raise DatasetError(
            f"{root}: its folders are no classes, and {len(usable)} tables in it label its videos: "
            f"{names}",
            "a folder for each class, or one table of the videos",
            f"give the table that is meant, such as {next(iter(usable))}.",
        )
    if usable:
        [(path, table)] = usable.items()
        named = {row.path for row in table.rows} | {file.path for file in table.skipped}
        unnamed = [
            SkippedFile(
                file, f"{path.name} does not name it; add a line for it", kind="not in the table"
            )
            for file in _videos_of(root)
            if file not in named
        ]
        return replace(
            table,
            skipped=[*table.skipped, *unnamed],
            reading=_reading(path, table),
        )
    if isinstance(listing, Listing):
        return listing
    raise _with_tables(listing, root, refused)


def read_videos_and_labels(root: Path, class_folders: ClassFolders = "auto") -> Listing:
    """List all videos of a folder, with the labels that its class folders or its table give.

    Raises:
        DatasetError: there is no video, or it is not clear which folders are the classes.
    """
    listing = read_folder(root, needs_labels=False, class_folders=class_folders)
    if _num_classes(listing) > 1:
        return listing
    usable, _ = _tables(root)
    if len(usable) != 1:
        return listing
    [(path, table)] = usable.items()
    labelled = {row.path: row for row in table.rows}
    rows = [labelled.pop(row.path, replace(row, label="")) for row in listing.rows]
    reading = _reading(path, table)
    return Listing([*rows, *labelled.values()], listing.skipped, (), table.grouping, reading)


def _num_classes(listing: Listing) -> int:
    counts = Counter(row.label for row in listing.rows if row.label)
    return sum(count > 1 for count in counts.values())


def _tables(root: Path) -> tuple[dict[Path, Listing], dict[Path, str]]:
    """The tables in a folder that label its videos, and why the others do not."""
    usable: dict[Path, Listing] = {}
    refused: dict[Path, str] = {}
    try:
        paths = sorted(path for path in root.iterdir() if path.suffix.lower() in TABLE_SUFFIXES)
    except OSError:
        return usable, refused
    for path in paths:
        if path.name.startswith(".") or not is_there(path) or path.stat().st_size > _MOST_BYTES:
            continue
        try:
            listing = read_table(path)
        except DatasetError as error:
            refused[path] = error.given
            continue
        if _num_classes(listing) > 1:
            usable[path] = listing
        else:
            refused[path] = f"{path}: names fewer than two classes of two or more clips"
    return usable, refused


def _videos_of(root: Path) -> list[Path]:
    try:
        return [row.path for row in read_folder(root, needs_labels=False).rows]
    except DatasetError:
        return []  # the table names videos elsewhere


def _reading(path: Path, table: Listing) -> str:
    labels = sorted({row.label for row in table.rows}, key=natural_key)
    more = f" and {len(labels) - _MOST_NAMED} more" if len(labels) > _MOST_NAMED else ""
    listed = ", ".join(labels[:_MOST_NAMED]) + more
    taken = f"The labels are those of {path.name}, {_ONLY}: {listed}"
    return "; ".join(filter(None, (taken, table.reading)))


def _with_tables(fault: DatasetError, root: Path, refused: dict[Path, str]) -> DatasetError:
    """The fault of the folders, with why no table in it is used and which one above it could be."""
    given, remedy = fault.given, fault.remedy
    if refused:
        reasons = "; ".join(list(refused.values())[:3])
        given = f"{given}; and no table in it labels the videos ({reasons})"
        remedy = f"{remedy.removesuffix('.')}; or correct the table."
    if not isinstance(fault, NoVideosError):
        for path, table in _tables(root.parent)[0].items():
            if any(row.path.is_relative_to(root) for row in table.rows):
                remedy = f"give {path}, which labels these videos; or {remedy}"
    return type(fault)(given, fault.expected, remedy)
