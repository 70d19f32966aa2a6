"""Clips from a table of paths and labels, and, if wished, groups and splits.

``table_text`` understands the separators and the names of columns, ``clip_finder`` the names of
files.
"""

from __future__ import annotations

from pathlib import Path

from filmstrip.dataset.clip_finder import ClipFinder
from filmstrip.dataset.rows import MISSING, Listing, SkippedFile, VideoRow, composed, split_name
from filmstrip.dataset.table_text import TableText, read_table_text
from filmstrip.errors import DatasetError

TABLE_SUFFIXES = (".csv", ".tsv", ".txt")


def read_table(path: Path, needs_labels: bool = True) -> Listing:
    """List the clips that a table names.

    Args:
        path: the table.
        needs_labels: leave out, and note, lines without a label and lines that repeat a clip. Else
            a label may be empty, or the whole column missing, and a repeated clip is taken once.

    Raises:
        DatasetError: it is not UTF-8, a column is missing, a split is not a split's name, one clip
            has two labels, or its lines are segments of recordings.
    """
    finder = ClipFinder(path.parent)
    table = read_table_text(path, needs_labels, lambda cells: len(finder.find(cells)) == 1)
    if needs_labels:
        _check_no_segments(path, table)
    rows: dict[Path, VideoRow] = {}
    skipped: list[SkippedFile] = []
    for line_number, cells in table.lines:
        line = f"line {line_number} of {path.name}"
        name, label = cells["path"], composed(cells.get("label", ""))
        found = finder.find(cells, table.times)
        clip = found[0] if len(found) == 1 else path.parent / name
        if not name or (needs_labels and not label):
            missing = "label" if name else "path"
            reason = f"{line} has no {missing}; fill it in"
            skipped.append(SkippedFile(clip if name else path, reason, label, f"no {missing}"))
        elif not found:
            reason = f"{line} names it, but no such file is there"
            skipped.append(SkippedFile(clip, reason, label, MISSING))
        elif len(found) > 1:
            shown = ", ".join(str(file.relative_to(path.parent)) for file in found[:3])
            reason = f"{line} may mean any of {len(found)} files: {shown}; write the whole path"
            skipped.append(SkippedFile(clip, reason, label, "several files of that name"))
        elif clip in rows and rows[clip].label != label:
            raise DatasetError(
                f"{path}, line {line_number}: {name} is {label!r} here "
                f"and {rows[clip].label!r} above",
                "one label for each clip",
                "remove the line that is wrong.",
            )
        elif clip in rows:
            if needs_labels:
                skipped.append(SkippedFile(clip, f"{line} repeats it", label, "repeated"))
        else:
            split = _split(path, line_number, cells.get("split", ""))
            rows[clip] = VideoRow(clip, label, cells.get("group", ""), split)
    if not rows:
        raise DatasetError(
            f"{path}: none of the files it names is there"
            + (f" (first: {skipped[0].path})" if skipped else ""),
            "paths of videos, absolute or relative to the table's folder",
            f"correct the column {table.columns.get('path', 'of paths')}, or move the table to "
            "the folder that the paths are relative to.",
        )
    is_grouped = any(row.group for row in rows.values())
    column = table.columns.get("group", "group")
    grouping = f"by the column {column} of {path.name}" if is_grouped else ""
    reading = _reading(path, table, list(rows))
    return Listing(list(rows.values()), skipped, grouping=grouping, reading=reading)


def _check_no_segments(path: Path, table: TableText) -> None:
    """Refuse several times of one recording: a label counts for a whole file."""
    first: dict[str, tuple[int, list[str]]] = {}
    for line_number, cells in table.lines:
        times = [cells[name] for name in table.times]
        before, times_before = first.setdefault(cells["path"], (line_number, times))
        if times != times_before and cells["path"]:
            columns = " and ".join(table.columns.get(name, name) for name in table.times[:2])
            raise DatasetError(
                f"{path}: lines {before} and {line_number} are segments of one recording, "
                f"{cells['path']} (columns {columns})",
                "one line for each video file, whose label counts for all of it",
                "cut the segments out, such as with 'ffmpeg -ss START -to END -i IN OUT', and "
                "list the new files.",
            )


def _reading(path: Path, table: TableText, clips: list[Path]) -> str:
    """What was taken for what, as far as it does not go without saying."""
    sentences = []
    if not table.columns:
        sentences.append(f"{path.name} has no column names; its columns are taken for path, label")
    renamed = [
        f"{name} for {column}"
        for column, name in table.columns.items()
        if name.strip().lower() != column
    ]
    if renamed:
        sentences.append(f"{path.name}: the columns are read as {', '.join(renamed)}")
    if table.times and not all(_is_cut(clip) for clip in clips):
        names = " and ".join(table.times)
        sentences.append(f"the times in {names} are not used: each video is read whole")
    return "; ".join(sentences)


def _is_cut(clip: Path) -> bool:
    """Whether a clip has times in its name, as the tools of Kinetics write it."""
    words = clip.stem.rsplit("_", 2)
    return len(words) == 3 and all(len(word) == 6 and word.isdigit() for word in words[1:])


def _split(path: Path, line_number: int, text: str) -> str:
    split = split_name(text) if text else ""
    if split is None:
        raise DatasetError(
            f"{path}, line {line_number}: split is {text!r}",
            "train, val or test, or nothing in the whole column",
            "correct the cell.",
        )
    return split
