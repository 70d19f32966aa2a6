"""What happens beside the training steps: progress, history, checkpoints, an early end.

All of it is saved in the checkpoint or follows from it, so that a resumed training cannot be told
from one that was never cut short.
"""

from __future__ import annotations

import io
import math
import signal
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint, EarlyStopping
from lightning.pytorch.plugins.io import TorchCheckpointIO

from filmstrip.storage import replacing, write_table
from filmstrip.training.reporter import Advance

HISTORY_COLUMNS = (
    "epoch",
    "train_loss",
    "val_loss",
    "train_accuracy",
    "val_accuracy",
    "learning_rate",
)


class EpochReporter(Callback):
    """Tells a reporter's phase of each epoch that ends."""

    def __init__(self, advance: Advance) -> None:
        self.advance = advance
        self.num_told = 0

    def on_train_epoch_end(self, trainer: pl.Trainer, _module: pl.LightningModule) -> None:
        """Say how the validation part fares; epochs that a checkpoint brought count too."""
        figures = trainer.callback_metrics
        part, name = ("validation", "val") if "val_accuracy" in figures else ("training", "train")
        words = f"{part} accuracy {figures[f'{name}_accuracy']:.2f}"
        while self.num_told <= trainer.current_epoch:
            self.advance(words)
            self.num_told += 1


class HistoryWriter(Callback):
    """Keeps ``history.csv`` in step with the last checkpoint: a row for each whole epoch."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        self.learning_rate = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, _module: pl.LightningModule) -> None:
        """Note the epoch's learning rate: at its end the schedule has moved on."""
        self.learning_rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_epoch_end(self, trainer: pl.Trainer, _module: pl.LightningModule) -> None:
        """Add the epoch's row and write the file anew."""
        figures = trainer.callback_metrics
        row: dict[str, Any] = {"epoch": trainer.current_epoch + 1}
        for name in HISTORY_COLUMNS[1:-1]:
            row[name] = round(float(figures[name]), 6) if name in figures else ""
        row["learning_rate"] = self.learning_rate
        self.rows.append(row)
        write_table(self.path, HISTORY_COLUMNS, self.rows)

    def state_dict(self) -> dict[str, Any]:
        """Saved in the checkpoint, so that a resumed run's history has no gap."""
        return {"rows": self.rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Taken up from the checkpoint."""
        self.rows = state["rows"]


class Checkpoints(Checkpoint):
    """Writes ``best.ckpt``, weights alone, after the best epoch so far, ``last.ckpt`` after each.

    With nothing to monitor, each epoch counts as better than the one before.

    Lightning's own ``ModelCheckpoint`` writes no last checkpoint after an epoch that is not the
    best, and forgets the best figure when the folder has moved.
    """

    def __init__(self, folder: Path, monitor: str | None) -> None:
        self.best, self.last = folder / "best.ckpt", folder / "last.ckpt"
        self.monitor = monitor
        self.lowest = math.inf

    def remove(self) -> None:
        """Remove both, so that none of an earlier attempt is taken for one of this training.

        Raises:
            OSError: the folder cannot be written.
        """
        self.best.unlink(missing_ok=True)
        self.last.unlink(missing_ok=True)

    def on_train_epoch_end(self, trainer: pl.Trainer, _module: pl.LightningModule) -> None:
        """Write them; of epochs with equal figures the first is the best."""
        figure = -float(trainer.current_epoch)
        if self.monitor is not None:
            figure = float(trainer.callback_metrics[self.monitor])
            figure = figure if self.monitor == "val_loss" else -figure
        if figure < self.lowest or not self.best.is_file():
            self.lowest = figure
            trainer.save_checkpoint(self.best, weights_only=True)
        trainer.save_checkpoint(self.last)

    def state_dict(self) -> dict[str, Any]:
        """Saved in the checkpoint, so that a resumed run knows what it has to beat."""
        return {"lowest": self.lowest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Taken up from the checkpoint."""
        self.lowest = state["lowest"]


class Interruption(Callback):
    """Ends the training by Ctrl-C, but between two batches.

    Amid one it could break into the hand-over to TensorBoard's thread, which then waits for ever.
    """

    def __init__(self) -> None:
        self.asked = False

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal; a second one ends whatever is being done at once."""
        if self.asked:
            signal.default_int_handler(number, frame)
        self.asked = True

    def obey(self) -> None:
        """Raise ``KeyboardInterrupt`` if it was asked for."""
        if self.asked:
            raise KeyboardInterrupt

    def on_train_batch_end(self, *_args: Any) -> None:
        """Obey here,"""
        self.obey()

    def on_validation_batch_end(self, *_args: Any) -> None:
        """and here."""
        self.obey()


class WholeFiles(TorchCheckpointIO):
    """Checkpoints that appear whole or not at all.

    Lightning moves its own out of the system's temporary folder, which often is another disk: the
    move is then a copy, and a kill or a full disk in its midst leaves half a checkpoint.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write ``checkpoint`` to the file ``path``."""
        del storage_options
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with replacing(Path(path)) as temporary:
            temporary.write_bytes(content.getbuffer())


class ResumableEarlyStopping(EarlyStopping):
    """Early stopping that a resumed training remembers: what had stopped learns no further."""

    def on_train_start(self, trainer: pl.Trainer, _module: pl.LightningModule) -> None:
        """Stop at once where the checkpoint says that patience had run out."""
        trainer.should_stop = self.wait_count >= self.patience
