"""Every recipe goes the whole way: training, figures, evaluation, and prediction by itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import filmstrip
from filmstrip.inference.evaluate import evaluate_run
from filmstrip.recipes.catalogue import RECIPE_NAMES, load_recipe
from filmstrip.training.run_folder import RunFolder, TrainingRequest
from filmstrip.training.train import train

SMALL = ("framing.size=32", "training.epochs=1", "training.batch_size=8")
THREE_FRAMES = "sampling.num_frames=3"
# The hub's weights are not at hand here; what they are is no matter for the way through.
NO_WEIGHTS = "backbone.weights=none"
MORE = {
    "lite-gru": ("sampling.max_frames=3",),
    "lite-bigru": ("sampling.max_frames=3",),
    "mean-linear": (THREE_FRAMES,),
    "cnn-lstm": (THREE_FRAMES,),
    # Its way through pretraining is that of tests/training/test_pretrain.py.
    "resnet50-gru": (THREE_FRAMES, "backbone.pretrain=none"),
    "vgg16-lstm": (THREE_FRAMES, NO_WEIGHTS),
    "vgg16-bilstm": (THREE_FRAMES, NO_WEIGHTS),
    "xception-gru": (THREE_FRAMES, NO_WEIGHTS),
}


@pytest.mark.parametrize("name", RECIPE_NAMES)
def test_a_recipe_goes_from_videos_to_a_prediction(name: str, videos: Path, tmp_path: Path) -> None:
    recipe = load_recipe(name, [*SMALL, *MORE[name]])
    run = RunFolder(tmp_path / "run")
    # Predictions run the network in float32: to compare them, so must the training.
    metrics = train(TrainingRequest(data=videos, recipe=recipe), run.path, engine="eager-fp32")
    assert metrics == json.loads(run.metrics_file.read_text())
    assert sum(metrics[split]["num_clips"] for split in ("train", "val", "test")) == 24

    measured, skipped = evaluate_run(run.path)
    assert skipped == []
    assert measured["loss"] == pytest.approx(metrics["test"]["loss"], abs=1e-4)

    alone = shutil.move(run.model, tmp_path / "model")
    clip = videos / "up" / "up_7.mp4"
    answer = filmstrip.load(alone).predict(clip)
    rows = [line.split(",") for line in (run.path / "predictions.csv").read_text().splitlines()]
    stored = dict(zip(rows[0], next(row for row in rows if row[0] == "up/up_7.mp4"), strict=True))
    assert answer.label == stored["predicted"]
    for label in ("left", "right", "up"):
        assert np.isclose(answer.probs[label], float(stored[f"prob_{label}"]), atol=1e-4)
    assert recipe.source in (alone / "README.md").read_text()
