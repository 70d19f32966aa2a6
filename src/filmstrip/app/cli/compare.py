"""``filmstrip compare``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from filmstrip.app.cli.options import (
    AllowMissingClassesOption,
    ClassFoldersName,
    ClassFoldersOption,
    DataArgument,
    EngineOption,
    GroupPatternOption,
    KeepIncompleteOption,
    ListNumberOption,
    ListsOption,
    QuarantineOption,
)

if TYPE_CHECKING:
    from filmstrip.app.compare.comparison import Comparison


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(
        epilog="Example: `filmstrip compare videos/ --recipes lite-gru,vgg16-lstm,mean-linear "
        "--weights vgg16-lstm=vgg16.safetensors --out ladder`"
    )(compare)


def compare(
    data: DataArgument,
    recipes: Annotated[
        str,
        typer.Option(
            metavar="A,B,…",
            help="Names of recipes, or .yaml files, with commas between.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for the runs and the figures.", show_default=False)
    ],
    folds: Annotated[
        int, typer.Option(min=0, help="Folds, groups whole; 0 for one split a seed.")
    ] = 5,
    seeds: Annotated[
        int, typer.Option(min=1, help="How many splits and initialisations: seeds 0, 1, …")
    ] = 3,
    order_blind: Annotated[
        bool,
        typer.Option(
            "--order-blind",
            help="Beside each recipe on frozen features, compare the mean over its frames and one "
            "linear layer: what the recipe has above that, it owes to order.",
        ),
    ] = False,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE|none",
            help="A recipe's backbone weights, or none for random ones. Repeat for more.",
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="[NAME:]KEY=VALUE",
            help="Change a setting of every recipe, or of one. Repeat for more.",
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Short for --set training.epochs=N.")
    ] = None,
    engine: EngineOption = "auto",
    group_pattern: GroupPatternOption = None,
    lists: ListsOption = None,
    list_number: ListNumberOption = 1,
    quarantine: QuarantineOption = None,
    class_folders: ClassFoldersOption = ClassFoldersName.auto,
    allow_missing_classes: AllowMissingClassesOption = False,
    keep_incomplete: KeepIncompleteOption = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as one JSON object.")
    ] = False,
) -> None:
    """Say which recipe is best on your videos, by how much, how surely, and at what cost.

    All are trained and tested on the same clips and splits. Writes compare.md, compare.png and
    compare.json. Run it again to go on where it was cut short, or to add recipes or seeds.
    """
    from filmstrip.app.cli.console import ConsoleReporter, messages, show_json
    from filmstrip.app.compare.comparison import compare_recipes
    from filmstrip.app.compare.ladder import Ladder
    from filmstrip.app.compare.page import CHART, PAGE, write_page
    from filmstrip.app.compare.rungs import make_rungs
    from filmstrip.cache import default_cache
    from filmstrip.training.run_folder import TrainingRequest

    changes = list(overrides or [])
    changes += [f"training.epochs={epochs}"] if epochs is not None else []
    rungs = make_rungs(recipes, changes, weights or [], order_blind)
    request = TrainingRequest(
        data=data,
        keep_incomplete=keep_incomplete,
        recipe=rungs[0].recipe,
        num_folds=folds,
        lists=lists,
        list_number=list_number,
        group_pattern=group_pattern,
        quarantine=quarantine,
        class_folders=class_folders.value,
        allow_missing_classes=allow_missing_classes,
    )
    ladder = Ladder(request, rungs, seeds, out, default_cache(), engine)
    try:
        comparison = compare_recipes(ladder, ConsoleReporter())
    except KeyboardInterrupt:
        messages.print()
        messages.print(
            f"Interrupted. What was finished is kept in {out}; run the same command to go on.",
            soft_wrap=True,
        )
        raise
    write_page(comparison, ["filmstrip", *sys.argv[1:]], out)
    if as_json:
        show_json(comparison.as_json())
        return
    _print(comparison)
    messages.print(f"Written: {out / PAGE}, {out / CHART}", soft_wrap=True)


def _print(comparison: Comparison) -> None:
    from rich.table import Table

    from filmstrip.app.cli.console import output
    from filmstrip.app.compare import page

    for columns, cells in (
        (page.ACCURACY_COLUMNS, page.accuracy_cells),
        (page.SIZE_COLUMNS, page.size_cells),
        (page.SPEED_COLUMNS, page.speed_cells),
    ):
        table = Table(*columns, box=None, pad_edge=False)
        for line in comparison.lines:
            table.add_row(line.rung.name, *cells(line))
        if cells is page.accuracy_cells:
            for baseline in page.baseline_lines(comparison):
                table.add_row(*baseline)
        output.print(table)
        output.print()
    for note in page.notes(comparison):
        style = "bold yellow" if note.startswith("WARNING") else ""
        output.print(note, style=style, soft_wrap=True)
        output.print()
