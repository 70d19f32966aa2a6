"""Arguments and options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class ClassFoldersName(StrEnum):
    """Which folders are the classes."""

    auto = "auto"
    top = "top"
    sub = "sub"


DataArgument = Annotated[
    Path,
    typer.Argument(
        help="Folder of class folders (alone, or inside folders of splits or groups), CSV with "
        "path,label, or packed .npz/.pkl.",
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
        metavar="FILE|none",
        help="The backbone's weights: safetensors, or a torch file of plain tensors; or none (or "
        "random) for random weights.",
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
KeepIncompleteOption = Annotated[
    bool,
    typer.Option(
        "--keep-incomplete",
        help="Use what there is of videos that are cut short or break midway; they are left out "
        "without it.",
        rich_help_panel="Split",
    ),
]
GroupPatternOption = Annotated[
    str | None,
    typer.Option(
        "--group-pattern",
        help="Regular expression that finds in a clip's name the recording it was cut from.",
        rich_help_panel="Split",
    ),
]
ListsOption = Annotated[
    Path | None,
    typer.Option(
        "--lists", help="Folder of the official UCF101 or HMDB51 lists.", rich_help_panel="Split"
    ),
]
ListNumberOption = Annotated[
    int,
    typer.Option("--list-number", min=1, help="Which official list.", rich_help_panel="Split"),
]
QuarantineOption = Annotated[
    Path | None,
    typer.Option(
        "--quarantine",
        help="Leave out the files of a list that `filmstrip doctor --quarantine` wrote.",
        rich_help_panel="Split",
    ),
]
ClassFoldersOption = Annotated[
    ClassFoldersName,
    typer.Option(
        "--class-folders",
        help="Which folders are the classes where folders hold folders: the top ones, or those in "
        "them, the top ones being groups. auto goes by their names, and says what it took.",
        rich_help_panel="Split",
    ),
]
AllowMissingClassesOption = Annotated[
    bool,
    typer.Option(
        "--allow-missing-classes",
        help="Go on without the classes of which no clip, or only one, can be used.",
        rich_help_panel="Split",
    ),
]
