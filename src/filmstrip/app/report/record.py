"""What a finished run says of itself, read back from its folder."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filmstrip.dataset.packed import PACKED_SUFFIXES
from filmstrip.dataset.rows import VideoRow
from filmstrip.dataset.table import TABLE_SUFFIXES
from filmstrip.errors import FilmstripError, RunError
from filmstrip.storage import parse_json
from filmstrip.training.run_folder import RunFolder, TrainingRequest

Rows = list[dict[str, str]]

_NEEDED = {"baselines", "calibration", "folds"}


@dataclass(frozen=True)
class Record:
    """A finished run.

    Attributes:
        folder: where it is.
        request: what it was asked.
        metrics: the content of ``metrics.json``.
        versions: of the packages that it ran with.
        splits: the rows of ``splits.csv``; with folds, those of the model to use.
        fold_splits: the rows of each fold's own; empty without folds.
        predictions: the rows of ``predictions.csv``.
        skipped: the rows of ``skipped.csv``.
    """

    folder: RunFolder
    request: TrainingRequest
    metrics: dict[str, Any]
    versions: dict[str, str]
    splits: Rows
    fold_splits: list[Rows]
    predictions: Rows
    skipped: Rows

    @property
    def split(self) -> str:
        """The part that the figures are about: ``test``, or ``val`` where there is no test part."""
        return "test" if "test" in self.metrics else "val"

    @property
    def class_names(self) -> list[str]:
        """The classes, in the model's order."""
        return [figures["name"] for figures in self.metrics[self.split]["per_class"]]

    @property
    def grouping(self) -> str:
        """A sentence on how the clips were grouped; empty where the data is no longer there."""
        if "grouping" in self.metrics:
            return str(self.metrics["grouping"]["told"])
        try:
            return self.request.open_index().grouping
        except FilmstripError:
            return ""

    def row(self, name: str) -> VideoRow:
        """The clip that the tables of the run call ``name``."""
        data = self.request.data
        if data.suffix.lower() in PACKED_SUFFIXES:
            return VideoRow(data, "", packed_index=int(name.rpartition("#")[2]))
        # By its suffix, since the table itself may be gone.
        is_table = data.suffix.lower() in TABLE_SUFFIXES and not data.is_dir()
        return VideoRow((data.parent if is_table else data) / name, "")


def read_record(run: Path) -> Record:
    """Read what the run in the folder ``run`` has left behind.

    Raises:
        RunError: it is no run folder, is not finished, or lacks one of its tables.
    """
    folder = RunFolder(run)
    request = folder.request()
    metrics = folder.metrics()
    if metrics is None or not {"test", "val"} & metrics.keys():
        raise _unfinished(folder, folder.metrics_file)
    if lacking := sorted(_NEEDED - metrics.keys()):
        raise RunError(
            f"{folder.metrics_file}: has no {lacking[0]!r}; another version of Filmstrip wrote it",
            "the figures of a run that this version trained",
            "write the page with that version, which run.json names, or train again.",
        )
    stored = parse_json(folder.request_file.read_text(encoding="utf-8"))
    folds = folder.folds if metrics["folds"] else []
    return Record(
        folder,
        request,
        metrics,
        stored.get("versions", {}),
        _read(folder, folder.splits_file, "path", "split"),
        [_read(folder, fold.splits_file, "path", "split") for fold in folds],
        _read(folder, folder.predictions_file, "path", "split", "label", "predicted"),
        _read(folder, folder.skipped_file, "path", "reason"),
    )


def _read(folder: RunFolder, path: Path, *columns: str) -> Rows:
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file)
            found, rows = reader.fieldnames or (), list(reader)
    except (OSError, csv.Error) as error:
        raise _unfinished(folder, path) from error
    if not set(columns) <= set(found):
        raise _unfinished(folder, path)
    return rows


def _unfinished(folder: RunFolder, path: Path) -> RunError:
    return RunError(
        f"{folder.path}: is not a finished run (no readable {path.name})",
        "the --out folder of a finished 'filmstrip train'",
        "check the path, or finish the run with 'filmstrip train' and --resume.",
    )
