"""Videos for work that needs no labels: files, folders and tables, in any mixture.

Labels, groups and splits are taken where the data gives them and are empty elsewhere: a loose video
and a class of one clip are as good as any other.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from filmstrip.dataset.folder_table import read_videos_and_labels
from filmstrip.dataset.folders import NoVideosError
from filmstrip.dataset.index import VideoIndex, with_groups
from filmstrip.dataset.layout import ClassFolders
from filmstrip.dataset.packed import PACKED_SUFFIXES, read_packed
from filmstrip.dataset.rows import Listing, SkippedFile, VideoRow
from filmstrip.dataset.spelling import one_spelling
from filmstrip.dataset.table import TABLE_SUFFIXES, read_table
from filmstrip.errors import DatasetError


def list_videos(paths: Sequence[Path], class_folders: ClassFolders = "auto") -> VideoIndex:
    """Index all clips of ``paths``; one that is named twice is taken once.

    Args:
        paths: at least one of: a video file, a folder (of class folders, of loose videos, or of
            both), a CSV with the column path, a packed ``.npz`` or ``.pkl``.
        class_folders: which folders are the classes, in folders of folders.

    Returns:
        The clips, sorted by path. Its root is the deepest folder that holds all that was given, so
        that no two clips have one name; ``skipped`` holds the rest, with reasons.

    Raises:
        DatasetError: a path is not there, none of them holds a video, or a table cannot be
            read.
    """
    given = [_without_dots(Path(path).expanduser().absolute()) for path in paths]
    read = _read_or_note if len(given) > 1 else _read
    listings = [one_spelling(read(path, class_folders)) for path in given]
    if not any(listing.rows for listing in listings):
        _read(given[0], class_folders)  # raises what is wrong with it
    clips: dict[tuple[Path, int | None], VideoRow] = {}
    for listing in listings:
        for row in listing.rows:
            place = (_without_dots(row.path), row.packed_index)
            if place not in clips or not clips[place].label:
                clips[place] = replace(row, path=place[0])
    folders = {path if path.is_dir() else path.parent for path in given}
    root = Path(os.path.commonpath(folders | {path.parent for path, _ in clips}))
    rows = sorted(clips.values(), key=lambda row: (row.path.as_posix(), row.packed_index or 0))
    grouping = next((listing.grouping for listing in listings if listing.grouping), "")
    rows, grouping = with_groups(rows, root, grouping)
    skipped = tuple(file for listing in listings for file in listing.skipped)
    readings = filter(None, (listing.reading for listing in listings))
    return VideoIndex(
        root, tuple(rows), grouping, skipped=skipped, reading="; ".join(dict.fromkeys(readings))
    )


def _read_or_note(path: Path, class_folders: ClassFolders) -> Listing:
    """As ``_read``; a folder without videos beside other paths is noted."""
    try:
        return _read(path, class_folders)
    except NoVideosError as error:
        reason = f"{error.given}; {error.remedy}"
        return Listing([], [SkippedFile(path, reason, kind="without videos")])


def _read(path: Path, class_folders: ClassFolders) -> Listing:
    if not path.exists():
        raise DatasetError(
            f"{path}: no such file or folder",
            "video files, folders of them, or a CSV with the column path",
            "check the spelling, and that the disk is mounted.",
        )
    if path.is_dir():
        return read_videos_and_labels(path, class_folders)
    if path.suffix.lower() in TABLE_SUFFIXES:
        return read_table(path, needs_labels=False)
    if path.suffix.lower() in PACKED_SUFFIXES:
        return read_packed(path)
    return Listing([VideoRow(path, "")], [])


def _without_dots(path: Path) -> Path:
    """A path without ``..``, which would lead out of a tree; links are left as they are named."""
    if ".." not in path.parts:
        return path
    return path.resolve() if path.name == ".." else path.parent.resolve() / path.name
