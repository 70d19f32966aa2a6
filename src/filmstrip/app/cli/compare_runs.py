"""``filmstrip compare-runs``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from filmstrip.evaluation.significance import Comparison


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("compare-runs", epilog="Example: `filmstrip compare-runs run run2`")(compare_runs)


def compare_runs(
    first: Annotated[Path, typer.Argument(help="A finished run folder.", show_default=False)],
    second: Annotated[
        Path,
        typer.Argument(help="Another, measured on the same clips.", show_default=False),
    ],
    split: Annotated[str, typer.Option(help="Which part: train, val or test.")] = "test",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as one JSON object.")
    ] = False,
) -> None:
    """Say whether the second run is better than the first, or was only luckier.

    Reads the predictions.csv of both, and counts the clips that one alone answers rightly
    (McNemar's exact test). Train the second with the first one's splits.csv (`--splits`), or both
    with the same `--folds` and seed.
    """
    from filmstrip.app.cli.console import show_json
    from filmstrip.app.cli.figures import print_leak_warning
    from filmstrip.evaluation.significance import compare
    from filmstrip.training.answers import paired_predictions
    from filmstrip.training.run_folder import RunFolder

    pairs = paired_predictions(RunFolder(first), RunFolder(second), split)
    comparison = compare(
        [a.predicted == a.label for a, _ in pairs],
        [b.predicted == b.label for _, b in pairs],
        [a.group for a, _ in pairs],
    )
    leaks = {run: RunFolder(run).leaks() for run in (first, second)}
    if as_json:
        shown = _as_json(first, second, split, comparison)
        shown["leaks"] = {str(run): known.get("num_pairs", 0) for run, known in leaks.items()}
        show_json(shown)
    else:
        for run, known in leaks.items():
            print_leak_warning({"leaks": known}, f"{run}: ")
        _print(first, second, split, comparison)


def _as_json(first: Path, second: Path, split: str, comparison: Comparison) -> dict[str, Any]:
    return {
        "split": split,
        "num_clips": comparison.num_clips,
        "first": {"run": str(first), "accuracy": comparison.first_accuracy},
        "second": {"run": str(second), "accuracy": comparison.second_accuracy},
        "both_right": comparison.both_right,
        "only_first": comparison.only_first,
        "only_second": comparison.only_second,
        "both_wrong": comparison.both_wrong,
        "p_value": comparison.p_value,
        "difference": comparison.difference,
        "interval": comparison.interval,
        "resampling": {"units": comparison.units, "num_units": comparison.num_units},
    }


def _print(first: Path, second: Path, split: str, comparison: Comparison) -> None:
    from rich.table import Table

    from filmstrip.app.cli.console import output

    table = Table("run", "accuracy", "alone right", box=None, pad_edge=False)
    table.add_row(str(first), f"{comparison.first_accuracy:.3f}", str(comparison.only_first))
    table.add_row(str(second), f"{comparison.second_accuracy:.3f}", str(comparison.only_second))
    output.print(table)
    low, high = comparison.interval
    output.print(
        f"Of {comparison.num_clips} {split} clips both answer {comparison.both_right} rightly and "
        f"{comparison.both_wrong} wrongly.",
        soft_wrap=True,
    )
    output.print(
        f"The second is {comparison.difference:+.3f} (95 % interval {low:+.3f} to {high:+.3f}; "
        f"{comparison.num_units} {comparison.units} drawn).",
        soft_wrap=True,
    )
    output.print(
        f"McNemar's exact test: p = {comparison.p_value:.3g}. {_verdict(comparison)}",
        soft_wrap=True,
    )


def _verdict(comparison: Comparison) -> str:
    low, high = comparison.interval
    if comparison.p_value >= 0.05:
        return "Two equally good models differ so much by chance; neither is shown to be better."
    if low <= 0 <= high:
        return (
            "Clip by clip that would be rare for two equally good models, but the interval holds "
            "0: too few recordings to tell."
        )
    return "Two equally good models would rarely differ so much."
