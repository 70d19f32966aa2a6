"""``filmstrip pack``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from filmstrip.app.cli.options import (
    AllowMissingClassesOption,
    ClassFoldersName,
    ClassFoldersOption,
    DataArgument,
    RecipeOption,
    SetOption,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from filmstrip.dataset.rows import VideoRow


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(
        epilog="Example: `filmstrip pack videos/ --recipe vgg16-bilstm --out clips.npz`,"
        " then `filmstrip train clips.npz --recipe vgg16-bilstm --out run`"
    )(pack)


def pack(
    data: DataArgument,
    out: Annotated[Path, typer.Option(help="The .npz file to write.", show_default=False)],
    recipe: RecipeOption = "lite-gru",
    overrides: SetOption = None,
    class_folders: ClassFoldersOption = ClassFoldersName.auto,
    allow_missing_classes: AllowMissingClassesOption = False,
) -> None:
    """Write a data set's sampled and resized frames into one file that ``train`` reads.

    Splits and groups that the data gives go with it.
    """
    from operator import attrgetter

    from filmstrip.app.cli.console import ConsoleReporter, messages
    from filmstrip.dataset.index import open_index
    from filmstrip.dataset.lost import check_no_class_is_lost
    from filmstrip.dataset.pack import pack as write_pack
    from filmstrip.dataset.rows import left_out_summary
    from filmstrip.features.fitting import fitted_recipe
    from filmstrip.features.source import ClipReader
    from filmstrip.recipes.catalogue import load_recipe

    chosen = load_recipe(recipe, overrides or [])
    index = open_index(data, class_folders=class_folders.value)
    check_no_class_is_lost(index, allow_missing_classes)
    for sentence in index.summary():
        messages.print(sentence, soft_wrap=True)
    chosen = fitted_recipe(
        chosen, index.rows, lambda text: messages.print(text, soft_wrap=True, markup=False)
    )
    sampling = chosen.fixed_sampling
    reader = ClipReader(sampling, chosen.framing, keep_incomplete=False)
    info = {
        "recipe": chosen.name,
        "sampling": sampling.model_dump(mode="json"),
        "framing": chosen.framing.model_dump(mode="json"),
    }
    with ConsoleReporter().phase("Packing", len(index)) as advance:

        def read(row: VideoRow) -> NDArray[np.uint8]:
            advance("")
            return reader.read(row)[0]

        skipped = write_pack(index, out, read, info)
    left_out = (*index.skipped, *skipped)
    for file in filter(attrgetter("is_loss"), left_out):
        reason = " ".join(file.reason.removeprefix(f"{file.path}: ").split())
        messages.print(f"Left out: {file.path}: {reason}", soft_wrap=True)
    if left_out:
        messages.print(left_out_summary(left_out), soft_wrap=True)
    messages.print(f"{len(index) - len(skipped)} clips in {out}.", soft_wrap=True)
