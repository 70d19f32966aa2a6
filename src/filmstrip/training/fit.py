"""Fitting: a learner and its batches to the weights of the best epoch, resumable after a kill."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from filmstrip.errors import RunError
from filmstrip.recipes.recipe import TrainingSpec
from filmstrip.storage import writing
from filmstrip.training.callbacks import (
    Checkpoints,
    EpochReporter,
    HistoryWriter,
    Interruption,
    ResumableEarlyStopping,
    WholeFiles,
)
from filmstrip.training.checkpoint import checkpoint_fault
from filmstrip.training.clock import CLOCK_FILE, Clock
from filmstrip.training.learner import Learner
from filmstrip.training.reporter import Advance


def fit(
    learner: Learner,
    training_batches: DataLoader[Any],
    validation_batches: DataLoader[Any] | None,
    training: TrainingSpec,
    folder: Path,
    resume: bool,
    advance: Advance,
    note: Callable[[str], None] = lambda _sentence: None,
) -> None:
    """Train, and leave the weights of the best epoch in ``learner.network``.

    Args:
        learner: what learns.
        training_batches: the training part.
        validation_batches: the validation part, which decides on the best epoch; None to take the
            last.
        training: how.
        folder: gets ``checkpoints/best.ckpt`` and ``last.ckpt``, ``history.csv``,
            ``training_time.json``, ``logs/``.
        resume: go on from ``last.ckpt`` where there is one. If a checkpoint is damaged, the
            training starts again from its first epoch, which gives the same weights.
        advance: called after each epoch.
        note: hears that a checkpoint is damaged.

    Raises:
        KeyboardInterrupt: Ctrl-C; the last whole epoch is kept, ``resume`` goes on from it.
        StorageError: the disk is full; likewise.
    """
    checkpoints = Checkpoints(
        folder / "checkpoints", training.monitor if validation_batches else None
    )
    interruption = Interruption()
    watchers: list[Callback] = [
        checkpoints,
        interruption,
        HistoryWriter(folder / "history.csv"),
        Clock(folder / CLOCK_FILE),
        EpochReporter(advance),
    ]
    if training.early_stopping:
        mode = "min" if training.monitor == "val_loss" else "max"
        watchers.append(
            ResumableEarlyStopping(training.monitor, patience=training.early_stopping, mode=mode)
        )
    with quiet(), writing(folder), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        trainer = pl.Trainer(
            max_epochs=training.epochs,
            precision=_precision(training.precision),
            gradient_clip_val=training.gradient_clip or None,
            callbacks=watchers,
            plugins=[WholeFiles()],
            logger=TensorBoardLogger(folder, name=None, version="logs"),
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            devices=1,
        )
        goes_on = resume and _can_go_on(checkpoints, learner, note)
        if not goes_on:
            checkpoints.remove()
        with _interruptible(interruption):
            trainer.fit(
                learner,
                training_batches,
                validation_batches,
                ckpt_path=checkpoints.last if goes_on else None,
                weights_only=True,
            )
    _load(learner, checkpoints.best)


def _can_go_on(checkpoints: Checkpoints, learner: Learner, note: Callable[[str], None]) -> bool:
    """Whether there is a last checkpoint, and it and that of the best epoch are sound."""
    if not checkpoints.last.is_file():
        return False
    for path, kind in ((checkpoints.last, "last"), (checkpoints.best, "best")):
        fault = checkpoint_fault(path, learner.state_dict(), is_whole=kind == "last")
        if fault is not None:
            note(
                f"WARNING: {path} {fault}. This training starts again from its first epoch and "
                "ends with the same weights as without the interruption."
            )
            return False
    return True


def _load(learner: Learner, checkpoint: Path) -> None:
    fault = checkpoint_fault(checkpoint, learner.state_dict())
    if fault is not None:
        raise RunError(
            f"{checkpoint}: {fault}, though the training has ended",
            "the checkpoint of the best epoch",
            "run the same command with --resume: the training starts again from its first epoch.",
        )
    learner.load_state_dict(
        torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    )
    if not all(bool(parameter.isfinite().all()) for parameter in learner.parameters()):
        raise RunError(
            f"{checkpoint.parent.parent}: the training diverged, its weights are not finite",
            "a loss that falls",
            "train into another folder with a lower training.learning_rate, or with "
            "training.gradient_clip=1.",
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
def _interruptible(interruption: Interruption) -> Iterator[None]:
    """Let ``interruption`` hear of Ctrl-C, raise ``KeyboardInterrupt``, give the signal back."""
    hears = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    if hears:
        signal.signal(signal.SIGINT, interruption.ask)
    try:
        yield
    except SystemExit as error:  # Lightning's way to end after Ctrl-C
        raise KeyboardInterrupt from error
    finally:
        if hears:
            signal.signal(signal.SIGINT, handler)
    interruption.obey()
