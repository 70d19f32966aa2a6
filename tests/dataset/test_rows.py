from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from filmstrip.dataset.rows import VideoRow, split_name


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", "train Training training_set TRAIN_VIDEOS train-clips trainset TrainData train1"),
        ("val", "val dev Dev_Set eval evaluation validation VALID val2017 development-videos"),
        ("test", "test testing test_set videos_test holdout hold_out held-out test-data TestSet"),
    ],
)
def test_split_name_knows_the_usual_names(split: str, names: str) -> None:
    assert [split_name(name) for name in names.split()] == [split] * len(names.split())


@pytest.mark.parametrize("name", ["", "set", "protest", "contest", "devil", "trains", "walk", "1"])
def test_split_name_takes_nothing_else_for_a_split(name: str) -> None:
    assert split_name(name) is None


def test_a_row_composes_its_label_and_group() -> None:
    names = [unicodedata.normalize(form, "hüpfen") for form in ("NFC", "NFD")]
    rows = [VideoRow(Path("a.mp4"), name, group=name) for name in names]
    assert rows[0] == rows[1]
    assert rows[1].label == names[0]
