"""``filmstrip split``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from filmstrip.app.cli.options import (
    AllowLeakOption,
    AllowMissingClassesOption,
    ClassFoldersName,
    ClassFoldersOption,
    DataArgument,
    EngineOption,
    GroupPatternOption,
    ListNumberOption,
    ListsOption,
    NearDuplicatesOption,
    QuarantineOption,
    RecipeOption,
    SetOption,
    WeightsOption,
)

if TYPE_CHECKING:
    from filmstrip.dataset.index import VideoIndex
    from filmstrip.training.leak_measure import LeakMeasure


_MOST_CLASS_COLUMNS = 10


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(
        epilog="Example: `filmstrip split videos/ --out splits.csv`, then "
        "`filmstrip train videos/ --splits splits.csv --out run`; or "
        "`filmstrip split videos/ --measure-leak`"
    )(split)


def split(
    data: DataArgument,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the split as a CSV; with folds, one numbered file for each."),
    ] = None,
    folds: Annotated[int, typer.Option(min=0, help="Deal N folds instead of one split.")] = 0,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Short for --set training.seed=N.")
    ] = None,
    group_pattern: GroupPatternOption = None,
    lists: ListsOption = None,
    list_number: ListNumberOption = 1,
    quarantine: QuarantineOption = None,
    allow_leak: AllowLeakOption = False,
    class_folders: ClassFoldersOption = ClassFoldersName.auto,
    allow_missing_classes: AllowMissingClassesOption = False,
    near_duplicates: NearDuplicatesOption = True,
    measure_leak: Annotated[
        bool,
        typer.Option(
            "--measure-leak",
            help="Train the recipe under a random and under a grouped split, and print both.",
        ),
    ] = False,
    recipe: RecipeOption = "lite-gru",
    overrides: SetOption = None,
    weights: WeightsOption = None,
    engine: EngineOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Divide clips into train, val and test, and say which belong together and why.

    It is the split that `train` makes from the same clips, recipe and seed. A split that the data
    brings along is checked, and refused if copies, pieces of one recording or clips of one group
    stand on two sides. With --measure-leak it is set aside, and the figures say how much of an
    accuracy under a random split is leak.
    """
    from tempfile import TemporaryDirectory

    from filmstrip.app.cli.console import ConsoleReporter, show_json
    from filmstrip.cache import Cache
    from filmstrip.dataset.rows import left_out_summary
    from filmstrip.dataset.split_file import write_splits
    from filmstrip.recipes.catalogue import choose_weights, load_recipe
    from filmstrip.training.division import Division
    from filmstrip.training.feasibility import check_divisible
    from filmstrip.training.leak_measure import measure_leak as measure
    from filmstrip.training.run_folder import TrainingRequest

    seeded = [f"training.seed={seed}"] if seed is not None else []
    chosen, weights = choose_weights(load_recipe(recipe, [*(overrides or []), *seeded]), weights)
    request = TrainingRequest(
        data=data,
        recipe=chosen,
        weights=weights,
        num_folds=folds,
        lists=lists,
        list_number=list_number,
        group_pattern=group_pattern,
        quarantine=quarantine,
        near_duplicates=near_duplicates,
        allow_leak=allow_leak,
        division="grouped" if measure_leak else "given",
        class_folders=class_folders.value,
        allow_missing_classes=allow_missing_classes,
    )
    index = request.wanted_index()
    reporter = ConsoleReporter()
    for sentence in index.summary():
        reporter.note(sentence)
    if index.skipped:
        reporter.note(left_out_summary(index.skipped))
    check_divisible(request, index, needs_test=measure_leak)
    table = Path("leaks.csv") if out is None else out.with_name(f"{out.stem}-leaks.csv")
    division = Division(request, index, Cache.at(None), reporter, table)
    parts = division.folds(index) if folds else [division.split(index)]
    for number, part in enumerate(parts, start=1):
        if out is not None:
            name = f"{out.stem}-{number}{out.suffix}" if folds else out.name
            write_splits(part, out.with_name(name))
    measured = None
    if measure_leak:
        with TemporaryDirectory(prefix="filmstrip-") as folder:
            measured = measure(request, Path(folder), reporter=reporter, engine=engine)
    leaks = division.record([pair for part in parts for pair in division.leaks(part)])
    if as_json:
        show_json(_as_json(parts, leaks, measured))
        return
    _print(parts, leaks)
    if measured is not None:
        _print_measure(measured)


def _sides(part: VideoIndex) -> dict[str, dict[str, Any]]:
    """What stands on each side: clips, groups, and clips of each class."""
    found = {}
    for side in ("train", "val", "test"):
        rows = part.subset(side).rows
        if rows:
            found[side] = {
                "num_clips": len(rows),
                "num_groups": len(set(part.subset(side).groups)),
                "classes": {
                    name: sum(row.label == name for row in rows) for name in part.class_names
                },
            }
    return found


def _as_json(
    parts: Sequence[VideoIndex], leaks: dict[str, Any], measured: LeakMeasure | None
) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "num_clips": len(parts[0]),
        "num_groups": len(set(parts[0].groups)),
        "reading": parts[0].reading,
        "grouping": parts[0].grouping,
        "leaks": leaks,
        "splits": [_sides(part) for part in parts],
    }
    if measured is not None:
        shown["measured"] = {
            "random": _figures(measured.random),
            "grouped": _figures(measured.grouped),
            "leak": measured.leak,
        }
    return shown


def _figures(metrics: dict[str, Any]) -> dict[str, Any]:
    test = metrics["test"]
    return {
        "accuracy": test["accuracy"],
        "interval": test["intervals"]["accuracy"],
        "resampling": test["resampling"],
        "num_clips": test["num_clips"],
        "num_leaking_pairs": metrics["leaks"]["num_pairs"],
    }


def _print(parts: Sequence[VideoIndex], leaks: dict[str, Any]) -> None:
    from rich.table import Table

    from filmstrip.app.cli.console import output
    from filmstrip.app.cli.figures import print_leak_warning

    print_leak_warning({"leaks": leaks})
    output.print(f"{parts[0].grouping}.", soft_wrap=True)
    classes = parts[0].class_names
    columns = ("fold",) if len(parts) > 1 else ()
    is_wide = len(classes) > _MOST_CLASS_COLUMNS
    counted = ("classes", "fewest clips of one") if is_wide else classes
    table = Table(*columns, "part", "clips", "groups", *counted, box=None, pad_edge=False)
    for number, part in enumerate(parts, start=1):
        for side, held in _sides(part).items():
            counts = tuple(held["classes"].values())
            if is_wide:
                counts = (sum(map(bool, counts)), min(filter(None, counts)))
            cells = (side, held["num_clips"], held["num_groups"], *counts)
            table.add_row(*map(str, (number, *cells) if columns else cells))
    output.print(table)


def _print_measure(measured: LeakMeasure) -> None:
    from rich.table import Table

    from filmstrip.app.cli.console import output

    table = Table("split", "test clips", "accuracy", "95 % interval", box=None, pad_edge=False)
    for name, metrics in (("random", measured.random), ("grouped", measured.grouped)):
        test = metrics["test"]
        low, high = test["intervals"]["accuracy"]
        table.add_row(
            name, str(test["num_clips"]), f"{test['accuracy']:.3f}", f"{low:.3f} to {high:.3f}"
        )
    output.print(table)
    output.print(measured.verdict(), soft_wrap=True)
