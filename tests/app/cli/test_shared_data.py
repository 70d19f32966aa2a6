"""What the commands say of real data sets that are not part of the project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from filmstrip.dataset.index import open_index
from filmstrip.errors import DatasetError

DATA = Path("/work/shared/data")
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the shared data sets are not here")

READINGS = {
    "ut_interaction": (
        "The folders are the classes: handshake, hug, kick, point, punch, push.",
        "6 classes; 120 clips in 20 groups, by 'seqNN' in the name "
        "(handshake/set1_04_seq01_0.avi is of seq01).",
    ),
    "urfd": (
        "The labels are those of clips.csv, the only table in the folder that gives each video one "
        "label: adl, fall.",
        "2 classes; 70 clips in 70 groups, by the column group of clips.csv.",
    ),
}


@needs_data
@pytest.mark.parametrize("name", READINGS)
def test_a_data_set_is_read_with_its_classes_and_groups(name: str) -> None:
    index = open_index(DATA / name)
    assert index.summary() == READINGS[name]
    assert index.skipped == ()


@needs_data
@pytest.mark.parametrize(
    ("name", "given", "remedy"),
    [
        ("odd", "holds videos but no class folders", "list them in a CSV"),
        ("annotations", "no video in it or below it", "give the folder"),
        ("annotations/zamba/labels.csv", "none of the files it names is there", "correct the"),
        ("urfd/videos", "holds videos but no class folders", "give {}/urfd/clips.csv, which"),
        ("urfd/segments.csv", "segments of one recording", "cut the segments out"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(name: str, given: str, remedy: str) -> None:
    with pytest.raises(DatasetError) as error:
        open_index(DATA / name)
    assert given in error.value.given
    assert remedy.format(DATA) in error.value.remedy


@needs_data
def test_split_says_the_same_in_few_lines(filmstrip: Callable[..., Any]) -> None:
    ended = filmstrip("split", DATA / "ut_interaction", "--no-near-duplicates")
    assert ended.exit_code == 0
    for sentence in READINGS["ut_interaction"]:
        assert sentence in ended.stderr
    assert len(ended.stderr.splitlines()) + len(ended.stdout.splitlines()) <= 10
