"""A folder of features for other tools: entries of the store as plain files.

FOLDER/
  features.json     the settings that made the features
  kick/a.mp4.npy    one file for each clip, where its video lies below the root of the videos (with
                    several views kick/a.mp4.plain.npy, kick/a.mp4.flip.npy); or features.parquet
  index.csv         a line for each clip and view, with the file that holds its features (T, D):
                    T is num_frames, D is num_features; written last
  failed.csv        what could not be read, and why

A video's suffix stays in the name, so that a.mp4 and a.avi do not meet in one file. A name too long
for the disk is shortened; index.csv says which file belongs to which video.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from filmstrip.dataset.index import VideoIndex
from filmstrip.dataset.rows import SkippedFile, VideoRow
from filmstrip.errors import RunError
from filmstrip.features.entry import ClipFacts
from filmstrip.features.extraction import Extraction
from filmstrip.features.plain_files import (
    ClipFeatures,
    FileFormat,
    writing_features,
)
from filmstrip.features.store import FeatureStore
from filmstrip.model.specs import BackboneSpec, Spec
from filmstrip.storage import parse_json, replacing, write_table
from filmstrip.video.sampling import Sampling, sample_times
from filmstrip.video.spool import file_name
from filmstrip.video.transforms import Framing, View

_INDEX_COLUMNS = (
    *("path", "label", "group", "split", "view", "file", "num_frames", "num_features"),
    *("width", "height", "duration_seconds", "missing", "key"),
)


class ExportSettings(Spec):
    """What the features of one folder have in common.

    Attributes:
        root: the folder that the videos' names are relative to.
        file_format: ``npy``, ``safetensors`` or ``parquet``.
        sampling: which frames of a video are seen.
        framing: how a frame becomes a square picture.
        backbone: what sees each frame.
        weights_origin: where its weights came from, in words.
        views: how each clip is shown to the backbone.
        num_features: D, the numbers that each frame becomes.
    """

    root: Path
    file_format: FileFormat
    sampling: Sampling
    framing: Framing
    backbone: BackboneSpec
    weights_origin: str
    views: tuple[View, ...]
    num_features: int


SETTINGS_NAME = "features.json"


def stored_sampling(folder: Path) -> Sampling | None:
    """The sampling that a folder of features began with; None where there is no such folder."""
    try:
        text = (folder / SETTINGS_NAME).read_text(encoding="utf-8")
        return ExportSettings.model_validate_json(text).sampling
    except (OSError, ValueError):  # ``start`` says what is wrong with the folder
        return None


class FeatureFolder:
    """A folder of exported features; while it is used it should be ``storage.locked``.

    Args:
        path: the folder.
        settings: what its features have in common.
    """

    def __init__(self, path: Path, settings: ExportSettings) -> None:
        self.path = path
        self.settings = settings

    @property
    def settings_file(self) -> Path:
        """The settings; it is written first."""
        return self.path / SETTINGS_NAME

    @property
    def index_file(self) -> Path:
        """Which clip is in which file; it is written last."""
        return self.path / "index.csv"

    @property
    def failed_file(self) -> Path:
        """What could not be read, and why."""
        return self.path / "failed.csv"

    def start(self) -> None:
        """Take the folder for features of these settings, before any is computed.

        Raises:
            RunError: it holds something else, or features of other settings.
            StorageError: the disk is full or cannot be written.
        """
        if self.settings_file.is_file():
            self._check_same_settings()
            return
        # Hidden files are the lock, and what a desktop or a killed process left.
        strangers = [path.name for path in self.path.iterdir() if not path.name.startswith(".")]
        if strangers:
            raise RunError(
                f"{self.path}: holds {strangers[0]!r} and is no folder of features",
                "a new or empty folder, or one that 'filmstrip extract' made",
                "give another --out.",
            )
        with replacing(self.settings_file) as temporary:
            stored = self.settings.model_dump(mode="json")
            temporary.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")

    def write(
        self,
        index: VideoIndex,
        extraction: Extraction,
        store: FeatureStore,
        on_clip: Callable[[str], None] = lambda _words: None,
    ) -> int:
        """Write each clip of ``index`` that ``extraction`` has, and the two lists.

        Files of an earlier call are replaced. ``numpy.load`` and the like then give features
        (T, D) float32: a row for each sampled frame, D as ``settings.num_features`` says.

        Args:
            index: the clips, below ``settings.root``.
            extraction: where each lies in the store, with ``settings.views``.
            store: holds them.
            on_clip: hears after each.

        Returns:
            The number of files of an earlier call that the new ``index.csv`` does not name.

        Raises:
            StorageError: the disk is full or cannot be written; no file is half-written.
        """
        earlier = self._listed_files()
        losses = (file for file in index.skipped if file.is_loss)
        skipped = (*losses, *extraction.skipped)
        failures = (failure(file, index.root) for file in skipped)
        write_table(
            self.failed_file,
            ("path", "reason"),
            ({"path": path, "reason": " ".join(reason.split())} for path, reason in failures),
        )
        settings = self.settings
        lines = []
        with writing_features(settings.file_format, self.path, settings.num_features) as write:
            for row in (row for row in index.rows if row in extraction):
                extracted = extraction[row]
                for view, key in zip(settings.views, extracted.keys, strict=True):
                    clip = self._clip(row, view, store.read(key), extracted.facts)
                    lines.append(_line(clip, write(clip), key, extracted.facts))
                on_clip("")
        write_table(self.index_file, _INDEX_COLUMNS, lines)
        left_over = earlier - {str(line["file"]) for line in lines}
        return sum((self.path / file).is_file() for file in left_over)

    def _clip(self, row: VideoRow, view: View, features: Tensor, facts: ClipFacts) -> ClipFeatures:
        name = row.name(self.settings.root)
        file = file_name(row.source) if row.source else name
        return ClipFeatures(
            path=name,
            label=row.label,
            group=row.group,
            split=row.split,
            view=view,
            file=file if len(self.settings.views) == 1 else f"{file}.{view}",
            features=features.float().numpy(),
            times_seconds=_times_seconds(self.settings.sampling, facts, len(features)),
        )

    def _check_same_settings(self) -> None:
        try:
            stored = parse_json(self.settings_file.read_text(encoding="utf-8"))
            earlier = ExportSettings.model_validate(stored)
        except (OSError, ValueError) as error:
            raise RunError(
                f"{self.settings_file}: cannot be read as the settings of features",
                "a folder that this version of 'filmstrip extract' made",
                "give another --out, or delete the folder; what was computed stays in the cache.",
            ) from error
        changed = [
            name
            for name in ExportSettings.model_fields
            if getattr(earlier, name) != getattr(self.settings, name)
        ]
        if changed:
            raise RunError(
                f"{self.path}: holds features of another {', '.join(changed)}",
                f"the settings that the folder began with; they are in {self.settings_file.name}",
                "give another --out, or delete the folder; what was computed stays in the cache.",
            )

    def _listed_files(self) -> set[str]:
        """The files that the index of an earlier call names."""
        if not self.index_file.is_file():
            return set()
        with self.index_file.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            return {line["file"] for line in csv.DictReader(file)}


def failure(file: SkippedFile, root: Path) -> tuple[str, str]:
    """The path of a file that was left out, below ``root`` where it lies there, and the reason."""
    if file.source:
        return file.source, file.reason.removeprefix(f"{file.source}: ")
    path = file.path.relative_to(root) if file.path.is_relative_to(root) else file.path
    return str(path), file.reason.removeprefix(f"{file.path}: ")


def _times_seconds(sampling: Sampling, facts: ClipFacts, num_sampled: int) -> NDArray[np.float64]:
    """When the clip was looked at (T,); NaN for packed clips, and for those taken frame by frame.

    The latter are clips of fewer frames than a uniform sampling asks for.
    """
    if not math.isnan(facts.duration_seconds):
        times_seconds = sample_times(sampling, facts.duration_seconds)
        if len(times_seconds) == num_sampled:
            return times_seconds
    return np.full(num_sampled, np.nan)


def _line(clip: ClipFeatures, file: str, key: str, facts: ClipFacts) -> dict[str, object]:
    """A line of ``index.csv``."""
    num_frames, num_features = clip.features.shape
    return {
        "path": clip.path,
        "label": clip.label,
        "group": clip.group,
        "split": clip.split,
        "view": clip.view,
        "file": file,
        "num_frames": num_frames,
        "num_features": num_features,
        "width": facts.width,
        "height": facts.height,
        "duration_seconds": facts.duration_seconds,
        "missing": facts.missing or "",
        "key": key,
    }
