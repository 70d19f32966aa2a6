"""Files that a list or table names, found whatever the case and Unicode form of their names.

macOS stores decomposed names, Windows ignores case, and official lists are not spelled as their
folders are.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from filmstrip.dataset.rows import composed, is_there, same_name


class FileFinder:
    """Finds files below a folder. Each folder is listed at most once.

    Args:
        folder: what relative names are relative to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: dict[Path, dict[str, list[str]]] = {}

    def find(self, name: str | Path) -> Path | None:
        """Return the file that ``name`` means; None if there is none, or more than one.

        The exact name is preferred, then one that differs in Unicode form, then one that differs in
        case.
        """
        path = self.folder / name
        if is_there(path):
            return path
        place = Path(path.anchor) if Path(name).is_absolute() else self.folder
        for part in Path(name).parts[1 if Path(name).is_absolute() else 0 :]:
            found = part if part == ".." else self._entry(place, part)
            if found is None:
                return None
            place /= found
        return place if is_there(place) else None

    def _entry(self, folder: Path, part: str) -> str | None:
        if folder not in self._names:
            self._names[folder] = _names_in(folder)
        names = self._names[folder].get(same_name(part), [])
        for near in (
            [name for name in names if name == part],
            [name for name in names if composed(name) == composed(part)],
            names,
        ):
            if near:
                return near[0] if len(near) == 1 else None
        return None


def _names_in(folder: Path) -> dict[str, list[str]]:
    names = defaultdict(list)
    try:
        for entry in folder.iterdir():
            names[same_name(entry.name)].append(entry.name)
    except (OSError, ValueError):
        return {}  # it is not there, is a file, may not be listed, or has no possible name
    return names
