"""The run folder: what a training leaves behind, and how to find it again.

RUN/
  model/            the classifier: answers on another machine by itself
  metrics.json      the figures
  history.csv       loss and accuracy of each epoch
  training_time.json  how long these took
  clips.csv         the clips that the run was begun with, with a hash of each one's bytes
  fingerprints.npz  small pictures of them, by which copies are recognised
  splits.csv        which clip was on which side
  predictions.csv   the answer to each clip
  skipped.csv       what was left out, and why
  leaks.csv         clips that belong together on two sides, where that was allowed
  plots/            the figures as pictures
  report.html       all of it on one page; written by the commands, at the end
  logs/             for TensorBoard
  checkpoints/      best.ckpt and last.ckpt; --resume goes on from the last
  recipe.yaml       the recipe with all overrides, and the sampling that was chosen for the clips
  run.json          the request and the versions that reproduce it
  folds/1, 2, …     a run folder for each fold, with --folds
"""

from __future__ import annotations

import csv
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from filmstrip.dataset.index import SkippedFile, VideoIndex
from filmstrip.errors import RunError
from filmstrip.recipes.catalogue import to_yaml
from filmstrip.storage import parse_json, replacing, write_table
from filmstrip.text import to_json
from filmstrip.training.request import TrainingRequest
from filmstrip.video.sampling import Sampling

__all__ = ["RunFolder", "TrainingRequest"]

