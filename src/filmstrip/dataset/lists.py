"""Clips from the official lists of UCF101 and HMDB51.

UCF101 (https://www.crcv.ucf.edu/data/UCF101.php): classInd.txt, and for each of three numbers
trainlist0N.txt (``Class/v_Class_g08_c01.avi 1``) and testlist0N.txt (the same without the number).
HMDB51 (https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database/): for each
class and number ``<class>_test_splitN.txt`` with lines ``name.avi 1``, where 1 is train, 2 is test
and 0 is neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from filmstrip.dataset.finder import FileFinder
from filmstrip.dataset.rows import MISSING, Listing, SkippedFile, VideoRow, composed, same_name
from filmstrip.errors import DatasetError
from filmstrip.video.formats import is_video


class _Clip(NamedTuple):
    """A line of a list: the video's name below the data's folder, its class and its split."""

    name: str
    label: str
    split: str


def read_official_lists(root: Path, lists: Path, number: int) -> Listing:
    """List the clips below ``root`` that the lists in the folder ``lists`` name.

    Names match whatever their case and Unicode form: UCF101's lists spell HandstandPushups what its
    folder spells HandStandPushups. A class of which nothing is found, or that only the data or only
    classInd.txt knows, is among the skipped.

    Args:
        root: the folder of class folders (UCF-101, or HMDB51's folder).
        lists: the folder of the list files.
        number: which of the official splits, from 1.

    Raises:
        DatasetError: the lists are not of a known kind, have no such number or cannot be read, or
            none of their videos is there.
    """
    if not lists.is_dir():
        raise DatasetError(
            f"{lists}: no such folder",
            "the folder of UCF101's or HMDB51's official lists",
            "unpack the lists and give their folder as --lists.",
        )
    files = sorted(path.name for path in lists.iterdir())
    if any(re.fullmatch(r"trainlist\d+\.txt", name) for name in files):
        class_names, listed, unused = _read_ucf101(lists, number, files)
    elif any(re.fullmatch(r".+_test_split\d+\.txt", name) for name in files):
        class_names, listed, unused = _read_hmdb51(lists, number, files)
    else:
        raise DatasetError(
            f"{lists}: holds no official lists that are known",
            "trainlist01.txt, testlist01.txt and classInd.txt of UCF101, "
            "or <class>_test_split1.txt of HMDB51",
            "give the folder that holds these files, or write a CSV with path,label,group,split.",
        )
    finder = FileFinder(root)
    rows: list[VideoRow] = []
    skipped: list[SkippedFile] = []
    for name, label, split in listed:
        if path := finder.find(name):
            rows.append(VideoRow(path, label, split=split))
        else:
            reason = f"{lists} names it, but it is not there"
            skipped.append(SkippedFile(root / name, reason, label, kind=MISSING))
    if not rows:
        raise DatasetError(
            f"{root}: none of the {len(listed)} videos that {lists} names is there"
            + (f" (first: {listed[0].name})" if listed else ""),
            "the folder that holds the class folders of the lists",
            "give that folder; the lists and the videos must be of the same data set.",
        )
    if unused:
        reason = f"{len(unused)} clips are marked as neither train nor test in list {number}"
        skipped.append(SkippedFile(lists, reason, kind="neither train nor test"))
    used = {clip.label for clip in listed}
    reason = f"list {number} has no clip of it in train or test"
    skipped += [
        SkippedFile(lists, reason, name, kind="classes without clips in the lists")
        for name in class_names
        if name not in used
    ]
    skipped += _unlisted_classes(root, lists, class_names)
    return Listing(rows, skipped, class_names, reading=_respelled(rows, root))


def _unlisted_classes(
    root: Path, lists: Path, class_names: tuple[str, ...]
) -> Iterator[SkippedFile]:
    """The class folders that no list names."""
    known = {same_name(name) for name in class_names}
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        if same_name(folder.name) not in known and any(map(is_video, folder.iterdir())):
            reason = f"{lists} names no clip in it"
            yield SkippedFile(folder, reason, folder.name, kind="not in the lists")


def _respelled(rows: list[VideoRow], root: Path) -> str:
    """A sentence on the classes whose folders are spelled in another way than in the lists."""
    folders = {row.label: composed(row.path.relative_to(root).parts[0]) for row in rows}
    differing = [f"{label} is in {folder}" for label, folder in folders.items() if label != folder]
    more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
    listed = f"{', '.join(differing[:5])}{more}"
    return f"The lists spell classes in another way than the folders: {listed}" if differing else ""


def _read_ucf101(
    lists: Path, number: int, files: list[str]
) -> tuple[tuple[str, ...], list[_Clip], list[str]]:
    class_names = tuple(
        composed(line.split(maxsplit=1)[1]) for line in _lines(lists / "classInd.txt", 2)
    )
    spelling = {same_name(name): name for name in class_names}
    _check_number(lists, number, r"trainlist0*(\d+)\.txt", files)
    listed = []
    for split in ("train", "test"):
        path = lists / f"{split}list{number:02}.txt"
        for line in _lines(path, 1):
            name = re.sub(r"\s+\d+$", "", line)
            label = name.partition("/")[0]
            if same_name(label) not in spelling:
                raise DatasetError(
                    f"{path}: the class {label!r} of {name!r} is not in classInd.txt",
                    "lists and classInd.txt of one data set",
                    "unpack the official lists again, all of them into one folder.",
                )
            listed.append(_Clip(name, spelling[same_name(label)], split))
    return class_names, listed, []


def _read_hmdb51(
    lists: Path, number: int, files: list[str]
) -> tuple[tuple[str, ...], list[_Clip], list[str]]:
    _check_number(lists, number, r".+_test_split(\d+)\.txt", files)
    suffix = f"_test_split{number}.txt"
    listed: list[_Clip] = []
    unused: list[str] = []
    names = [name.removesuffix(suffix) for name in files if name.endswith(suffix)]
    for label in names:
        path = lists / f"{label}{suffix}"
        for line in _lines(path, 2):
            name, mark = line.rsplit(maxsplit=1)
            if mark not in ("0", "1", "2"):
                raise DatasetError(
                    f"{path}: the line {line!r} ends in {mark!r}",
                    "1 for train, 2 for test or 0 for neither",
                    "unpack the official lists again.",
                )
            if mark == "0":
                unused.append(name)
            else:
                split = "train" if mark == "1" else "test"
                listed.append(_Clip(f"{label}/{name}", composed(label), split))
    return tuple(map(composed, names)), listed, unused


def _lines(path: Path, num_words: int) -> list[str]:
    """The lines that are not blank, each of at least ``num_words`` words."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"{path}: cannot be read ({error})",
            "a list file in plain text",
            "unpack the official lists again, all of them into one folder.",
        ) from error
    for line in lines:
        if line and len(line.split()) < num_words:
            raise DatasetError(
                f"{path}: the line {line!r} has fewer than {num_words} words",
                "lines of the official lists",
                "unpack the official lists again.",
            )
    return [line for line in lines if line]


def _check_number(lists: Path, number: int, pattern: str, files: list[str]) -> None:
    numbers = {int(match[1]) for name in files if (match := re.fullmatch(pattern, name))}
    if number not in numbers:
        known = ", ".join(map(str, sorted(numbers)))
        raise DatasetError(
            f"list number {number} of {lists}",
            f"one of the numbers that are there: {known}",
            f"give --list-number {min(numbers)}, or add the missing list.",
        )
