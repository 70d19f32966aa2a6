"""Clips from folders: a folder for each class, alone or inside train, val and test.

A video's class is the top folder that holds it, however deep it lies below; links to folders are
followed, and each folder is read once for a class, so that a loop of links ends.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from filmstrip.dataset.rows import Listing, SkippedFile, VideoRow, split_name
from filmstrip.errors import DatasetError

VIDEO_SUFFIXES = frozenset(
    {
        ".3gp",
        ".avi",
        ".flv",
        ".gif",
        ".m4v",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mts",
        ".ogv",
        ".ts",
        ".webm",
        ".wmv",
    }
)
_CLASS_FOLDERS = "a folder for each class with its videos inside, such as kick/clip1.mp4"


def read_folder(root: Path, needs_labels: bool = True) -> Listing:
    """List the videos below ``root`` by class folder, with the splits of train/val/test folders.

    Args:
        root: the folder.
        needs_labels: leave out, and note, what lies in no class folder. Else such a video has an
            empty label, and files that are no videos are not worth a note.

    Raises:
        DatasetError: there is no video, or, where labels are needed, no class folder.
    """
    skipped: list[SkippedFile] = []
    loose: list[Path] = []
    found: dict[Path, list[Path]] = {}
    for path in _entries(root):
        if path.is_dir():
            found[path] = list(_files_below(path, skipped))
        else:
            loose.append(path)
    if not any(is_video(path) for path in _all(loose, found)):
        suffixes = " ".join(sorted(VIDEO_SUFFIXES))
        raise DatasetError(
            f"{root}: no video in it or below it{_suffixes_found(_all(loose, found))}",
            f"{_CLASS_FOLDERS if needs_labels else 'videos in it or below it'} ({suffixes})",
            f"give the folder that holds the {'class folders' if needs_labels else 'videos'}.",
        )
    splits = _split_folders(found)
    rows: list[VideoRow] = []
    unlabelled = [
        (VideoRow(path, ""), "it lies beside the class folders, so it has no label")
        for path in loose
    ]
    for folder, paths in found.items():
        split = splits.get(folder, "")
        for path in paths:
            inside = path.relative_to(folder).parts
            if splits and not split:
                reason = "its folder stands beside train, val and test"
                unlabelled.append((VideoRow(path, ""), reason))
            elif not is_video(path) or (split and len(inside) == 1):
                reason = f"it lies in {folder.name} without a class folder"
                unlabelled.append((VideoRow(path, "", split=split), reason))
            else:
                rows.append(VideoRow(path, inside[0] if split else folder.name, split=split))
    if not needs_labels:
        return Listing(rows + [row for row, _ in unlabelled if is_video(row.path)], skipped)
    if not rows:
        raise DatasetError(
            f"{root}: holds videos but no class folders",
            _CLASS_FOLDERS,
            "move the videos into a folder for each class, or list them in a CSV file with the "
            "columns path,label and give that.",
        )
    return Listing(rows, skipped + [_not_usable(row.path, reason) for row, reason in unlabelled])


def is_video(path: Path) -> bool:
    """Whether the suffix is one of a video file."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def _entries(root: Path) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DatasetError(
            f"{root}: cannot be listed ({error.strerror})",
            "a folder that this user may read",
            "change its permissions or give another folder.",
        ) from error


def _files_below(folder: Path, skipped: list[SkippedFile]) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        reason = f"the folder cannot be listed ({error.strerror}); change its permissions"
        skipped.append(SkippedFile(Path(error.filename), reason))

    seen: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=unreadable):
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(files) if not name.startswith("."))


def _split_folders(found: dict[Path, list[Path]]) -> dict[Path, str]:
    """The folders that are splits: train and at least one of val and test, else none.

    A lone folder named "train" is a class, as it is for someone who sorts cars from trains.
    """
    with_videos = [folder for folder, paths in found.items() if any(map(is_video, paths))]
    splits = {folder: split for folder in with_videos if (split := split_name(folder.name))}
    return splits if "train" in splits.values() and len(set(splits.values())) > 1 else {}


def _not_usable(path: Path, reason: str) -> SkippedFile:
    if not is_video(path):
        return SkippedFile(path, f"{path.suffix or 'no suffix'} is not a video's suffix")
    return SkippedFile(path, f"{reason}; move it into the folder of its class")


def _all(loose: list[Path], found: dict[Path, list[Path]]) -> Iterator[Path]:
    yield from loose
    for paths in found.values():
        yield from paths


def _suffixes_found(paths: Iterable[Path]) -> str:
    counts = Counter(path.suffix.lower() or "no suffix" for path in paths)
    common = ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(3))
    return f" (found {common})" if common else ""