_REPORTED_PACKAGES = ("filmstrip", "torch", "torchvision", "timm", "lightning", "av", "numpy")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of a run."""

    path: Path

    @property
    def model(self) -> Path:
        """The model folder."""
        return self.path / "model"

    @property
    def metrics_file(self) -> Path:
        """The figures; it is written last, so it is there exactly when the run is finished."""
        return self.path / "metrics.json"

    @property
    def request_file(self) -> Path:
        """The request; it is written first."""
        return self.path / "run.json"

    @property
    def history_file(self) -> Path:
        """Loss and accuracy of each epoch."""
        return self.path / "history.csv"

    @property
    def splits_file(self) -> Path:
        """Which clip was on which side."""
        return self.path / "splits.csv"

    @property
    def clips_file(self) -> Path:
        """The clips that the run was begun with; a run of an older version has no such file."""
        return self.path / "clips.csv"

    @property
    def fingerprints_file(self) -> Path:
        """Small pictures of these clips, by which copies are recognised."""
        return self.path / "fingerprints.npz"

    @property
    def predictions_file(self) -> Path:
        """The answer to each clip."""
        return self.path / "predictions.csv"

    @property
    def skipped_file(self) -> Path:
        """What was left out, and why."""
        return self.path / "skipped.csv"

    @property
    def leaks_file(self) -> Path:
        """The pairs of clips that belong together and stand on two sides."""
        return self.path / "leaks.csv"

    @property
    def refused_leaks_file(self) -> Path:
        """The same where they are why there is no run."""
        return self.path.with_name(f"{self.path.name}-leaks.csv")

    @property
    def plots(self) -> Path:
        """The figures as pictures."""
        return self.path / "plots"

    @property
    def folds(self) -> list[RunFolder]:
        """The run folders of the folds, in order; none for a single split."""
        found = (self.path / "folds").glob("[0-9]*")
        return [RunFolder(path) for path in sorted(found, key=lambda path: int(path.name))]

    def fold(self, number: int) -> RunFolder:
        """The run folder of one fold, counted from 1."""
        return RunFolder(self.path / "folds" / str(number))

    def metrics(self) -> dict[str, Any] | None:
        """The figures of a finished run, else None.

        Raises:
            RunError: they are damaged.
        """
        if not self.metrics_file.is_file():
            return None
        try:
            metrics = parse_json(self.metrics_file.read_text(encoding="utf-8"))
        except ValueError:
            metrics = None
        if not isinstance(metrics, dict):
            raise RunError(
                f"{self.metrics_file}: is damaged, no JSON object",
                "the figures as 'filmstrip train' wrote them",
                "copy the run folder again; or delete this file and finish the run anew with "
                "'filmstrip train' and --resume.",
            )
        return metrics

    def leaks(self) -> dict[str, Any]:
        """What the figures of a finished run say of leaks; nothing where there are no figures."""
        leaks: dict[str, Any] = (self.metrics() or {}).get("leaks", {})
        return leaks

    def request(self) -> TrainingRequest:
        """What the run was asked to do.

        Raises:
            RunError: this is no run folder, or one of another version of Filmstrip.
        """
        try:
            stored = parse_json(self.request_file.read_text(encoding="utf-8"))
            return TrainingRequest.model_validate(stored["request"])
        except ValidationError as error:
            first = error.errors()[0]
            raise RunError(
                f"{self.request_file}: is not understood ({'.'.join(map(str, first['loc']))}: "
                f"{first['msg']}); another version of Filmstrip wrote it, or a hand",
                "a run that this version of Filmstrip began",
                "use the version that the file names; the model folder alone can be asked to "
                "predict, and to evaluate labelled data that is given.",
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{self.path}: is not a run folder (no readable {self.request_file.name})",
                "the --out folder of a 'filmstrip train'",
                "check the path; a model folder alone can be asked to predict, given labelled "
                "data to evaluate, but it does not know its own split.",
            ) from error

    def sampling(self) -> Sampling | None:
        """The sampling that the run was begun with; None for a new run, or one of an older version.

        Raises:
            RunError: it is damaged.
        """
        if not self.request_file.is_file():
            return None
        try:
            stored = parse_json(self.request_file.read_text(encoding="utf-8")).get("sampling")
            return None if stored is None else TypeAdapter(Sampling).validate_python(stored)
        except (OSError, ValueError, AttributeError) as error:
            raise RunError(
                f"{self.request_file}: its sampling cannot be read ({type(error).__name__})",
                "the file as 'filmstrip train' wrote it",
                "copy the run folder again, or give another --out.",
            ) from error

    def check(self, request: TrainingRequest, resume: bool) -> None:
        """See that the folder is free for ``request``.

        Raises:
            RunError: it holds something else, another run, or an unfinished one without ``resume``;
                or its name is no text, which TensorBoard's writer needs.
        """
        if str(self.path.absolute()) != os.fsencode(self.path.absolute()).decode(errors="replace"):
            raise RunError(
                f"{self.path}: the name of the run folder, or of one above it, is no text in UTF-8",
                "a folder whose whole path is text",
                "give another --out.",
            )
        if self.request_file.is_file():
            self._check_resumable(request, resume)
            return
        # Hidden files are the lock, and what a desktop or a killed process left.
        strangers = [path.name for path in self.path.iterdir() if not path.name.startswith(".")]
        if strangers:
            raise RunError(
                f"{self.path}: holds {strangers[0]!r} and is no run folder",
                "a new or empty folder for the run",
                "give another --out.",
            )

    def start(self, request: TrainingRequest, sampling: Sampling | None = None) -> None:
        """Write down what the run is asked to do; a resumed run has done so.

        Args:
            request: the request.
            sampling: the recipe's, fitted to the clips; a resumed run uses it again.
        """
        if self.request_file.is_file():
            return
        versions = {name: version(name) for name in _REPORTED_PACKAGES}
        versions["python"] = platform.python_version()
        stored = {"request": request.model_dump(mode="json"), "versions": versions}
        recipe = request.recipe
        if sampling is not None:
            stored["sampling"] = sampling.model_dump(mode="json")
            recipe = recipe.model_copy(update={"sampling": sampling})
        self.write_json(self.request_file, stored)
        with replacing(self.path / "recipe.yaml") as temporary:
            temporary.write_text(to_yaml(recipe), encoding="utf-8")

    def _check_resumable(self, request: TrainingRequest, resume: bool) -> None:
        finished = self.metrics_file.is_file()
        if not resume:
            raise RunError(
                f"{self.path}: holds {'a finished' if finished else 'an unfinished'} run already",
                "a new or empty folder for the run",
                "give another --out, or delete the folder"
                + ("." if finished else ", or go on with --resume."),
            )
        if changed := self.request().changes(request):
            raise RunError(
                f"{self.path}: --resume with another {', '.join(changed)} than the run began with",
                "the same command as before, with --resume added",
                f"see {self.request_file}, or give another --out for the new settings.",
            )

    def write_json(self, path: Path, content: Any) -> None:
        """Write ``content`` as JSON, whole or not at all."""
        with replacing(path) as temporary:
            temporary.write_text(to_json(content, indent=2) + "\n", encoding="utf-8")

    def write_skipped(self, root: Path, skipped: Iterable[SkippedFile]) -> None:
        """Write the list of what was left out."""
        rows = (
            {"path": _shortest(file.path, root), "reason": " ".join(file.reason.split())}
            for file in skipped
        )
        write_table(self.skipped_file, ("path", "reason"), rows)

    def without_skipped(self, index: VideoIndex) -> VideoIndex:
        """The clips of ``index`` that the run did not leave out.

        Raises:
            RunError: the run has not come so far as to know.
        """
        return index.without(index.root / name for name in self.names_left_out())

    def names_left_out(self) -> list[str]:
        """Return the paths in ``skipped.csv``, as they are written there.

        Raises:
            RunError: the run has not come so far as to know.
        """
        try:
            with self.skipped_file.open(
                encoding="utf-8", errors="surrogateescape", newline=""
            ) as file:
                return [row["path"] for row in csv.DictReader(file)]
        except (OSError, KeyError, csv.Error) as error:
            raise RunError(
                f"{self.path}: is an unfinished run (no readable {self.skipped_file.name})",
                "a finished run",
                "finish it with 'filmstrip train' and --resume.",
            ) from error


def _shortest(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
