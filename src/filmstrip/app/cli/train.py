"""``filmstrip train`` and ``filmstrip evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from filmstrip.app.cli.options import (
    AllowLeakOption,
    AllowMissingClassesOption,
    ClassFoldersName,
    ClassFoldersOption,
    DataArgument,
    EngineOption,
    GroupPatternOption,
    KeepIncompleteOption,
    ListNumberOption,
    ListsOption,
    NearDuplicatesOption,
    QuarantineOption,
    RecipeOption,
    SetOption,
    WeightsOption,
)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command(epilog="Example: `filmstrip train videos/ --recipe lite-gru --out run`")(train)
    app.command(epilog="Example: `filmstrip evaluate run --split test --json`")(evaluate)


def train(
    data: DataArgument,
    out: Annotated[Path, typer.Option(help="New folder for the run.", show_default=False)],
    recipe: RecipeOption = "lite-gru",
    weights: WeightsOption = None,
    overrides: SetOption = None,
    engine: EngineOption = "auto",
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Short for --set training.epochs=N.", rich_help_panel="What"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Short for --set training.seed=N: of the split, weights, shuffling.",
            rich_help_panel="What",
        ),
    ] = None,
    folds: Annotated[
        int,
        typer.Option(
            min=0,
            help="Cross-validate over N folds, groups whole, then train one model on all clips.",
            rich_help_panel="Split",
        ),
    ] = 0,
    group_pattern: GroupPatternOption = None,
    lists: ListsOption = None,
    list_number: ListNumberOption = 1,
    splits: Annotated[
        Path | None,
        typer.Option(help="The splits.csv of another run, to use again.", rich_help_panel="Split"),
    ] = None,
    quarantine: QuarantineOption = None,
    keep_incomplete: KeepIncompleteOption = False,
    allow_leak: AllowLeakOption = False,
    class_folders: ClassFoldersOption = ClassFoldersName.auto,
    allow_missing_classes: AllowMissingClassesOption = False,
    near_duplicates: NearDuplicatesOption = True,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was cut short.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as one JSON object.")
    ] = False,
) -> None:
    """Train a classifier on labelled videos, and measure it on clips it has not seen."""
    from filmstrip.app.cli.console import ConsoleReporter, messages, show_json
    from filmstrip.app.cli.figures import print_figures
    from filmstrip.app.cli.report import write_report_if_possible
    from filmstrip.recipes.catalogue import choose_weights, load_recipe
    from filmstrip.training.run_folder import TrainingRequest
    from filmstrip.training.train import train as train_run

    changes = list(overrides or [])
    changes += [f"training.epochs={epochs}"] if epochs is not None else []
    changes += [f"training.seed={seed}"] if seed is not None else []
    chosen, weights = choose_weights(load_recipe(recipe, changes), weights)
    request = TrainingRequest(
        data=data,
        recipe=chosen,
        keep_incomplete=keep_incomplete,
        weights=weights,
        num_folds=folds,
        lists=lists,
        list_number=list_number,
        group_pattern=group_pattern,
        splits=splits,
        quarantine=quarantine,
        allow_leak=allow_leak,
        near_duplicates=near_duplicates,
        class_folders=class_folders.value,
        allow_missing_classes=allow_missing_classes,
    )
    reporter = ConsoleReporter()
    try:
        metrics = train_run(request, out, resume, reporter=reporter, engine=engine)
    except KeyboardInterrupt:
        messages.print()
        messages.print(
            f"Interrupted. What was finished is kept in {out}; run the same command with "
            "--resume to go on.",
            soft_wrap=True,
        )
        raise
    write_report_if_possible(out, reporter)
    if as_json:
        show_json(metrics)
        return
    print_figures(metrics)
    messages.print(f"Run folder: {out}  (look at {out / 'report.html'})", soft_wrap=True)
    messages.print(f"Next: filmstrip predict {out} clip.mp4", soft_wrap=True)


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)],
    data: Annotated[
        Path | None,
        typer.Argument(help="Other labelled videos; the run's own if left out."),
    ] = None,
    split: Annotated[str, typer.Option(help="Which part: train, val or test.")] = "test",
    engine: EngineOption = "auto",
    class_folders: ClassFoldersOption = ClassFoldersName.auto,
    allow_leak: Annotated[
        bool,
        typer.Option(
            "--allow-leak",
            help="Also measure videos that the model has learnt from, and mark all metrics as "
            "leaky. By default such videos are left out.",
        ),
    ] = False,
    near_duplicates: Annotated[
        bool,
        typer.Option(
            "--near-duplicates/--no-near-duplicates",
            help="Decode other videos to recognise copies of training clips that were encoded "
            "again, and pieces of their recordings.",
        ),
    ] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as one JSON object.")
    ] = False,
) -> None:
    """Measure a finished run again, on its own split or on other labelled videos.

    Other videos may be the run's own in another place: those that the model was trained or
    calibrated on are recognised by their content and left out.
    """
    from filmstrip.app.cli.console import ConsoleReporter, messages, show_json
    from filmstrip.app.cli.figures import print_part
    from filmstrip.inference.evaluate import evaluate_run

    metrics, skipped = evaluate_run(
        run,
        data,
        split,
        reporter=ConsoleReporter(),
        engine=engine,
        allow_leak=allow_leak,
        near_duplicates=near_duplicates,
        class_folders=class_folders.value,
    )
    for file in skipped:
        messages.print(f"Left out: {' '.join(file.reason.split())}", soft_wrap=True)
    if as_json:
        show_json({"split": split, **metrics})
    else:
        print_part(split, metrics)
