"""The lines of a table of clips, whatever its separator and the names of its columns.

Commas, semicolons, tabs, ``|`` and spaces separate cells. A table without a line of column names is
understood where one of its two columns names existing files.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from filmstrip.errors import DatasetError

_SYNONYMS = {
    "path": (
        *("path", "filepath", "file_path", "video_path", "videopath", "clip_path", "filename"),
        *("file_name", "file", "video_file", "video_name", "videoname", "video", "clip_name"),
        *("clip", "name", "video_id", "videoid", "clip_id", "youtube_id", "id"),
    ),
    "label": (
        *("label", "class", "class_name", "classname", "label_name", "category", "target"),
        *("action", "activity", "labels"),
    ),
    "group": ("group", "recording"),
    "split": ("split", "subset", "partition"),
}
"""The names of a column, in the order in which they are preferred."""

_TIMES = (
    frozenset({"start", "start_time", "start_seconds", "start_sec", "start_s", "start_timestamp"})
    | {"time_start", "t_start", "begin", "start_frame", "frame_start", "onset", "event_start"}
    | {"end", "end_time", "end_seconds", "end_sec", "end_s", "end_timestamp", "time_end", "t_end"}
    | {"stop", "stop_time", "stop_timestamp", "end_frame", "stop_frame", "frame_end", "offset"}
    | {"event_end", "eventstart", "eventend"}
)

_FOREIGN = (
    ({"deploymentid", "mediaid", "observationid"}, "observations of Camtrap DP, whose media have "
     "their files in media.csv",
     "join it with media.csv by mediaID, and write the columns path and label"),
    ({"subject", "scene", "script", "actions"}, "annotations of Charades, which give each video "
     "several actions with times",
     "cut the actions out, one clip each, and write a table with path,label of the clips"),
    ({"narration_id", "video_id", "verb", "noun"}, "annotations of EPIC-KITCHENS, which are "
     "segments of long recordings",
     "cut the segments out, one clip each, and write a table with path,label of the clips"),
    ({"observation_id"}, "a table of BORIS, which lists events inside recordings",
     "cut the events out, one clip each, and write a table with path,label of the clips"),
    ({"background"}, "labels of single frames, as DeepEthogram writes them",
     "cut stretches of one behaviour out, one clip each, and write a table with path,label"),
)  # fmt: skip
"""Columns that give a known kind of table away, what it is, and what to do with it."""

_SEPARATORS = "\t;,|"
_COLUMNS = (
    "columns named path and label (or file, filename, video_path …, class, category …) and, if "
    "wished, group and split; or two columns without names, a path and a label"
)
_NUM_TRIED = 20


@dataclass(frozen=True, slots=True)
class TableText:
    """The lines of a table.

    Attributes:
        lines: each line's number and its cells by ``path``, ``label``, ``group`` and ``split``, as
            far as the table has them, stripped; times under the names of their columns.
        times: the names of the columns that hold times.
        columns: what each cell was taken from, such as ``{"path": "video_path"}``; empty where the
            table names no columns.
    """

    lines: list[tuple[int, dict[str, str]]]
    times: tuple[str, ...]
    columns: dict[str, str]


def read_table_text(
    path: Path, needs_labels: bool, is_file: Callable[[dict[str, str]], bool]
) -> TableText:
    """Read the lines of a table.

    Args:
        path: a text file in UTF-8, or in UTF-16 with its mark.
        needs_labels: whether it must have a column of labels.
        is_file: whether the cells of a line name a file that is there.

    Raises:
        DatasetError: it is no table, or its columns are not known.
    """
    text = _read_text(path)
    header = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(_SEPARATORS, key=lambda mark: (len(_known(_cells(header, mark))), mark == ","))
    if "path" not in _known(_cells(header, separator)):
        spaced = _known(header.split())
        separator = " " if {"path", "label"} <= spaced.keys() else separator
    names = [_plain(cell) for cell in _cells(header, separator)]
    if "path" in _known(names):
        return _with_names(path, text, separator, names, needs_labels, is_file)
    for separator in (*_SEPARATORS, " "):
        lines = _without_names(path, text, separator, needs_labels, is_file)
        if lines:
            return TableText(lines, (), {})
    raise _unknown(path, header, names, needs_labels)


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
        is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path}: is not UTF-8 text (byte {error.start})",
            "a table in UTF-8",
            "save it again as 'CSV UTF-8'.",
        ) from error
    except OSError as error:
        raise DatasetError(
            f"{path}: cannot be read ({error.strerror})",
            "a table that this user may read",
            "change its permissions, or copy it again.",
        ) from error


def _with_names(
    path: Path,
    text: str,
    separator: str,
    names: Sequence[str],
    needs_labels: bool,
    is_file: Callable[[dict[str, str]], bool],
) -> TableText:
    rows = _rows(path, text, separator)
    if separator == " ":
        rows = _joined(rows, len(names), _known(names)["path"])
    times = tuple(name for name in names if name in _TIMES)
    places = _known(names)
    lines = [
        (number, [value.strip() for value in values] + [""] * len(names))
        for number, values in rows[1:]
        if any(value.strip() for value in values)
    ]

    def cells(values: list[str]) -> dict[str, str]:
        kept = {column: values[place] for column, place in places.items()}
        return kept | {name: values[names.index(name)] for name in times}

    # Several columns may be paths, such as a folder and a file: the one that names files is meant.
    candidates = [names.index(name) for name in _SYNONYMS["path"] if name in names]
    num_found = dict.fromkeys(candidates, 0)
    for place in candidates:
        places["path"] = place
        num_found[place] = sum(is_file(cells(values)) for _, values in lines[:_NUM_TRIED])
    places["path"] = max(candidates, key=lambda place: num_found[place])
    read = [(number, cells(values)) for number, values in lines]
    if needs_labels and "label" not in places:
        raise _unknown(path, text.partition("\n")[0], names, needs_labels)
    columns = {column: names[place] for column, place in places.items()}
    return TableText(read, times, columns)


def _joined(
    rows: list[tuple[int, list[str]]], num_columns: int, path_place: int
) -> list[tuple[int, list[str]]]:
    """Rows in which a path that holds the separator is one cell again."""
    joined = []
    for number, values in rows:
        if (more := len(values) - num_columns) > 0:
            last = path_place + more + 1
            values = [*values[:path_place], " ".join(values[path_place:last]), *values[last:]]
        joined.append((number, values))
    return joined


def _without_names(
    path: Path,
    text: str,
    separator: str,
    needs_labels: bool,
    is_file: Callable[[dict[str, str]], bool],
) -> list[tuple[int, dict[str, str]]]:
    """The lines of a table without column names; none where no column names files."""
    if separator == " ":
        filled = [
            (number, line.strip())
            for number, line in enumerate(text.splitlines(), start=1)
            if line.strip()
        ]
        # Looking for files takes long in a text that is no table.
        tried = [_at_a_space(line, is_file) for _, line in filled[:_NUM_TRIED]]
        if needs_labels and not any(is_file({"path": values[0]}) for values in tried):
            return []
        rows = [(number, _at_a_space(line, is_file)) for number, line in filled]
        _check_one_label(path, rows)
    else:
        rows = [
            (number, [value.strip() for value in values])
            for number, values in _rows(path, text, separator)
            if any(value.strip() for value in values)
        ]
    widths = {len(values) for _, values in rows}
    if widths == {1} and not needs_labels:
        orders: tuple[tuple[str, ...], ...] = (("path",),)
    elif widths == {2}:
        orders = (("path", "label"), ("label", "path"))
    else:
        return []
    for order in orders:
        lines = [(number, dict(zip(order, values, strict=True))) for number, values in rows]
        if any(is_file(cells) for _, cells in lines[:_NUM_TRIED]):
            return lines
    return []


def _at_a_space(line: str, is_file: Callable[[dict[str, str]], bool]) -> list[str]:
    """A path and a label, both of which may hold spaces: the longest path that is a file."""
    words = line.split(" ")
    for place in range(len(words) - 1, 0, -1):
        path, label = " ".join(words[:place]).strip(), " ".join(words[place:]).strip()
        if path and label and is_file({"path": path, "label": label}):
            return [path, label]
    return line.rsplit(maxsplit=1)


def _check_one_label(path: Path, rows: Sequence[tuple[int, list[str]]]) -> None:
    """Refuse several numbers after a path: a number of frames and a label, or several labels."""
    for number, values in rows:
        words = values[1].split() if len(values) == 2 else []
        if len(words) > 1 and all(word.isdecimal() for word in words):
            raise DatasetError(
                f"{path}, line {number}: {len(words)} numbers after {values[0]}",
                "a path and one label in each line",
                "write the columns path and label only, or name the columns in the first line.",
            )


def _rows(path: Path, text: str, separator: str) -> list[tuple[int, list[str]]]:
    spaced = separator == " "
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=spaced)
    try:
        rows = [(reader.line_num, values) for values in reader if any(map(str.strip, values))]
    except csv.Error as error:
        raise DatasetError(
            f"{path}: is no CSV ({error})", _COLUMNS, "save the table again as 'CSV UTF-8'."
        ) from error
    return [(number, list(filter(None, values))) for number, values in rows] if spaced else rows


def _cells(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=separator == " "), [])
    except csv.Error:
        return [line]


def _known(names: Sequence[str]) -> dict[str, int]:
    """The place of each column that is known, by what it is."""
    plain = [_plain(name) for name in names]
    found = {}
    for column, synonyms in _SYNONYMS.items():
        for name in synonyms:
            if name in plain:
                found[column] = plain.index(name)
                break
    return found


def _plain(name: str) -> str:
    return re.sub(r"\W+", "_", name.lower()).strip("_")


def _unknown(path: Path, header: str, names: Sequence[str], needs_labels: bool) -> DatasetError:
    for columns, kind, remedy in _FOREIGN:
        if columns <= set(names):
            return DatasetError(f"{path}: is a table of {kind}", _COLUMNS, f"{remedy}.")
    if re.fullmatch(r"[^,]+,[\d.]+(,[01]?\.\d+){4},\d+(,\d+)?", header.strip()):
        return DatasetError(
            f"{path}: is a table of AVA, which gives boxes and actions at single seconds",
            _COLUMNS,
            "cut a clip around each second out, and write a table with path,label of the clips.",
        )
    wanted = ("path", "label") if needs_labels else ("path",)
    missing = [name for name in wanted if name not in _known(names)]
    given = f"no column {' and no column '.join(missing)} (first line: {header[:80]!r})"
    if "path" in missing and header:
        given += ", and no line that begins with the name of a file that is there"
    return DatasetError(
        f"{path}: {given}",
        _COLUMNS,
        "add a line of column names, or rename the columns; paths are relative to the table.",
    )
