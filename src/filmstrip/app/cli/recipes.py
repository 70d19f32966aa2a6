"""``filmstrip recipes``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(
        epilog="Example: `filmstrip recipes vgg16-lstm --save my.yaml`, then "
        "`filmstrip train videos/ --recipe my.yaml --out run`"
    )(recipes)


def recipes(
    name: Annotated[str | None, typer.Argument(help="One of them, to show it whole.")] = None,
    save: Annotated[
        Path | None, typer.Option(help="Write it to a YAML file, to change and train from.")
    ] = None,
) -> None:
    """List the recipes, or show and save one."""
    from rich.table import Table
    from rich.text import Text

    from filmstrip.app.cli.console import messages, output
    from filmstrip.recipes.catalogue import RECIPE_NAMES, describe, load_recipe, to_yaml
    from filmstrip.storage import replacing

    if name is None:
        table = Table("recipe", "what it is", box=None, pad_edge=False)
        for known in RECIPE_NAMES:
            table.add_row(known, describe(known).splitlines()[0])
        output.print(table)
        return
    recipe = load_recipe(name)
    if save is not None:
        with replacing(save) as temporary:
            temporary.write_text(to_yaml(recipe), encoding="utf-8")
        messages.print(f"Saved to {save}.", soft_wrap=True)
        return
    if name in RECIPE_NAMES:
        output.print(Text(describe(name).strip()), soft_wrap=True)
        for deviation in recipe.deviations:
            output.print()
            output.print(f"Deviation: {deviation}", soft_wrap=True)
        output.print()
    output.print(Text(to_yaml(recipe)), soft_wrap=True)
