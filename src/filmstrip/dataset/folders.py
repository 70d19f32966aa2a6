"""Clips from folders: a folder for each class, alone or inside train, val and test.

A video's class is the top folder that holds it, however deep it lies below.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from filmstrip.dataset.rows import Listing, SkippedFile, VideoRow, not_a_video, split_name
from filmstrip.dataset.walk import walk
from filmstrip.errors import DatasetError
from filmstrip.video.formats import VIDEO_SUFFIXES, is_video

_CLASS_FOLDERS = "a folder for each class with its videos inside, such as kick/clip1.mp4"


class NoVideosError(DatasetError):
    """A folder with no video in it or below it."""


def read_folder(root: Path, needs_labels: bool = True) -> Listing:
    """List the videos below ``root`` by class folder, with the splits of train/val/test folders.

    Args:
        root: the folder.
        needs_labels: leave out, and note, what lies in no class folder. Else such a video has an
            empty label.

    Raises:
        NoVideosError: there is no video.
        DatasetError: where labels are needed, no class folder.
    """
    found_below = walk(root)
    loose, found, skipped = found_below.loose, found_below.below, found_below.skipped
    if not any(map(is_video, found_below.files)):
        suffixes = " ".join(sorted(VIDEO_SUFFIXES))
        raise NoVideosError(
            f"{root}: no video in it or below it{_suffixes_found(found_below.files)}",
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
        rows += [row for row, _ in unlabelled if is_video(row.path)]
        others = [row.path for row, _ in unlabelled if not is_video(row.path)]
        return Listing(rows, skipped + [_not_usable(path, "") for path in others])
    if not rows:
        raise DatasetError(
            f"{root}: holds videos but no class folders",
            _CLASS_FOLDERS,
            "move the videos into a folder for each class, or list them in a CSV file with the "
            "columns path,label and give that.",
        )
    return Listing(rows, skipped + [_not_usable(row.path, reason) for row, reason in unlabelled])


def _split_folders(found: dict[Path, list[Path]]) -> dict[Path, str]:
    """The folders that are splits: train and at least one of val and test, else none.

    A lone folder named "train" is a class, as it is for someone who sorts cars from trains.
    """
    with_videos = [folder for folder, paths in found.items() if any(map(is_video, paths))]
    splits = {folder: split for folder in with_videos if (split := split_name(folder.name))}
    return splits if "train" in splits.values() and len(set(splits.values())) > 1 else {}


def _not_usable(path: Path, reason: str) -> SkippedFile:
    if not is_video(path):
        return not_a_video(path)
    reason = f"{reason}; move it into the folder of its class"
    return SkippedFile(path, reason, kind="in no class folder")


def _suffixes_found(paths: Iterable[Path]) -> str:
    counts = Counter(path.suffix.lower() or "no suffix" for path in paths)
    common = ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(3))
    return f" (found {common})" if common else ""
