"""The videos that a table names, under the spellings that are usual in tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from filmstrip.dataset.finder import FileFinder
from filmstrip.dataset.rows import same_name
from filmstrip.dataset.walk import walk
from filmstrip.errors import DatasetError
from filmstrip.video.formats import is_video


class ClipFinder:
    """Finds the video that a line of a table means.

    Names may be relative to the table's folder or absolute. They may have backslashes, a leading
    slash that means the table's folder, or no suffix. A name without a folder is also looked for
    below the table's folder. What is found there must be the only file of its name.

    Args:
        folder: the folder of the table.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._exact = FileFinder(folder)
        self._by_parent: dict[Path, dict[str, list[Path]]] = {}
        self._found: dict[str, list[Path]] = {}

    def find(self, cells: Mapping[str, str], times: Sequence[str] = ()) -> list[Path]:
        """Return the file of a line; no file if there is none, several if it is not clear which.

        Args:
            cells: the cell ``path``, and the cells of ``times``.
            times: the columns of a clip's start and end. Kinetics names clips by them.
        """
        name = cells.get("path", "")
        if not name:
            return []
        for spelled in (*_kinetics_names(name, cells, times), name):
            if spelled not in self._found:
                self._found[spelled] = self._find(spelled)
            if self._found[spelled]:
                return self._found[spelled]
        return []

    def _find(self, name: str) -> list[Path]:
        for spelled in _spellings(name):
            found = self._exact.find(spelled)
            if found is not None:
                return [found]
            found_by_stem = self._of_stem(self.folder / spelled)
            if found_by_stem:
                return found_by_stem
        return [] if {"/", "\\"} & set(name) else self._anywhere.get(same_name(name), [])

    def _of_stem(self, path: Path) -> list[Path]:
        """The videos whose name is that of ``path`` and a suffix."""
        if path.parent not in self._by_parent:
            by_stem = defaultdict(list)
            try:
                for file in path.parent.iterdir():
                    if is_video(file):
                        by_stem[same_name(file.stem)].append(file)
            except (OSError, ValueError):
                by_stem.clear()  # the folder is not there, or its name is not possible
            self._by_parent[path.parent] = by_stem
        return self._by_parent[path.parent].get(same_name(path.name), [])

    @cached_property
    def _anywhere(self) -> dict[str, list[Path]]:
        """All videos below the folder, by name and by name without suffix."""
        found = defaultdict(list)
        try:
            for file in walk(self.folder).files:
                if is_video(file):
                    found[same_name(file.name)].append(file)
                    found[same_name(file.stem)].append(file)
        except DatasetError:
            return {}  # the folder cannot be listed
        return found


def _spellings(name: str) -> Iterator[str]:
    yield name
    slashed = name.replace("\\", "/")
    if slashed != name:
        yield slashed
    if slashed.startswith("/"):
        yield slashed.lstrip("/")


def _kinetics_names(name: str, cells: Mapping[str, str], times: Sequence[str]) -> list[str]:
    """The name that Kinetics' tools give a clip: the recording, its first and its last second."""
    try:
        start, end = (int(float(cells[time])) for time in times)
    except (KeyError, ValueError, OverflowError):
        return []
    return [f"{name}_{start:06}_{end:06}"]
