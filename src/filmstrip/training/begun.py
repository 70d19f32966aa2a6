"""What a run was begun with: its clips, their contents and splits, which must not change.

A run that goes on with other clips trains on clips that it was to be tested on, or the other way
round. Clips are therefore stored when a run begins and compared before anything is trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from filmstrip.dataset.clip_table import (
    Clip,
    changed_clips,
    clips_of,
    counted_clips,
    first_of,
    read_clips,
    write_clips,
)
from filmstrip.dataset.doctor.fingerprints import Fingerprint
from filmstrip.dataset.fingerprint_file import write_fingerprints
from filmstrip.dataset.index import SkippedFile, VideoIndex
from filmstrip.dataset.split_file import read_sides, write_splits
from filmstrip.errors import FilmstripError, RunError
from filmstrip.storage import parse_json
from filmstrip.training.reporter import Reporter
from filmstrip.training.run_folder import RunFolder, TrainingRequest

_EXPECTED = "the clips, labels, groups, --splits and --quarantine files that the run was begun with"
_REMEDY = (
    "restore them, or train into another --out. Features are cached, so unchanged clips are not "
    "decoded again."
)
_OLD_RUN = (
    "This run was begun by an older version of Filmstrip, which did not store the contents of its "
    "clips. Names, labels and splits are compared; clips that were edited since are not noticed."
)


def check_clips(folder: RunFolder, clips: Mapping[str, Clip], reporter: Reporter) -> None:
    """Check that ``clips`` are those that the run was begun with.

    Raises:
        RunError: some were added, removed, renamed, edited, relabelled or grouped differently.
    """
    if changes := changes_since(folder, clips):
        raise RunError(
            f"{folder.path}: the data has changed since the run was begun: {'; '.join(changes)}",
            _EXPECTED,
            _REMEDY,
        )
    if has_splits(folder) and not folder.clips_file.is_file():
        reporter.note(_OLD_RUN)


def changes_since(folder: RunFolder, clips: Mapping[str, Clip]) -> list[str]:
    """Describe how ``clips`` differ from those that the run was begun with."""
    if folder.clips_file.is_file():
        return changed_clips(read_clips(folder.clips_file), clips)
    if not has_splits(folder):
        return []
    before = {name: Clip(side.label) for name, side in read_sides(_first_splits(folder)).items()}
    left_out = folder.names_left_out()
    there = {name: one for name, one in clips.items() if name in before or name not in left_out}
    return changed_clips(before, there)


def check_backbone(folder: RunFolder, fingerprint: str) -> None:
    """Check that the backbone has the weights that the run was begun with, and store which.

    Args:
        folder: a run that has started.
        fingerprint: of the backbone's structure and weights.

    Raises:
        RunError: it has others, because the weights file or what was downloaded has changed.
    """
    stored = parse_json(folder.request_file.read_text(encoding="utf-8"))
    if "backbone" not in stored and not has_splits(folder):
        folder.write_json(folder.request_file, {**stored, "backbone": fingerprint})
    elif stored.get("backbone", fingerprint) != fingerprint:
        raise RunError(
            f"{folder.path}: the backbone's weights have changed since the run was begun",
            "the weights that the run was begun with",
            "restore the weights file, or train into another --out.",
        )


def keep_clips(
    folder: RunFolder, clips: Mapping[str, Clip], fingerprints: Mapping[str, Fingerprint]
) -> None:
    """Store what the run is begun with; a run that has begun keeps what it has.

    Args:
        folder: the run's.
        clips: by name.
        fingerprints: by content, of the clips that were compared by what they show.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    if folder.clips_file.is_file() or has_splits(folder):
        return
    write_fingerprints(folder.fingerprints_file, fingerprints)
    write_clips(folder.clips_file, clips)  # the last: where it is, the run knows its clips


