"""Sheets of frames: real PNGs that show the frames they are given."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from filmstrip.errors import StorageError
from filmstrip.evaluation.contact_sheet import Mistake, plot_contact_sheet, plot_mistakes


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def mistake(value: int) -> Mistake:
    frames = np.full((9, 40, 60, 3), value, dtype=np.uint8)
    return Mistake(name="kick/a.avi", frames=frames, truth="kick", predicted="hug", confidence=0.9)


def test_the_sheet_of_mistakes_shows_their_frames(tmp_path: Path) -> None:
    plot_mistakes([mistake(10), mistake(200)], tmp_path / "a.png", num_mistakes=5)
    pixels = picture(tmp_path / "a.png")
    for value in (10, 200):
        # Six of the nine frames, 90 pixels high and 135 wide.
        assert (pixels == value).all(axis=2).sum() >= 6 * 90 * 135


def test_without_mistakes_the_sheet_says_so(tmp_path: Path) -> None:
    plot_mistakes([], tmp_path / "a.png", num_mistakes=0)
    plot_contact_sheet([], tmp_path / "said.png", title="No mistakes on the test clips")
    plot_contact_sheet([], tmp_path / "blank.png")
    np.testing.assert_array_equal(picture(tmp_path / "a.png"), picture(tmp_path / "said.png"))
    assert (picture(tmp_path / "a.png") < 128).any()
    assert (picture(tmp_path / "blank.png") == 255).all()


def test_a_contact_sheet_takes_clips_of_various_shapes(tmp_path: Path) -> None:
    tall, wide = np.zeros((2, 90, 30, 3), np.uint8), np.full((7, 20, 90, 3), 99, np.uint8)
    plot_contact_sheet([("tall", tall), ("wide", wide)], tmp_path / "a.png", title="Two clips")
    pixels = picture(tmp_path / "a.png")
    # Six of the wide frames at 90 pixels of height are 405 pixels wide each, with gaps of 4.
    assert pixels.shape[1] == 14 + 6 * 405 + 5 * 4 + 14
    assert (pixels == 99).all(axis=2).sum() >= 6 * 405 * 90


def test_a_picture_replaces_an_older_one_whole(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"old")
    plot_mistakes([mistake(50)], tmp_path / "a.png", num_mistakes=1)
    assert picture(tmp_path / "a.png").size
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_names_may_hold_line_ends_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    frames = np.zeros((1, 8, 8, 3), np.uint8)
    shown = Mistake("a\nb\udcff.mp4", frames, "two\nlines", "h\udce9", confidence=0.5)
    plot_mistakes([shown], tmp_path / "a.png", num_mistakes=1)
    assert (picture(tmp_path / "a.png") == 0).any()


def test_a_sheet_that_cannot_be_written_leaves_the_older_one_whole(
    tmp_path: Path, largest_file: Callable[[int], AbstractContextManager[None]]
) -> None:
    path = tmp_path / "a.png"
    noise = np.random.default_rng(0).integers(256, size=(6, 40, 60, 3), dtype=np.uint8)
    plot_contact_sheet([("noise", noise)], path)
    older = path.read_bytes()
    with largest_file(5000), pytest.raises(StorageError):
        plot_contact_sheet([("noise", noise)], path)
    assert path.read_bytes() == older
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
