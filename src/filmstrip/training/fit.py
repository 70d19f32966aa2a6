"""Fitting: a learner and its batches to the weights of the best epoch, resumable after a kill."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from filmstrip.errors import RunError
from filmstrip.recipes.recipe import TrainingSpec
from filmstrip.storage import write_table, writing
from filmstrip.training.learner import Learner
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
        words = f"validation accuracy {figures['val_accuracy']:.2f}"
        while self.num_told <= trainer.current_epoch:
            self.advance(words)
            self.num_told += 1


class HistoryWriter(Callback):
    """Keeps ``history.csv`` in step with the last checkpoint: a row for each whole epoch."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, _module: pl.LightningModule) -> None:
        """Add the epoch's row and write the file anew."""
        figures = trainer.callback_metrics
        row: dict[str, Any] = {"epoch": trainer.current_epoch + 1}
        for name in HISTORY_COLUMNS[1:-1]:
            row[name] = round(float(figures[name]), 6) if name in figures else ""
        row["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        self.rows.append(row)
        write_table(self.path, HISTORY_COLUMNS, self.rows)

    def state_dict(self) -> dict[str, Any]:
        """Saved in the checkpoint, so that a resumed run's history has no gap."""
        return {"rows": self.rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Taken up from the checkpoint."""
        self.rows = state["rows"]


def fit(
    learner: Learner,
    training_batches: DataLoader[Any],
    validation_batches: DataLoader[Any],
    training: TrainingSpec,
    folder: Path,
    resume: bool,
    advance: Advance,
) -> None:
    """Train, and leave the weights of the best epoch in ``learner.network``.

    Args:
        learner: what learns.
        training_batches: the training part.
        validation_batches: the validation part, which decides on the best epoch.
        training: how.
        folder: gets ``checkpoints/best.ckpt`` and ``last.ckpt``, ``history.csv``, ``logs/``.
        resume: go on from ``last.ckpt`` where there is one.
        advance: called after each epoch.

    Raises:
        KeyboardInterrupt: Ctrl-C; the last whole epoch is kept, ``resume`` goes on from it.
        StorageError: the disk is full; likewise.
    """
    checkpoints = folder / "checkpoints"
    last = checkpoints / "last.ckpt"
    best = ModelCheckpoint(
        dirpath=checkpoints,
        filename="best",
        monitor=training.monitor,
        mode="min" if training.monitor == "val_loss" else "max",
        save_last=True,
        enable_version_counter=False,
    )
    watchers: list[Callback] = [
        best,
        HistoryWriter(folder / "history.csv"),
        EpochReporter(advance),
    ]
    if training.early_stopping:
        watchers.append(
            EarlyStopping(training.monitor, patience=training.early_stopping, mode=best.mode)
        )
    with quiet(), writing(folder), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        trainer = pl.Trainer(
            max_epochs=training.epochs,
            precision=_precision(training.precision),
            gradient_clip_val=training.gradient_clip or None,
            callbacks=watchers,
            logger=TensorBoardLogger(folder, name=None, version="logs"),
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            devices=1,
        )
        checkpoint = str(last) if resume and last.is_file() else None
        with _interruptible():
            trainer.fit(
                learner,
                training_batches,
                validation_batches,
                ckpt_path=checkpoint,
                weights_only=True,
            )
    _load(learner, checkpoints / "best.ckpt")


def _load(learner: Learner, checkpoint: Path) -> None:
    if not checkpoint.is_file():
        raise RunError(
            f"{checkpoint}: is gone, though the training has ended",
            "the checkpoint of the best epoch",
            "train again into another folder.",
        )
    learner.load_state_dict(
        torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    )
    learner.cpu().eval()


def _precision(name: str) -> Any:
    """Lightning's name; ``auto`` is bf16 where a GPU computes in it."""
    if name == "auto":
        has_bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        name = "bf16" if has_bf16 else "32"
    return {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}[name]


@contextmanager
def quiet() -> Iterator[None]:
    """Lightning's notes on devices and loaders are not for the user of a recipe."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turn Lightning's exit after Ctrl-C into ``KeyboardInterrupt``, and give the signal back."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        raise KeyboardInterrupt from error
    finally:
        signal.signal(signal.SIGINT, handler)
