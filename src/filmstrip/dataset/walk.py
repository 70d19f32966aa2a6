"""The files below a folder, in the same order and with the same rules for every command.

Hidden files and folders are ignored. Links to folders are followed, except those that lead to a
folder above them, which would repeat what is being read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from filmstrip.dataset.rows import LINK_TO_ABOVE, SkippedFile
from filmstrip.errors import DatasetError

_Identity = tuple[int, int]


@dataclass(frozen=True)
class Walk:
    """What is below a folder.

    Attributes:
        loose: the files directly in it.
        below: each folder directly in it, with all files below that.
        folders: all folders that were read, directly in it or deeper.
        skipped: folders that could not be listed or were not followed.
    """

    loose: list[Path] = field(default_factory=list)
    below: dict[Path, list[Path]] = field(default_factory=dict)
    folders: list[Path] = field(default_factory=list)
    skipped: list[SkippedFile] = field(default_factory=list)

    @property
    def files(self) -> Iterator[Path]:
        """All files, those of each folder together."""
        yield from self.loose
        for paths in self.below.values():
            yield from paths


def walk(root: Path) -> Walk:
    """List everything below ``root``, sorted by name.

    Below each folder directly in ``root``, no folder is read twice, whatever links lead to it. The
    path without links is preferred.

    Raises:
        DatasetError: ``root`` cannot be listed.
    """
    try:
        entries = _entries(root)
    except OSError as error:
        raise DatasetError(
            f"{root}: cannot be listed ({error.strerror})",
            "a folder that this user may read",
            "change its permissions or give another folder.",
        ) from error
    found = Walk()
    above = _and_above(root)
    for path in entries:
        if not path.is_dir():
            found.loose.append(path)
        elif _is_one_of(path, above):
            found.skipped.append(_link_to_above(path))
        else:
            found.below[path] = sorted(_files_below(path, found))
    return found


def _files_below(top: Path, found: Walk) -> Iterator[Path]:
    seen: set[_Identity] = set()
    # Links wait until all folders that are reached without one have been read.
    waiting, links = [top], list[Path]()
    while waiting or links:
        folder = waiting.pop() if waiting else links.pop(0)
        try:
            identity = _identity(folder)
            if identity in seen:
                continue
            seen.add(identity)
            entries = _entries(folder)
        except OSError as error:
            reason = f"the folder cannot be listed ({error.strerror}); change its permissions"
            found.skipped.append(SkippedFile(folder, reason, kind="cannot be listed"))
            continue
        found.folders.append(folder)
        for path in entries:
            if not path.is_dir():
                yield path
            elif not path.is_symlink():
                waiting.append(path)
            elif _is_one_of(path, _and_above(folder)):
                found.skipped.append(_link_to_above(path))
            else:
                links.append(path)


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _and_above(folder: Path) -> set[_Identity]:
    """The folder and all above it, both as they are named and behind their links."""
    named, real = folder.absolute(), Path(os.path.realpath(folder))
    return {_identity(path) for path in (named, *named.parents, real, *real.parents)}


def _is_one_of(path: Path, folders: set[_Identity]) -> bool:
    try:
        return path.is_symlink() and _identity(path) in folders
    except OSError:
        return False


def _identity(path: Path) -> _Identity:
    status = path.stat()
    return status.st_dev, status.st_ino


def _link_to_above(path: Path) -> SkippedFile:
    reason = "it is a link to a folder above it, so it is not followed; remove the link"
    return SkippedFile(path, reason, kind=LINK_TO_ABOVE)
