from __future__ import annotations

import pytest

from filmstrip.errors import nearest
from filmstrip.recipes.catalogue import SHORT_FORMS

CLASSES = ["walk", "walk fast", "run", "fall", "sit_down"]
KEYS = [
    "sampling.num_frames",
    "sampling.frames_per_second",
    "head.hidden",
    "head.dropout",
    "head.layer_dropout",
    "training.epochs",
    "training.batch_size",
    "training.learning_rate",
    "training.backbone_learning_rate",
    "training.weight_decay",
    "training.l2",
]


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("WALK", "Did you mean 'walk'?"),
        ("walk-fast", "Did you mean 'walk fast'?"),
        ("wal", "Did you mean 'walk' or 'walk fast'?"),
        ("down", "Did you mean 'sit_down'?"),
        ("walking", "Did you mean 'walk'?"),
        ("flal", "Did you mean 'fall' or 'walk'?"),
        ("jump", "Known: fall, run, sit_down, walk, walk fast."),
        ("", "Known: fall, run, sit_down, walk, walk fast."),
        ("_", "Known: fall, run, sit_down, walk, walk fast."),
    ],
)
def test_nearest_prefers_names_that_begin_with_what_was_typed(typed: str, hint: str) -> None:
    assert nearest(typed, CLASSES) == hint


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("training.lr", "training.learning_rate"),
        ("lr", "training.learning_rate"),
        ("head.lr", "training.learning_rate"),
        ("training.LR", "training.learning_rate"),
        ("training.wd", "training.weight_decay"),
        ("training.bs", "training.batch_size"),
        ("sampling.fps", "sampling.frames_per_second"),
        ("fps", "sampling.frames_per_second"),
        ("epochs", "training.epochs"),
        ("head.epochs", "training.epochs"),
        ("head.hidden_size", "head.hidden"),
        ("head.hiden", "head.hidden"),
        ("training.learningrate", "training.learning_rate"),
    ],
)
def test_nearest_knows_the_short_forms_of_settings(typed: str, meant: str) -> None:
    assert nearest(typed, KEYS, SHORT_FORMS).startswith(f"Did you mean '{meant}'")


def test_nearest_suggests_the_first_of_equally_near_names() -> None:
    assert nearest("a", ["a3", "a2", "a1", "a0"]) == "Did you mean 'a3' or 'a2' or 'a1' or 'a0'?"
