"""Clips from a CSV file with the columns path, label and, if wished, group and split.

Paths are absolute or relative to the CSV's folder. Comma, semicolon and tab are understood, and the
byte-order mark that spreadsheets write.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from filmstrip.dataset.finder import FileFinder
from filmstrip.dataset.rows import Listing, SkippedFile, VideoRow, composed, split_name
from filmstrip.errors import DatasetError

_COLUMNS = "the columns path,label and, if wished, group,split in the first line"


def read_table(path: Path, needs_labels: bool = True) -> Listing:
    """List the clips that a CSV file names.

    Args:
        path: the CSV file.
        needs_labels: leave out, and note, lines without a label and lines that repeat a clip. Else
            a label may be empty, or the whole column missing, and a repeated clip is taken once.

    Raises:
        DatasetError: it is not UTF-8, a column is missing, a split is not a split's name, or one
            clip has two labels.
    """
    rows: dict[Path, VideoRow] = {}
    skipped: list[SkippedFile] = []
    grouped = False
    columns = ("path", "label") if needs_labels else ("path",)
    finder = FileFinder(path.parent)
    for line_number, cells in _read_cells(path, columns):
        found = finder.find(cells["path"]) if cells["path"] else None
        clip, label = found or path.parent / cells["path"], composed(cells.get("label", ""))
        if not cells["path"] or (needs_labels and not label):
            missing = "label" if cells["path"] else "path"
            reason = f"line {line_number} of {path.name} has no {missing}; fill it in"
            skipped.append(SkippedFile(clip if cells["path"] else path, reason, label))
        elif found is None:
            reason = f"line {line_number} of {path.name} names it, but no such file is there"
            skipped.append(SkippedFile(clip, reason, label))
        elif clip in rows and rows[clip].label != label:
            raise DatasetError(
                f"{path}, line {line_number}: {cells['path']} is {label!r} here "
                f"and {rows[clip].label!r} above",
                "one label for each clip",
                "remove the line that is wrong.",
            )
        elif clip in rows:
            if needs_labels:
                reason = f"line {line_number} of {path.name} repeats it"
                skipped.append(SkippedFile(clip, reason, label))
        else:
            grouped = grouped or bool(cells.get("group"))
            split = _split(path, line_number, cells.get("split", ""))
            rows[clip] = VideoRow(clip, label, cells.get("group", ""), split)
    if not rows:
        raise DatasetError(
            f"{path}: none of the files it names is there"
            + (f" (first: {skipped[0].path})" if skipped else ""),
            "paths of videos, absolute or relative to the CSV's folder",
            "correct the column path, or move the CSV beside the videos.",
        )
    grouping = f"by the column group of {path.name}" if grouped else ""
    return Listing(list(rows.values()), skipped, grouping=grouping)


def _read_cells(path: Path, needed: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Each line's number and its cells by column name, stripped."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path}: is not UTF-8 text (byte {error.start})",
            "a CSV file in UTF-8",
            "save it again as 'CSV UTF-8'.",
        ) from error
    except OSError as error:
        raise DatasetError(
            f"{path}: cannot be read ({error.strerror})",
            "a CSV file that this user may read",
            "change its permissions, or copy it again.",
        ) from error
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        lines = [(reader.line_num, values) for values in reader]
    except csv.Error as error:
        raise DatasetError(
            f"{path}: is no CSV ({error})", _COLUMNS, "save the table again as 'CSV UTF-8'."
        ) from error
    columns = [name.strip().lower() for name in (lines[0][1] if lines else [])]
    missing = [name for name in needed if name not in columns]
    if missing:
        raise DatasetError(
            f"{path}: no column {' and no column '.join(missing)} (first line: {header[:80]!r})",
            _COLUMNS,
            "add the line of column names, or rename the columns.",
        )
    cells = []
    for line_number, values in lines[1:]:
        if any(value.strip() for value in values):
            padded = [value.strip() for value in values] + [""] * len(columns)
            cells.append((line_number, dict(zip(columns, padded, strict=False))))
    return cells


def _split(path: Path, line_number: int, text: str) -> str:
    split = split_name(text) if text else ""
    if split is None:
        raise DatasetError(
            f"{path}, line {line_number}: split is {text!r}",
            "train, val or test, or nothing in the whole column",
            "correct the cell.",
        )
    return split
