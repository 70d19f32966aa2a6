"""Figures as tables for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from filmstrip.app.cli.console import output
from filmstrip.dataset.leaks import leak_warning
from filmstrip.evaluation.bootstrap import FEWEST_GROUPS
from filmstrip.evaluation.metrics import describe_interval


def print_figures(metrics: Mapping[str, Any]) -> None:
    """The figures of a run: each part, the folds' spread, and the baselines."""
    print_leak_warning(metrics)
    table = _table()
    for split in ("train", "val", "test"):
        if split in metrics:
            _add_part(table, split, metrics[split])
    output.print(table)
    if "test" in metrics:
        _print_trust("test", metrics["test"])
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


def print_leak_warning(metrics: Mapping[str, Any], whose: str = "") -> None:
    """Say above all figures that they leak, if they do."""
    if warning := leak_warning(metrics):
        output.print(whose + warning, style="bold yellow", soft_wrap=True)


def print_part(split: str, metrics: Mapping[str, Any]) -> None:
    """The figures of one part, and those of each class."""
    print_leak_warning(metrics)
    table = _table()
    _add_part(table, split, metrics)
    output.print(table)
    _print_trust(split, metrics)
    classes = Table("class", "clips", "precision", "recall", "F1", box=None, pad_edge=False)
    for figures in metrics["per_class"]:
        classes.add_row(
            figures["name"],
            str(figures["num_clips"]),
            *(f"{figures[name]:.2f}" for name in ("precision", "recall", "f1")),
        )
    output.print(classes)


def _table() -> Table:
    names = (
        "part",
        "clips",
        "accuracy",
        "95 % interval",
        "top 5",
        "macro F1",
        "mAP",
        "loss",
        "ECE",
    )
    return Table(*names, box=None, pad_edge=False)


def _add_part(table: Table, split: str, metrics: Mapping[str, Any]) -> None:
    low, high = metrics["intervals"]["accuracy"]
    table.add_row(
        split,
        str(metrics["num_clips"]),
        f"{metrics['accuracy']:.3f}",
        f"{low:.3f} to {high:.3f}",
        f"{metrics['top5']:.3f}",
        f"{metrics['macro_f1']:.3f}",
        f"{metrics['mean_average_precision']:.3f}",
        f"{metrics['loss']:.3f}",
        f"{metrics['ece']:.3f}",
    )


def _print_trust(split: str, metrics: Mapping[str, Any]) -> None:
    """What the intervals rest on, and what abstaining gains."""
    resampling = metrics["resampling"]
    if metrics["accuracy"] in (0, 1):
        output.print(f"{split}: {describe_interval(metrics)}", soft_wrap=True)
    elif resampling["units"] == "groups":
        few = ": so few make it too narrow" if resampling["num_units"] < FEWEST_GROUPS else ""
        output.print(
            f"For the interval of {split}, {resampling['num_units']} whole groups were drawn{few}.",
            soft_wrap=True,
        )
    coverage, accuracy = metrics["coverage"], metrics["accuracy_answered"]
    if coverage < 1:
        output.print(
            f"The model is sure enough to answer {100 * coverage:.1f} % of the {split} clips"
            + (f", {100 * accuracy:.1f} % of these rightly." if coverage else "."),
            soft_wrap=True,
        )
