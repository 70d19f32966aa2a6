"""The command that does a run again."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filmstrip.app.cli.train import train
from filmstrip.app.report.reproduce import train_command
from filmstrip.training.run_folder import TrainingRequest


def test_only_what_was_asked_for_stands_in_the_command(recipe: Callable[..., Any]) -> None:
    request = TrainingRequest(data=Path("/data"), recipe=recipe())
    assert train_command(request) == "filmstrip train /data --recipe recipe.yaml --out new_run"


def test_every_setting_of_a_request_becomes_an_option_that_train_has(
    recipe: Callable[..., Any],
) -> None:
    request = TrainingRequest(
        data=Path("/my data/'; rm -rf *"),
        recipe=recipe(),
        weights=Path("/w.safetensors"),
        num_folds=5,
        lists=Path("/lists"),
        list_number=2,
        group_pattern=r"seq(\d+)",
        splits=Path("/splits.csv"),
        quarantine=Path("/bad.csv"),
        near_duplicates=False,
        keep_incomplete=True,
        allow_leak=True,
        class_folders="top",
        allow_missing_classes=True,
    )
    words = shlex.split(train_command(request))
    assert words[:3] == ["filmstrip", "train", "/my data/'; rm -rf *"]
    assert words[words.index("--folds") + 1] == "5"
    assert words[words.index("--group-pattern") + 1] == r"seq(\d+)"
    assert {"--allow-leak", "--no-near-duplicates"} <= set(words)
    known = {"--" + name.replace("_", "-") for name in inspect.signature(train).parameters}
    options = {word.replace("--no-", "--") for word in words if word.startswith("--")}
    assert options <= known
    settings = TrainingRequest.model_fields.keys() - {"data", "division"}
    assert len(options) == len(settings) + 1  # and --out
