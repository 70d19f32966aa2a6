"""``filmstrip extract``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from filmstrip.app.cli.options import (
    ClassFoldersName,
    ClassFoldersOption,
    EngineOption,
    RecipeOption,
    SetOption,
    WeightsOption,
)

if TYPE_CHECKING:
    from filmstrip.inference.extract import ExtractedVideos

_MOST_FAILURES_SHOWN = 20


class FormatName(StrEnum):
    """What kind of files."""

    npy = "npy"
    safetensors = "safetensors"
    parquet = "parquet"


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(
        epilog="Example: `filmstrip extract videos/ --backbone resnet50 --grid 2 --out features`"
    )(extract)


def extract(
    videos: Annotated[
        list[str],
        typer.Argument(
            help="Video files, folders of them with or without class folders, CSVs with the "
            "column path (and label, group, split), packed .npz/.pkl, http or https addresses of "
            "files, or - for standard input. Labels are not needed.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for plain files, with index.csv and failed.csv. Without it, only the "
            "cache is filled with what a training reads."
        ),
    ] = None,
    file_format: Annotated[
        FormatName,
        typer.Option(
            "--format",
            help="npy: an array of frames by features, float32, for each clip. safetensors: the "
            "same, and times_seconds. parquet: one table with a row for each frame.",
        ),
    ] = FormatName.npy,
    recipe: RecipeOption = "lite-gru",
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Another network: a timm name, its last stage pooled to one vector, at the size "
            "of frames that it was made for, unless --stage, --grid or --set say otherwise.",
            rich_help_panel="What",
        ),
    ] = None,
    stage: Annotated[
        int | None,
        typer.Option(help="Short for --set backbone.stage=N.", rich_help_panel="What"),
    ] = None,
    grid: Annotated[
        int | None,
        typer.Option(help="Short for --set backbone.grid=N.", rich_help_panel="What"),
    ] = None,
    views: Annotated[
        str | None,
        typer.Option(
            metavar="plain,flip",
            help="Short for --set training.views=[...]: each clip as it is, mirrored, or both.",
            rich_help_panel="What",
        ),
    ] = None,
    weights: WeightsOption = None,
    overrides: SetOption = None,
    engine: EngineOption = "auto",
    class_folders: ClassFoldersOption = ClassFoldersName.auto,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a summary as one JSON object.")
    ] = False,
) -> None:
    """Turn videos into features: plain files for other tools, or a filled cache.

    Nothing is computed twice; run it again to go on where it was cut short. Of a video that is not
    complete, features of what there is are computed, and it is named. A file that cannot be
    read is named and the others go on; the exit code is then 1.
    """
    from filmstrip.app.cli.console import ConsoleReporter, messages
    from filmstrip.dataset.rows import left_out_summary
    from filmstrip.inference.extract import extract_videos
    from filmstrip.recipes.catalogue import choose_weights, load_recipe

    changes = _network(backbone) if backbone is not None else []
    changes += [f"backbone.stage={stage}"] if stage is not None else []
    changes += [f"backbone.grid={grid}"] if grid is not None else []
    changes += [f"training.views=[{views}]"] if views is not None else []
    chosen, weights = choose_weights(load_recipe(recipe, [*changes, *(overrides or [])]), weights)
    try:
        done = extract_videos(
            videos,
            chosen,
            out,
            file_format.value,
            weights,
            reporter=ConsoleReporter(),
            engine=engine,
            class_folders=class_folders.value,
        )
    except KeyboardInterrupt:
        messages.print()
        messages.print(
            "Interrupted. What was computed is in the cache; run the same command to go on.",
            soft_wrap=True,
        )
        raise
    others = left_out_summary(file for file in done.index.skipped if not file.is_loss)
    if others:
        messages.print(others, soft_wrap=True)
    if as_json:
        _print_json(done, out)
    else:
        _print_summary(done, out)
    for path, missing in done.extraction.incomplete.items():
        messages.print(f"Incomplete: {path}: {missing}.", soft_wrap=True, markup=False)
    if done.failed:
        _print_failures(done, out)
        raise typer.Exit(1)


def _network(name: str) -> list[str]:
    """The settings of a network by itself, whatever the recipe's own is."""
    from filmstrip.model.timm_trunk import pretrained_config

    defaults = ("stage=-1", "grid=1", "weights=imagenet", "trainable=0")
    size = pretrained_config(name)["input_size"][1]
    return [
        "backbone.kind=timm",
        f"backbone.name={name}",
        *(f"backbone.{default}" for default in defaults),
        f"framing.size={size}",
    ]


def _print_json(done: ExtractedVideos, out: Path | None) -> None:

    from filmstrip.app.cli.console import show_json

    summary = {
        "num_videos": done.num_videos,
        "num_cached": done.extraction.num_hits,
        "num_computed": done.extraction.num_computed,
        "num_failed": len(done.failed),
        "num_incomplete": len(done.extraction.incomplete),
        "seconds": round(done.seconds, 3),
        "out": None if out is None else str(out),
    }
    show_json(summary)


def _print_summary(done: ExtractedVideos, out: Path | None) -> None:
    from filmstrip.app.cli.console import output

    extraction = done.extraction
    place = f"the cache, {done.store.folder}" if out is None else str(out)
    output.print(
        f"{len(extraction.clips)} clips ({extraction.num_computed} computed, "
        f"{extraction.num_hits} cached): their {done.kept} are in {place}.",
        soft_wrap=True,
    )
    if out is None:
        output.print("Give --out to have features as plain files.")


def _print_failures(done: ExtractedVideos, out: Path | None) -> None:
    """Name what could not be read; with a folder that has the whole list, only the first few."""
    from filmstrip.app.cli.console import messages
    from filmstrip.features.export import failure

    shown = done.failed if out is None else done.failed[:_MOST_FAILURES_SHOWN]
    for file in shown:
        path, reason = failure(file, done.index.root)
        messages.print(f"Failed: {path}: {reason.splitlines()[0]}", soft_wrap=True)
    where = "" if out is None else f"; {out / 'failed.csv'} names each"
    messages.print(
        f"{len(done.failed)} of {done.num_videos} videos could not be read{where}.",
        soft_wrap=True,
    )
