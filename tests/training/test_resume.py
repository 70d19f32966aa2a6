"""Runs that end too early, in real processes that are really killed, and go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from filmstrip.recipes.recipe import Recipe
from filmstrip.training.run_folder import RunFolder, TrainingRequest
from filmstrip.training.train import train

EPOCH_OF_DEATH = 3

TRAIN_AND_BE_KILLED = f"""
import os, signal, sys
from contextlib import contextmanager
from pathlib import Path
from filmstrip.training.reporter import Reporter
from filmstrip.training.run_folder import TrainingRequest
from filmstrip.training.train import train

class Death(Reporter):
    @contextmanager
    def phase(self, title, num_steps):
        num_left = {EPOCH_OF_DEATH}

        def advance(words):
            nonlocal num_left
            num_left -= 1
            if title == "Training" and not num_left:
                os.kill(os.getpid(), signal.SIGKILL)

        yield advance

# torch is imported once; each training is a child of its own.
for out in map(Path, sys.argv[1:]):
    request = TrainingRequest.model_validate_json(out.with_suffix(".json").read_text())
    if os.fork() == 0:
        train(request, out, reporter=Death())
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.wait()[1]))
"""

RECIPES = {
    # Dropout and a temporal crop on cached features; views are drawn too.
    "lite-gru": (
        "head.dropout=0.3",
        "training.augmentation.temporal_crop=0.6",
        "training.views=[plain, flip]",
        "training.epochs=6",
        "training.refit=true",
        "training.calibration_folds=2",
    ),
    # Everything that is random in a network trained end to end.
    "cnn-lstm": (
        "head.dropout=0.3",
        "training.augmentation.temporal_crop=0.6",
        "training.augmentation.flip=true",
        "training.augmentation.crop_scale=0.7",
        "training.augmentation.colour=0.2",
        "training.epochs=6",
    ),
}


@pytest.fixture(scope="module")
def killed(
    videos: Path, recipe: Callable[..., Recipe], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with a run of each recipe that was killed as its third epoch ended."""
    folder = tmp_path_factory.mktemp("killed")
    for name, overrides in RECIPES.items():
        request = TrainingRequest(data=videos, recipe=recipe(name, *overrides))
        (folder / f"{name}.json").write_text(request.model_dump_json())
    ended = subprocess.run(
        [sys.executable, "-c", TRAIN_AND_BE_KILLED, *(str(folder / name) for name in RECIPES)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.split() == [str(-signal.SIGKILL)] * len(RECIPES), ended.stderr
    return folder


@pytest.mark.parametrize("name", RECIPES)
def test_a_killed_training_goes_on_to_the_very_same_model_and_figures(
    killed: Path, tmp_path: Path, name: str
) -> None:
    request = TrainingRequest.model_validate_json((killed / f"{name}.json").read_text())
    run, whole = RunFolder(killed / name), RunFolder(tmp_path / "whole")
    assert run.metrics() is None
    assert len(run.history_file.read_text().splitlines()) == 1 + EPOCH_OF_DEATH
    assert train(request, run.path, resume=True) == train(request, whole.path)
    for file in ("model/model.safetensors", "history.csv", "predictions.csv", "splits.csv"):
        assert (run.path / file).read_bytes() == (whole.path / file).read_bytes(), file
    assert json.loads(run.history_file.read_text().splitlines()[-1].split(",")[0]) == 6


def test_ctrl_c_keeps_the_last_checkpoint_and_says_how_to_go_on(
    videos: Path, recipe: Callable[..., Recipe], tmp_path: Path, filmstrip: Callable
) -> None:
    settings = tmp_path / "quick.yaml"
    filmstrip("recipes", "mean-linear", "--save", settings)
    command = ["train", str(videos), "--recipe", str(settings), "--out", str(tmp_path / "run")]
    command += ["--set", "framing.size=32", "--epochs", "100000"]
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    with subprocess.Popen(
        [sys.executable, "-c", "from filmstrip.app.cli import main; main()", *command],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not checkpoint.is_file() and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "Traceback" not in told
    assert "Interrupted" in told
    assert "--resume" in told
    last = checkpoint.read_bytes()
    ended = filmstrip(*command)
    assert ended.exit_code == 1
    assert "unfinished run" in ended.stderr
    assert checkpoint.read_bytes() == last


def test_a_run_that_was_cut_short_while_it_was_made_is_begun_anew(
    videos: Path, recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    (run.path / ".0123abcd.part.json").write_text("{")
    os.close(os.open(run.path / ".lock", os.O_CREAT))
    metrics = train(TrainingRequest(data=videos, recipe=recipe("mean-linear")), run.path)
    assert metrics["test"]["num_clips"] > 0
