"""Clips from folders: a folder for each class, alone or inside folders of splits or groups.

Below its class folder a video may be at any depth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from filmstrip.dataset.layout import BESIDE_SPLITS, ClassFolders, Layout, read_layout
from filmstrip.dataset.rows import Listing, SkippedFile, VideoRow, not_a_video
from filmstrip.dataset.walk import walk
from filmstrip.errors import DatasetError
from filmstrip.video.formats import VIDEO_SUFFIXES, is_video

_CLASS_FOLDERS = "a folder for each class with its videos inside, such as kick/clip1.mp4"

# A folder that holds nothing else is no class whose videos are missing.
_COMPANIONS = (
    ".aac .bmp .boris .cfg .csv .db .doc .docx .eaf .flac .h5 .hdf5 .heic .htm .html .ini .ipynb "
    ".jpeg .jpg .json .jsonl .log .m .m4a .mat .md .mp3 .npy .npz .parquet .pdf .pickle .pkl "
    ".png .pt .pth .py .safetensors .sh .srt .svg .tif .tiff .toml .tsv .txt .vtt .wav .webp .xls "
    ".xlsx .xml .yaml .yml"
)
_COMPANION_SUFFIXES = frozenset(_COMPANIONS.split())


class NoVideosError(DatasetError):
    """A folder with no video in it or below it."""


def read_folder(
    root: Path, needs_labels: bool = True, class_folders: ClassFolders = "auto"
) -> Listing:
    """List the videos below ``root``, with the classes, splits and groups that its folders name.

    Args:
        root: the folder.
        needs_labels: leave out, and note, what lies in no class folder. Else such a video has an
            empty label.
        class_folders: which folders are the classes; see ``read_layout``.

    Raises:
        NoVideosError: there is no video.
        DatasetError: it is not clear which folders are the classes, or, where labels are needed,
            there is no class folder.
    """
    found_below = walk(root)
    files, skipped = list(found_below.files), found_below.skipped
    if not any(map(is_video, files)):
        suffixes = " ".join(sorted(VIDEO_SUFFIXES))
        raise NoVideosError(
            f"{root}: no video in it or below it{_suffixes_found(files)}",
            f"{_CLASS_FOLDERS if needs_labels else 'videos in it or below it'} ({suffixes})",
            f"give the folder that holds the {'class folders' if needs_labels else 'videos'}.",
        )
    layout = read_layout(
        (_above(path, root) for path in files if is_video(path)), root, class_folders
    )
    rows: list[VideoRow] = []
    faults: list[tuple[VideoRow, str]] = []
    for path in files:
        place = layout.place(_above(path, root))
        row = VideoRow(path, place.label, place.group, place.split)
        if place.fault or not is_video(path):
            faults.append((row, place.fault))
        else:
            rows.append(row)
    grouping = _grouping(rows, root)
    reading = layout.sentence(_above(row.path, root) for row in rows) if rows else ""
    if not needs_labels:
        rows += [row for row, _ in faults if is_video(row.path)]
        others = [_not_usable(row, "") for row, _ in faults if not is_video(row.path)]
        return Listing(rows, skipped + others, grouping=grouping, reading=reading)
    if not rows:
        raise DatasetError(
            f"{root}: holds videos but no class folders",
            _CLASS_FOLDERS,
            f"{_hint_at_parent(root)}move the videos into a folder for each class, or list them "
            "in a CSV file with the columns path,label and give that.",
        )
    skipped = [replace(file, label=layout.label(_parts(file.path, root))) for file in skipped]
    skipped += [_not_usable(row, fault) for row, fault in faults]
    skipped += _empty_classes(layout, found_below.folders, files, root)
    unread = Counter(
        _above(row.path, root)[0]
        for row, fault in faults
        if fault.startswith(BESIDE_SPLITS) and is_video(row.path)
    )
    if unread:
        listed = ", ".join(f"{name} ({count} videos)" for name, count in sorted(unread.items()))
        reading += f"; not used: {listed}"
    return Listing(rows, skipped, grouping=grouping, reading=reading)


def _above(path: Path, root: Path) -> tuple[str, ...]:
    """The names of the folders between ``root`` and a file, from the top."""
    return _parts(path, root)[:-1]


def _parts(path: Path, root: Path) -> tuple[str, ...]:
    return path.relative_to(root).parts


def _grouping(rows: list[VideoRow], root: Path) -> str:
    row = next((row for row in rows if row.group), None)
    return f"by the folders above the classes ({row.name(root)} is of {row.group})" if row else ""


def _empty_classes(
    layout: Layout, folders: list[Path], files: list[Path], root: Path
) -> Iterator[SkippedFile]:
    """The class folders without any file."""
    filled = {parent for path in files for parent in path.parents}
    for folder in folders:
        label = layout.label(_parts(folder, root))
        if folder not in filled and label and len(_parts(folder, root)) == layout.class_depth + 1:
            reason = "the folder is empty; add clips, or remove it"
            yield SkippedFile(folder, reason, label, kind="empty")


def _not_usable(row: VideoRow, fault: str) -> SkippedFile:
    path = row.path
    if not is_video(path):
        label = "" if path.suffix.lower() in _COMPANION_SUFFIXES else row.label
        return replace(not_a_video(path), label=label)
    reason = f"{fault}; move it into the folder of its class"
    return SkippedFile(path, reason, row.label, kind="in no class folder")


def _hint_at_parent(root: Path) -> str:
    """What to give if ``root`` is one class folder of several."""
    try:
        others = [
            path.name
            for path in sorted(root.parent.iterdir())
            if path != root
            and path.is_dir()
            and not path.name.startswith(".")
            and any(map(is_video, path.iterdir()))
        ]
    except OSError:
        return ""
    if not others:
        return ""
    return f"give {root.parent} if {root.name} is one class and {others[0]} another; or "


def _suffixes_found(paths: Iterable[Path]) -> str:
    counts = Counter(path.suffix.lower() or "no suffix" for path in paths)
    common = ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(3))
    return f" (found {common})" if common else ""
