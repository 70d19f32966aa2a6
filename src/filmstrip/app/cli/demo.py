"""``filmstrip demo``: the whole way, on videos that it renders itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from filmstrip.app.cli.train import RecipeOption, SetOption


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog="Example: `filmstrip demo --out demo`")(demo)


def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for the videos and the run.", show_default=False)
    ],
    recipe: RecipeOption = "lite-gru",
    overrides: SetOption = None,
    clips_per_class: Annotated[
        int, typer.Option(min=8, help="Videos to render of each of the ten classes.")
    ] = 150,
    seed: Annotated[int, typer.Option(min=0, help="Of videos, split and training.")] = 0,
) -> None:
    """Render a data set of real video files, train on it, measure, and predict.

    Ten kinds of motion in five pairs that are each other's time reversal: a model that is blind to
    the order of frames cannot pass 50 %. Videos that are there already are used again.
    """
    from filmstrip.app.cli.console import ConsoleReporter, messages, output
    from filmstrip.app.cli.figures import print_figures
    from filmstrip.dataset.synthetic import MOTIONS, render_dataset
    from filmstrip.inference.predict import load
    from filmstrip.recipes.catalogue import load_recipe
    from filmstrip.training.run_folder import TrainingRequest
    from filmstrip.training.train import train

    changes = [f"training.seed={seed}", *(overrides or [])]
    chosen = load_recipe(recipe, changes)
    reporter = ConsoleReporter()
    videos, run = out / "videos", out / "run"
    with reporter.phase("Rendering videos", clips_per_class * len(MOTIONS)) as advance:
        render_dataset(videos, clips_per_class, seed, advance=advance)
    request = TrainingRequest(data=videos.absolute(), recipe=chosen)
    metrics = train(request, run, resume=True, reporter=reporter)
    print_figures(metrics)
    clip = _first_test_clip(run, videos)
    answer = load(run).predict(clip)
    output.print(f"filmstrip predict {run} {clip}\n  {answer.label} {answer.confidence:.2f}")
    messages.print(
        f"\nLook at {run / 'plots'}, at {run / 'model' / 'README.md'}, and at the videos in "
        f"{videos}.\nNext, with a folder of your own for each class:\n"
        f"  filmstrip train my_videos/ --out my_run",
        soft_wrap=True,
    )


def _first_test_clip(run: Path, videos: Path) -> Path:
    import csv

    with (run / "splits.csv").open(encoding="utf-8") as file:
        return next(videos / row["path"] for row in csv.DictReader(file) if row["split"] == "test")
