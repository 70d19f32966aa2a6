"""A list of files to leave out, with the reason for each: the doctor writes it, training reads it.

A CSV with the columns path and reason; paths are relative to the data set's folder, or absolute.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from filmstrip.dataset.doctor.findings import Finding
from filmstrip.dataset.index import SkippedFile, VideoIndex
from filmstrip.errors import DatasetError
from filmstrip.storage import write_table

QUARANTINED = "quarantined: "
"""What the reason of a clip that a list names begins with, among the skipped."""

_COLUMNS = ("path", "reason")


def to_set_aside(findings: Iterable[Finding]) -> dict[Path, str]:
    """The files that training is better off without, each with its first reason."""
    reasons: dict[Path, str] = {}
    for finding in findings:
        for path in finding.set_aside:
            reasons.setdefault(path, f"{finding.cause}; {finding.remedy}")
    return reasons


def write_quarantine(file: Path, reasons: dict[Path, str], root: Path) -> None:
    """Write the list, whole or not at all.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    rows = (
        {
            "path": path.relative_to(root) if path.is_relative_to(root) else path,
            "reason": " ".join(reason.split()),
        }
        for path, reason in sorted(reasons.items())
    )
    write_table(file, _COLUMNS, rows)


def leave_out(index: VideoIndex, file: Path) -> VideoIndex:
    """The clips but those that the list names, which stand among the skipped with the reason.

    Raises:
        DatasetError: the list cannot be read, names no clip of the index though it names files, or
            leaves fewer than two classes.
    """
    reasons = {index.root / row["path"]: row["reason"] for row in _read(file)}
    here = [row.path for row in index.rows if row.path in reasons]
    if reasons and not here:
        raise DatasetError(
            f"{file}: none of its {len(reasons)} files is a clip of {index.root}",
            "a list that 'filmstrip doctor --quarantine' wrote for the same data",
            "check the path; or run the doctor again if the clips were moved.",
        )
    skipped = [SkippedFile(path, QUARANTINED + reasons[path], kind="quarantined") for path in here]
    return index.leaving_out(skipped, f"are named by {file}")


def _read(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, csv.Error) as error:
        raise DatasetError(
            f"--quarantine {file}: cannot be read ({getattr(error, 'strerror', error)})",
            "a list that 'filmstrip doctor --quarantine' wrote",
            "check the path.",
        ) from error
    if any(row.get(column) is None for row in rows for column in _COLUMNS):
        raise DatasetError(
            f"--quarantine {file}: has no columns {' and '.join(_COLUMNS)} in every line",
            "a CSV with the columns path and reason",
            "write it again with 'filmstrip doctor --quarantine'.",
        )
    return rows
