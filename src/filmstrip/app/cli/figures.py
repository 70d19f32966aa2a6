"""Figures as tables for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from filmstrip.app.cli.console import output


def print_figures(metrics: Mapping[str, Any]) -> None:
    """The figures of a run: each part, the folds' spread, and the baselines."""
    table = _table()
    for split in ("train", "val", "test"):
        if split in metrics:
            _add_part(table, split, metrics[split])
    output.print(table)
    if metrics["folds"]:
        accuracy = metrics["summary"]["accuracy"]
        output.print(
            f"Test accuracy over {len(metrics['folds'])} folds: mean {accuracy['mean']:.3f}, "
            f"standard deviation {accuracy['standard_deviation']:.3f}, from "
            f"{accuracy['min']:.3f} to {accuracy['max']:.3f}."
        )
    baselines = metrics["baselines"]
    if baselines["majority"] is not None:
        output.print(
            f"For comparison, on the same test clips: the commonest class alone "
            f"{baselines['majority']:.3f}; width, height and duration alone "
            f"{baselines['metadata']:.3f}.",
            soft_wrap=True,
        )


def print_part(split: str, metrics: Mapping[str, Any]) -> None:
    """The figures of one part, and those of each class."""
    table = _table()
    _add_part(table, split, metrics)
    output.print(table)
    classes = Table("class", "clips", "precision", "recall", "F1", box=None, pad_edge=False)
    for figures in metrics["per_class"]:
        classes.add_row(
            figures["name"],
            str(figures["num_clips"]),
            *(f"{figures[name]:.2f}" for name in ("precision", "recall", "f1")),
        )
    output.print(classes)


def _table() -> Table:
    return Table("part", "clips", "accuracy", "95 % interval", "top 5", "macro F1", "loss")


def _add_part(table: Table, split: str, metrics: Mapping[str, Any]) -> None:
    low, high = metrics["intervals"]["accuracy"]
    table.add_row(
        split,
        str(metrics["num_clips"]),
        f"{metrics['accuracy']:.3f}",
        f"{low:.3f} to {high:.3f}",
        f"{metrics['top5']:.3f}",
        f"{metrics['macro_f1']:.3f}",
        f"{metrics['loss']:.3f}",
    )
