"""``sampling: auto`` in a training: chosen once, said, stored, and used again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from filmstrip.model.classifier import load_classifier
from filmstrip.recipes.catalogue import load_recipe
from filmstrip.recipes.recipe import Recipe
from filmstrip.training.reporter import Advance, Reporter
from filmstrip.training.run_folder import RunFolder, TrainingRequest
from filmstrip.training.train import train
from filmstrip.video.sampling import RateSampling

FITTED = RateSampling(frames_per_second=12, max_frames=64)  # twelve frames in one second


@pytest.fixture(scope="module")
def request_(videos: Path, recipe: Callable[..., Recipe]) -> TrainingRequest:
    return TrainingRequest(
        data=videos, recipe=recipe("lite-gru", "sampling=auto", "training.epochs=1")
    )


class _Interrupted(Reporter):
    @contextmanager
    def phase(self, title: str, num_steps: int) -> Iterator[Advance]:
        if title == "Training":
            raise KeyboardInterrupt
        yield lambda _words: None


def test_train_says_and_stores_the_chosen_sampling(
    request_: TrainingRequest, tmp_path: Path, listener: Any
) -> None:
    run = RunFolder(tmp_path / "run")
    train(request_, run.path, reporter=listener)
    assert (
        "Sampling: 12 frames/s, up to 64: the median clip lasts 1 s at 12 frames/s and gives 12 "
        "frames, all that it has."
    ) in listener.notes
    assert any(note.startswith("WARNING: Short clips") for note in listener.notes)
    assert load_classifier(run.path).spec.sampling == FITTED
    assert run.sampling() == FITTED
    assert load_recipe(str(run.path / "recipe.yaml")).sampling == FITTED
    assert "max_frames: 64" in (run.model / "README.md").read_text(encoding="utf-8")
    assert run.request() == request_


def test_resume_keeps_the_sampling_of_its_features(
    request_: TrainingRequest, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train(request_, run.path, reporter=_Interrupted())
    stored = json.loads(run.request_file.read_text(encoding="utf-8"))
    stored["sampling"]["frames_per_second"] = 6
    run.request_file.write_text(json.dumps(stored), encoding="utf-8")
    train(request_, run.path, resume=True)
    sampling = load_classifier(run.path).spec.sampling
    assert sampling == RateSampling(frames_per_second=6, max_frames=64)