def keep_splits(folder: RunFolder, index: VideoIndex) -> None:
    """Write ``splits.csv``, or check that the one that is there says the same.

    Raises:
        RunError: a clip is on another side, in another group, or not in the run.
    """
    if not folder.splits_file.is_file():
        write_splits(index, folder.splits_file)
        return
    before = read_sides(folder.splits_file)
    moved = []
    for name, row, group in zip(index.names, index.rows, index.groups, strict=True):
        old = before.pop(name, None)
        if old is None:
            moved.append(f"{name} was not in the run")
        elif old.split != row.split:
            moved.append(f"{name} was in {old.split} and is in {row.split} now")
        elif old.group != group:
            moved.append(f"{name} was in group {old.group!r} and is in {group!r} now")
    moved += [f"{name} is not in the data now" for name in before]
    if moved:
        raise RunError(
            f"{folder.splits_file}: the split has changed since the run was begun, "
            f"{counted_clips(moved)} of {len(index)}: {first_of(moved)}",
            _EXPECTED + ", and the same version of Filmstrip",
            _REMEDY,
        )


def has_splits(folder: RunFolder) -> bool:
    """Whether the run has decided which clip is on which side."""
    return any(part.splits_file.is_file() for part in (folder, *folder.folds))


def check_readable(folder: RunFolder, index: VideoIndex, unreadable: Iterable[SkippedFile]) -> None:
    """Check that every clip of a run that has begun can still be read.

    Raises:
        RunError: one cannot.
    """
    reasons = {file.path: file.reason for file in unreadable}
    pairs = zip(index.names, index.rows, strict=True)
    lost = {name: reasons[row.path] for name, row in pairs if row.path in reasons}
    if lost:
        name, reason = next(iter(lost.items()))
        raise RunError(
            f"{folder.path}: {counted_clips(lost)} of the run cannot be read now: "
            f"{first_of(lost)}. {name}: {' '.join(reason.split())}",
            "clips that can be read as when the run was begun",
            _REMEDY,
        )


def note_changes(folder: RunFolder, request: TrainingRequest, reporter: Reporter) -> None:
    """Warn where the data of a finished run has changed, which its metrics do not show."""
    try:
        changes = changes_since(folder, clips_of(request.wanted_index()))
    except FilmstripError as error:
        reporter.note(
            "This run is finished. Its clips could not be compared with the data as it is now: "
            f"{error.given}."
        )
        return
    if changes:
        reporter.note(
            f"WARNING: the data has changed since this run was trained: {'; '.join(changes)}. Its "
            "metrics are those of the clips as they were. To use the data as it is now, train into "
            "another --out."
        )


def check_same_clips(runs: Sequence[RunFolder], what: str, has_same_splits: bool = True) -> None:
    """Check that finished runs had the same clips, on the same sides.

    Args:
        runs: with folds, each run's folds are compared one by one.
        what: what the runs belong to, such as "search".
        has_same_splits: whether the sides must be the same, too.

    Raises:
        RunError: one had others than the first.
    """
    first = runs[0]
    for run in runs[1:]:
        changes: list[str] = []
        if run.clips_file.is_file() and first.clips_file.is_file():
            changes = changed_clips(read_clips(first.clips_file), read_clips(run.clips_file))
        if has_same_splits:
            parts = zip(first.folds or [first], run.folds or [run], strict=True)
            for one, other in parts:
                changes += _moved(one.splits_file, other.splits_file)
        if changes:
            raise RunError(
                f"{run.path}: its clips or splits are not those of {first.path}: "
                f"{'; '.join(changes)}",
                f"the same clips on the same sides in every run of a {what}",
                f"begin the {what} in another --out. Features are cached, so unchanged clips are "
                "not decoded again. If some settings cannot read a clip, leave it out of the data.",
            )


def _moved(before: Path, now: Path) -> list[str]:
    sides, others = read_sides(before), read_sides(now)
    names = sorted(
        name for name in sides.keys() | others.keys() if sides.get(name) != others.get(name)
    )
    return [f"{counted_clips(names)} on another side ({first_of(names)})"] if names else []


def _first_splits(folder: RunFolder) -> Path:
    parts = (folder, *folder.folds)
    return next(part.splits_file for part in parts if part.splits_file.is_file())
