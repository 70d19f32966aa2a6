"""``filmstrip demo``: the whole way, on videos that it renders itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from filmstrip.app.cli.options import RecipeOption, SetOption

# In the rendered motions left and right are classes of their own, so nothing may be mirrored; and
# the marks that move are coarse, so smaller frames and an earlier stage tell as much, in less time.
# With a thousand clips to learn from, neither a second training nor several heads gain anything.
_FOR_RENDERED_MOTIONS = {
    "lite-gru": (
        "sampling.frames_per_second=8",
        "framing.size=128",
        "backbone.stage=2",
        "head.members=1",
        "training.views=[plain]",
        "training.batch_size=32",
        "training.refit=false",
    )
}


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

    lite-gru is run with smaller frames and a single head, and without mirrored copies, since left
    and right differ here; the run's recipe.yaml has all settings. What --set gives comes last.
    """
    from filmstrip.app.cli.console import ConsoleReporter, messages, output
    from filmstrip.app.cli.figures import print_figures
    from filmstrip.app.cli.report import write_report_if_possible
    from filmstrip.dataset.synthetic import MOTIONS, render_dataset
    from filmstrip.recipes.catalogue import load_recipe
    from filmstrip.training.run_folder import TrainingRequest
    from filmstrip.training.train import train

    fitting = _FOR_RENDERED_MOTIONS.get(recipe, ())
    changes = [*fitting, f"training.seed={seed}", *(overrides or [])]
    chosen = load_recipe(recipe, changes)
    reporter = ConsoleReporter()
    videos, run = out / "videos", out / "run"
    with reporter.phase("Rendering videos", clips_per_class * len(MOTIONS)) as advance:
        render_dataset(videos, clips_per_class, seed, advance=advance)
    request = TrainingRequest(data=videos, recipe=chosen)
    metrics = train(request, run, resume=True, reporter=reporter)
    write_report_if_possible(run, reporter)
    print_figures(metrics)
    output.print("One test clip of each class, asked anew:")
    _show_answers(run, videos, out / "answers.png")
    messages.print()
    messages.print(
        f"Look at {out / 'answers.png'}, {run / 'report.html'}, {run / 'model' / 'README.md'}, "
        f"and the videos in {videos}.",
        soft_wrap=True,
    )
    messages.print("Next, with a folder of your own for each class:")
    messages.print("  filmstrip train my_videos/ --out my_run")


def _show_answers(run: Path, videos: Path, sheet: Path) -> None:
    """Predict the first test clip of each class, print the answers, and draw them."""
    from filmstrip.app.cli.console import output
    from filmstrip.evaluation.contact_sheet import plot_contact_sheet
    from filmstrip.inference.predict import load
    from filmstrip.video.decode import read_clip
    from filmstrip.video.sampling import UniformSampling

    predictor = load(run)
    rows = []
    for clip in _first_test_clips(run, videos):
        answer = predictor.predict(clip)
        output.print(f"  {clip}  {answer.label} {answer.confidence:.2f}", soft_wrap=True)
        frames = read_clip(clip, UniformSampling(num_frames=6)).frames
        truth = clip.parent.name
        rows.append((f"{truth}: answered {answer.label} {answer.confidence:.2f}", frames))
    plot_contact_sheet(rows, sheet, title="One test clip of each class")


def _first_test_clips(run: Path, videos: Path) -> list[Path]:
    import csv

    first: dict[str, Path] = {}
    with (run / "splits.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["split"] == "test":
                first.setdefault(row["label"], videos / row["path"])
    return list(first.values())
