"""How long a training took, from its first epoch to its last, however often it was cut short."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from filmstrip.errors import RunError
from filmstrip.storage import parse_json, replacing

CLOCK_FILE = "training_time.json"


class Clock(Callback):
    """Keeps ``training_time.json`` in step with the last checkpoint.

    Whole epochs count, validation included. What was begun and cut off is done again and counts
    once; the time between does not count.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds = 0.0
        self._told = 0.0

    def on_train_start(self, _trainer: pl.Trainer, _module: pl.LightningModule) -> None:
        """Start, or go on."""
        self._told = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, _module: pl.LightningModule) -> None:
        """Add the epoch and write the file anew."""
        now = time.monotonic()
        self.seconds, self._told = self.seconds + now - self._told, now
        content = {"num_epochs": trainer.current_epoch + 1, "seconds": round(self.seconds, 3)}
        with replacing(self.path) as temporary:
            temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")

    def state_dict(self) -> dict[str, Any]:
        """Saved in the checkpoint, so that a resumed training knows what it has taken already."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Taken up from the checkpoint."""
        self.seconds = state["seconds"]


def training_seconds(run: Path) -> float:
    """What all trainings below a run folder took together: folds, pretraining, the final model.

    Raises:
        RunError: a file of these is damaged.
    """
    return float(sum(_seconds(file) for file in run.rglob(CLOCK_FILE)))


def _seconds(file: Path) -> float:
    try:
        return float(parse_json(file.read_text(encoding="utf-8"))["seconds"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{file}: cannot be read or is damaged",
            "the seconds that a training took, as Filmstrip wrote them",
            "copy the run folder again, or train into another --out.",
        ) from error
