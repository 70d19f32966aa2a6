"""``filmstrip train`` and ``filmstrip evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

DataArgument = Annotated[
    Path,
    typer.Argument(
        help="Folder of class folders (or of train/val/test folders), CSV with path,label, or "
        "packed .npz/.pkl.",
        show_default=False,
    ),
]
RecipeOption = Annotated[
    str, typer.Option("--recipe", help="Name of a recipe, or a .yaml file.", rich_help_panel="What")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one setting of the recipe, such as head.hidden=512. Repeat for more.",
        rich_help_panel="What",
    ),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        help="The backbone's weights: safetensors, or a torch file of plain tensors.",
        rich_help_panel="What",
    ),
]

EngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="How a frozen backbone is run: auto measures what is fastest here; or one by name, "
        "such as eager-fp32, compiled-bf16, onnxruntime-fp32 or openvino-int8.",
        rich_help_panel="What",
    ),
]
AnswerEngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="How the backbone is run: auto, the fastest in float32 once there is enough to do; or "
        "one by name, such as eager-fp32 or onnxruntime-fp32.",
    ),
]
AllowLeakOption = Annotated[
    bool,
    typer.Option(
        "--allow-leak",
        help="Train on a given split that leaks; every figure is then marked as leaky.",
        rich_help_panel="Split",
    ),
]
NearDuplicatesOption = Annotated[
    bool,
    typer.Option(
        "--near-duplicates/--no-near-duplicates",
        help="Decode every clip to find copies and cut recordings, which then stay on one side.",
        rich_help_panel="Split",
    ),
]


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
    group_pattern: Annotated[
        str | None,
        typer.Option(
            help="Regular expression that finds in a clip's name the recording it was cut from.",
            rich_help_panel="Split",
        ),
    ] = None,
    lists: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the official UCF101 or HMDB51 lists.", rich_help_panel="Split"
        ),
    ] = None,
    list_number: Annotated[
        int, typer.Option(min=1, help="Which official list.", rich_help_panel="Split")
    ] = 1,
    splits: Annotated[
        Path | None,
        typer.Option(help="The splits.csv of another run, to use again.", rich_help_panel="Split"),
    ] = None,
    quarantine: Annotated[
        Path | None,
        typer.Option(
            help="Leave out the files of a list that `filmstrip doctor --quarantine` wrote.",
            rich_help_panel="Split",
        ),
    ] = None,
    allow_leak: AllowLeakOption = False,
    near_duplicates: NearDuplicatesOption = True,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was cut short.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as one JSON object.")
    ] = False,
) -> None:
    """Train a classifier on labelled videos, and measure it on clips it has not seen."""
    from filmstrip.app.cli.console import ConsoleReporter, messages, output
    from filmstrip.app.cli.figures import print_figures
    from filmstrip.app.cli.report import write_report_if_possible
    from filmstrip.recipes.catalogue import load_recipe
    from filmstrip.training.run_folder import TrainingRequest
    from filmstrip.training.train import train as train_run

    changes = list(overrides or [])
    changes += [f"training.epochs={epochs}"] if epochs is not None else []
    changes += [f"training.seed={seed}"] if seed is not None else []
    request = TrainingRequest(
        data=data.absolute(),
        recipe=load_recipe(recipe, changes),
        weights=weights.absolute() if weights else None,
        num_folds=folds,
        lists=lists.absolute() if lists else None,
        list_number=list_number,
        group_pattern=group_pattern,
        splits=splits.absolute() if splits else None,
        quarantine=quarantine.absolute() if quarantine else None,
        allow_leak=allow_leak,
        near_duplicates=near_duplicates,
    )
    reporter = ConsoleReporter()
    try:
        metrics = train_run(request, out, resume, reporter=reporter, engine=engine)
    except KeyboardInterrupt:
        messages.print(
            f"\nInterrupted. What was finished is kept in {out}; run the same command with "
            "--resume to go on.",
            soft_wrap=True,
        )
        raise
    write_report_if_possible(out, reporter)
    if as_json:
        output.print_json(data=metrics)
        return
    print_figures(metrics)
    messages.print(
        f"Run folder: {out}  (look at {out / 'report.html'})\n"
        f"Next: filmstrip predict {out} clip.mp4",
        soft_wrap=True,
    )


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)],
    data: Annotated[
        Path | None,
        typer.Argument(help="Other labelled videos; the run's own if left out."),
    ] = None,
    split: Annotated[str, typer.Option(help="Which part: train, val or test.")] = "test",
    engine: EngineOption = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as one JSON object.")
    ] = False,
) -> None:
    """Measure a finished run again, on its own split or on other labelled videos."""
    from filmstrip.app.cli.console import ConsoleReporter, messages, output
    from filmstrip.app.cli.figures import print_part
    from filmstrip.inference.evaluate import evaluate_run
    from filmstrip.training.run_folder import RunFolder

    measured, skipped = evaluate_run(run, data, split, reporter=ConsoleReporter(), engine=engine)
    for file in skipped:
        messages.print(f"Left out: {file.reason}", soft_wrap=True, markup=False)
    # Other data was not split by the run: what its own split lets through says nothing about them.
    leaks = RunFolder(run).leaks() if data is None else {}
    metrics: dict[str, Any] = {"leaks": leaks, **measured} if leaks else dict(measured)
    if as_json:
        output.print(json.dumps({"split": split, **metrics}), soft_wrap=True, markup=False)
    else:
        print_part(split, metrics)
