"""Many files: facts kept by content, faults told, nothing decoded twice."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from filmstrip.cache import Cache
from filmstrip.dataset.doctor.facts import VideoFacts
from filmstrip.dataset.doctor.survey import survey
from filmstrip.video.encode import write_video


@pytest.fixture
def video(tmp_path: Path) -> Path:
    frames = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    write_video(tmp_path / "clip.mp4", frames, 10)
    return tmp_path / "clip.mp4"


def entries(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.json"))


def test_facts_come_in_the_order_of_the_paths_and_each_file_is_told(
    video: Path, tmp_path: Path
) -> None:
    gone, told = tmp_path / "gone.mp4", []
    found = survey([gone, video], Cache(tmp_path / "cache"), 2, advance=told.append)
    assert list(found) == [gone, video]
    assert found[gone].fault is not None
    assert found[video].fault is None
    assert found[video].num_frames == 6
    assert sorted(told) == ["clip.mp4", "gone.mp4"]


def test_a_renamed_file_is_known_by_its_content(video: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = survey([video], Cache(cache), 1)[video]
    (entry,) = entries(cache)
    marked = first.model_copy(update={"codec": "read from the cache"})
    entry.write_text(marked.model_dump_json())
    renamed = video.rename(tmp_path / "renamed.mp4")
    assert survey([renamed], Cache(cache), 1)[renamed] == marked


def test_a_damaged_entry_is_found_anew(video: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = survey([video], Cache(cache), 1)[video]
    (entry,) = entries(cache)
    entry.write_bytes(entry.read_bytes()[:100])
    assert survey([video], Cache(cache), 1)[video] == first
    assert VideoFacts.model_validate_json(entry.read_bytes()) == first


def test_a_pipe_is_a_fault_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    found = survey([tmp_path / "pipe.mp4"], Cache(tmp_path / "cache"), 1)
    fault = found[tmp_path / "pipe.mp4"].fault
    assert fault is not None
    assert "not a regular file" in fault.words
