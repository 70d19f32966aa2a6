"""``filmstrip doctor`` and ``filmstrip train --quarantine`` as a shell calls them."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TARGET = ("--recipe", "mean-linear", "--workers", "1")


@pytest.fixture
def faulty_videos(own_videos: Path) -> Path:
    """Three classes of eight clips: one is cut short, one is there twice, one is mislabelled."""
    first, second, third = sorted(path for path in own_videos.iterdir() if path.is_dir())
    broken = sorted(first.iterdir())[0]
    broken.write_bytes(broken.read_bytes()[:-1200])
    shutil.copy(sorted(second.iterdir())[0], second / "again <b>.mp4")
    shutil.copy(sorted(second.iterdir())[2], third / "elsewhere.mp4")
    return own_videos


def test_every_finding_is_printed_and_errors_make_the_exit_code_one(
    faulty_videos: Path, filmstrip: Callable[..., Any]
) -> None:
    ended = filmstrip("doctor", faulty_videos, *TARGET)
    assert ended.exit_code == 1
    assert "Corrupt files" in ended.stdout
    assert "again <b>.mp4" in ended.stdout
    assert "The same content under two labels" in ended.stdout
    assert "Decoding every file" in ended.stderr


def test_the_json_holds_every_finding(faulty_videos: Path, filmstrip: Callable[..., Any]) -> None:
    told = json.loads(filmstrip("doctor", faulty_videos, *TARGET, "--json").stdout)
    assert told["num_clips"] == 26
    kinds = {finding["kind"] for finding in told["findings"]}
    assert {"corrupt", "exact_duplicates", "two_labels"} <= kinds
    for finding in told["findings"]:
        assert all((faulty_videos / path).exists() for path in finding["paths"])
        assert finding["cause"]
        assert finding["remedy"]


class _Links(HTMLParser):
    """Collects what a page would fetch, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_thumbnails_and_fetches_nothing(
    faulty_videos: Path, tmp_path: Path, filmstrip: Callable[..., Any]
) -> None:
    filmstrip("doctor", faulty_videos, *TARGET, "--html", tmp_path / "page.html")
    page = _Links()
    content = (tmp_path / "page.html").read_text(encoding="utf-8")
    page.feed(content)
    assert any(link.startswith("data:image/jpeg;base64,") for link in page.fetched)
    assert all(link.startswith("data:") for link in page.fetched)
    assert not re.search(r"https?://|@import|url\(", content)
    assert "again <b>.mp4" in page.text
    assert "Exact duplicates" in page.text


def test_training_honours_the_quarantine_and_lists_it_as_skipped(
    faulty_videos: Path,
    tmp_path: Path,
    recipe: Callable[..., Any],
    filmstrip: Callable[..., Any],
) -> None:
    from filmstrip.recipes.catalogue import to_yaml

    (tmp_path / "quick.yaml").write_text(to_yaml(recipe("mean-linear")))
    bad, out = tmp_path / "bad.csv", tmp_path / "run"
    filmstrip("doctor", faulty_videos, *TARGET, "--quarantine", bad)
    with bad.open(newline="") as file:
        listed = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert len(listed) == 4  # one broken, one copy, and both of two that disagree
    ended = filmstrip(
        "train",
        faulty_videos,
        "--recipe",
        tmp_path / "quick.yaml",
        "--quarantine",
        bad,
        "--out",
        out,
    )
    assert ended.exit_code == 0
    with (out / "skipped.csv").open(newline="") as file:
        skipped = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert skipped == {path: f"quarantined: {reason}" for path, reason in listed.items()}
    with (out / "splits.csv").open(newline="") as file:
        assert not listed.keys() & {row["path"] for row in csv.DictReader(file)}
    bad.unlink()
    assert filmstrip("evaluate", out).exit_code == 0


def test_a_sound_set_gets_two_lines_and_exit_code_zero(
    tmp_path: Path, filmstrip: Callable[..., Any]
) -> None:
    from filmstrip.dataset.synthetic import render_clip
    from filmstrip.video.encode import write_video

    for label in ("left", "up"):
        for number in range(3):
            frames = render_clip(label, np.random.default_rng(number), 24, 48)
            write_video(tmp_path / "videos" / label / f"{number}.mp4", frames, 16)
    ended = filmstrip("doctor", tmp_path / "videos", "--workers", 1)
    assert ended.exit_code == 0
    assert ended.stdout == (
        "Sound: 6 clips of 2 classes, every file decoded whole.\n"
        "Sampling: 11 frames/s, up to 64: the median clip lasts 1.5 s at 16 frames/s and gives 17 "
        "frames.\n"
    )


def test_arrays_are_refused_with_what_to_give_instead(
    own_videos: Path, tmp_path: Path, filmstrip: Callable[..., Any]
) -> None:
    packed = tmp_path / "clips.npz"
    filmstrip("pack", own_videos, "--recipe", "mean-linear", "--out", packed)
    ended = filmstrip("doctor", packed)
    assert ended.exit_code == 1
    assert "holds arrays, not video files" in ended.stderr


def test_doctor_needs_no_cache_and_warns_once(
    videos: Path,
    filmstrip: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "cache").write_bytes(b"a file where a folder is expected")
    monkeypatch.setenv("FILMSTRIP_CACHE", str(tmp_path / "cache"))
    ended = filmstrip("doctor", videos, *TARGET)
    assert ended.exit_code == 0
    assert ended.stderr.count("WARNING") == 1
