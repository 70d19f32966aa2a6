"""``filmstrip tune``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from filmstrip.app.cli.options import (
    AllowLeakOption,
    AllowMissingClassesOption,
    ClassFoldersName,
    ClassFoldersOption,
    DataArgument,
    KeepIncompleteOption,
    RecipeOption,
    SetOption,
    WeightsOption,
)


class SearchName(StrEnum):
    """How combinations are chosen."""

    grid = "grid"
    random = "random"


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(
        epilog="Example: `filmstrip tune videos/ --recipe vgg16-bilstm --out search "
        "--try 'head.hidden=[64, 128]' --try 'training.l2=[0, 0.001]'`"
    )(tune)


def tune(
    data: DataArgument,
    out: Annotated[Path, typer.Option(help="Folder for the trials.", show_default=False)],
    choices: Annotated[
        list[str],
        typer.Option(
            "--try",
            metavar="KEY=[VALUES]",
            help="A setting and the values to try. Repeat for more settings.",
        ),
    ],
    recipe: RecipeOption = "lite-gru",
    overrides: SetOption = None,
    search: Annotated[
        SearchName, typer.Option(help="All combinations, or some drawn at random.")
    ] = SearchName.grid,
    trials: Annotated[int, typer.Option(min=1, help="How many to draw at random.")] = 10,
    weights: WeightsOption = None,
    keep_incomplete: KeepIncompleteOption = False,
    allow_leak: AllowLeakOption = False,
    class_folders: ClassFoldersOption = ClassFoldersName.auto,
    allow_missing_classes: AllowMissingClassesOption = False,
) -> None:
    """Search a recipe's settings by grid or at random, judged on the validation part.

    The features are extracted once. Run it again to go on where it was cut short.
    """
    from rich.table import Table

    from filmstrip.app.cli.console import ConsoleReporter, output
    from filmstrip.app.cli.figures import print_leak_warning
    from filmstrip.recipes.catalogue import choose_weights, load_recipe
    from filmstrip.training.run_folder import RunFolder, TrainingRequest
    from filmstrip.training.tune import combinations, parse_choices
    from filmstrip.training.tune import tune as run_trials

    chosen, weights = choose_weights(load_recipe(recipe, overrides or []), weights)
    request = TrainingRequest(
        data=data,
        recipe=chosen,
        keep_incomplete=keep_incomplete,
        weights=weights,
        allow_leak=allow_leak,
        class_folders=class_folders.value,
        allow_missing_classes=allow_missing_classes,
    )
    points = combinations(
        parse_choices(choices), search.value, trials, request.recipe.training.seed
    )
    finished = run_trials(request, points, out, reporter=ConsoleReporter())
    print_leak_warning({"leaks": RunFolder(finished[0].run).leaks()})
    table = Table("trial", "settings", "val accuracy", "val loss")
    for trial in finished:
        table.add_row(
            str(trial.number),
            ", ".join(trial.overrides),
            f"{trial.val_accuracy:.3f}",
            f"{trial.val_loss:.3f}",
        )
    output.print(table)
    output.print(f"Best by validation: {finished[0].run}", soft_wrap=True)
