from __future__ import annotations

from pathlib import Path

import pytest

from filmstrip.dataset.layout import Layout, read_layout
from filmstrip.errors import DatasetError

ROOT = Path("/data")


def layout_of(*tops: str, subs: str = "run walk", loose: str = "") -> Layout:
    """The layout of top folders that all hold ``subs``, and of some that hold videos directly."""
    folders = [(top, sub) for top in tops for sub in subs.split()]
    return read_layout([*folders, *((top,) for top in loose.split())], ROOT)


@pytest.mark.parametrize(
    ("tops", "splits"),
    [
        (("train", "dev"), {"train", "val"}),
        (("training_set", "test_set"), {"train", "test"}),
        (("train_videos", "test_videos"), {"train", "test"}),
        (("Train", "Eval", "HOLDOUT"), {"train", "val", "test"}),
        (("ucf101_train", "ucf101_test"), {"train", "test"}),
        (("train1", "train2"), {"train"}),
    ],
)
def test_folders_named_like_splits_are_splits(tops: tuple[str, ...], splits: set[str]) -> None:
    layout = layout_of(*tops)
    assert layout.levels == ("split", "class")
    assert {layout.place((top, "walk")).split for top in tops} == splits
    assert layout.place((tops[0], "walk", "deeper")).label == "walk"


@pytest.mark.parametrize(
    "tops",
    [
        ("session1", "session2"),
        ("Person_01", "Person_02", "Person_03"),
        ("siteA", "siteB"),
        ("2021-05-01", "2021-05-02"),
        ("indoor", "outdoor"),
        ("fold1", "fold2"),
        ("alice", "bob"),
    ],
)
def test_other_folders_that_share_subfolders_are_groups(tops: tuple[str, ...]) -> None:
    layout = layout_of(*tops)
    assert layout.levels == ("group", "class")
    assert layout.place((tops[0], "walk")).group == tops[0]


@pytest.mark.parametrize("subs", ["cam1 cam2", "take1 take2 take3", "indoor outdoor", "1 2 3"])
def test_folders_that_hold_takes_or_conditions_are_classes(subs: str) -> None:
    layout = layout_of("walk", "run", subs=subs)
    assert layout.levels == ("class",)
    assert layout.place(("walk", subs.split()[0])).label == "walk"


@pytest.mark.parametrize(
    ("subs", "loose"), [("left", ""), ("old new", "hug jump wave"), ("left right", "hug")]
)
def test_classes_may_hold_some_folders_of_the_same_names(subs: str, loose: str) -> None:
    assert layout_of("kick", "punch", subs=subs, loose=loose).levels == ("class",)


@pytest.mark.parametrize(
    ("tops", "subs", "loose"),
    [
        ("train session2", "run walk", ""),
        ("train test extra", "run walk", ""),
        ("session1 session2", "cam1 cam2", ""),
        ("session1 session2", "walk", ""),
        ("session1 session2", "run walk", "jump"),
        ("walk run", "left right", ""),
        ("alice bob", "run walk", "alice"),
    ],
)
def test_names_that_allow_two_readings_are_refused(tops: str, subs: str, loose: str) -> None:
    with pytest.raises(DatasetError, match="not clear which folders are the classes") as error:
        layout_of(*tops.split(), subs=subs, loose=loose)
    assert "--class-folders" in error.value.remedy


def test_splits_may_hold_sessions_that_hold_classes() -> None:
    folders = [
        (split, session, label)
        for split in ("train", "test")
        for session in ("session1", "session2")
        for label in ("run", "walk")
    ]
    layout = read_layout(folders, ROOT)
    place = layout.place(("test", "session2", "walk"))
    assert (place.label, place.split, place.group) == ("walk", "test", "session2")


def test_the_sentence_names_splits_and_classes() -> None:
    folders = [("training_set", "walk"), ("training_set", "run"), ("dev", "walk")]
    assert read_layout(folders, ROOT).sentence(folders) == (
        "dev (val), training_set (train) are splits; the folders in them are the classes: run, walk"
    )


def test_sessions_may_hold_splits_that_hold_classes() -> None:
    folders = [
        (session, split, label)
        for session in ("session1", "session2")
        for split in ("train", "test")
        for label in ("run", "walk")
    ]
    layout = read_layout(folders, ROOT)
    place = layout.place(("session2", "test", "walk"))
    assert (place.label, place.split, place.group) == ("walk", "test", "session2")


def test_classes_may_hold_splits_that_hold_takes() -> None:
    folders = [
        (label, split, take)
        for label in ("run", "walk")
        for split in ("train", "test")
        for take in ("take1", "take2")
    ]
    assert read_layout(folders, ROOT).levels == ("class", "split")
