from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from filmstrip.dataset.clip_table import Clip, changed_clips, clips_of, read_clips, write_clips
from filmstrip.dataset.content import content_hash
from filmstrip.dataset.index import open_index
from filmstrip.dataset.rows import VideoRow
from filmstrip.errors import RunError

ONE, TWO = Clip("up", "g1", "aa"), Clip("down", "g2", "bb")
BEFORE = {"a.mp4": ONE, "b.mp4": TWO}


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (BEFORE, []),
        ({**BEFORE, "c.mp4": Clip("up", "g3", "cc")}, ["1 clip added (c.mp4)"]),
        ({"a.mp4": ONE}, ["1 clip removed (b.mp4)"]),
        ({"a.mp4": ONE, "c.mp4": TWO}, ["1 clip renamed (b.mp4 to c.mp4)"]),
        ({**BEFORE, "a.mp4": replace(ONE, content="cc")}, ["1 clip edited (a.mp4)"]),
        ({**BEFORE, "a.mp4": replace(ONE, content="")}, ["1 clip edited (a.mp4)"]),
        (
            {**BEFORE, "a.mp4": replace(ONE, label="down")},
            ["1 clip relabelled (a.mp4 from 'up' to 'down')"],
        ),
        (
            {**BEFORE, "b.mp4": replace(TWO, group="g1")},
            ["1 clip moved to another group (b.mp4 from 'g2' to 'g1')"],
        ),
    ],
)
def test_changed_clips_names_each_kind(now: dict[str, Clip], expected: list[str]) -> None:
    assert changed_clips(BEFORE, now) == expected


def test_changed_clips_ignores_what_was_not_known_before() -> None:
    assert changed_clips({"a.mp4": Clip("up")}, {"a.mp4": ONE}) == []


def test_changed_clips_shortens_long_lists() -> None:
    now = {**BEFORE, **{f"{number}.mp4": Clip("up", "", str(number)) for number in range(9)}}
    assert changed_clips(BEFORE, now) == ["9 clips added (0.mp4, 1.mp4, 2.mp4, and 6 more)"]


def test_clips_are_read_as_they_were_written(videos: Path, tmp_path: Path) -> None:
    clips = clips_of(open_index(videos))
    odd = b"line\nbreak, \xff.mp4".decode(errors="surrogateescape")
    clips[odd] = Clip("up", "", "")
    write_clips(tmp_path / "clips.csv", clips)
    assert read_clips(tmp_path / "clips.csv") == clips
    assert len({clip.content for clip in clips.values()}) == 25


@pytest.mark.parametrize("content", ["", "path,label\n", "path,label,group,content\na,b\n"])
def test_read_clips_refuses_a_damaged_table(tmp_path: Path, content: str) -> None:
    (tmp_path / "clips.csv").write_text(content)
    with pytest.raises(RunError, match=r"clips\.csv: is damaged"):
        read_clips(tmp_path / "clips.csv")


def test_an_edited_file_of_equal_size_and_time_has_another_hash(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"before")
    os.utime(path, ns=(10**18, 10**18))
    first = content_hash(VideoRow(path, ""))
    assert content_hash(VideoRow(path, "")) == first
    path.write_bytes(b"behind")
    os.utime(path, ns=(10**18, 10**18))
    assert content_hash(VideoRow(path, "")) != first


def test_a_file_is_read_once_for_its_hash(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = open_index(videos).rows[0]
    first = content_hash(row)
    monkeypatch.setattr("hashlib.file_digest", lambda *_: pytest.fail("it is read again"))
    assert content_hash(row) == first
