"""Fingerprints for a training: the doctor's own, found at half its cost and kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmstrip.cache import Cache
from filmstrip.dataset.content import content_hash
from filmstrip.dataset.doctor.fingerprints import Fingerprint
from filmstrip.dataset.doctor.glance import glance_at
from filmstrip.dataset.doctor.inspection import inspect_video
from filmstrip.dataset.doctor.survey import survey
from filmstrip.dataset.doctor.thumbnails import Pace
from filmstrip.dataset.rows import VideoRow
from filmstrip.dataset.synthetic import render_clip
from filmstrip.video.encode import write_video


def write(path: Path, num_frames: int = 23, frames_per_second: float = 25) -> Path:
    frames = render_clip("left", np.random.default_rng(3), num_frames, 64)
    write_video(path, frames, frames_per_second)
    return path


def glance(cache: Path, *paths: Path) -> dict[Path, Fingerprint]:
    return glance_at({path: content_hash(VideoRow(path, "")) for path in paths}, Cache(cache))


@pytest.mark.parametrize("frames_per_second", [5, 16, 25, 50])
def test_they_are_those_of_the_doctor(tmp_path: Path, frames_per_second: float) -> None:
    video = write(tmp_path / "clip.mp4", frames_per_second=frames_per_second)
    ours = glance(tmp_path / "cache", video)[video]
    theirs = Fingerprint.of(inspect_video(video))
    np.testing.assert_array_equal(ours.times_seconds, theirs.times_seconds)
    np.testing.assert_array_equal(ours.thumbnails, theirs.thumbnails)


def test_the_last_frame_is_always_among_them(tmp_path: Path) -> None:
    video = write(tmp_path / "clip.mp4", num_frames=24, frames_per_second=25)
    assert glance(tmp_path / "cache", video)[video].times_seconds[-1] == pytest.approx(23 / 25)


@given(st.lists(st.floats(0, 100), max_size=60), st.floats(0.01, 4000))
def test_the_times_that_are_taken_grow_whatever_a_container_says(
    times: list[float], duration_seconds: float
) -> None:
    pace = Pace(duration_seconds)
    taken = [seconds for seconds in times if pace.takes(seconds)]
    assert taken == sorted(set(taken))
    assert taken[:1] == times[:1]


def test_what_the_doctor_has_found_is_used(tmp_path: Path) -> None:
    video, cache = write(tmp_path / "clip.mp4"), tmp_path / "cache"
    facts = survey([video], Cache(cache), 1)[video]
    (entry,) = cache.rglob("*.json")
    marked = facts.model_copy(update={"thumbnails": bytes(len(facts.thumbnails))})
    entry.write_text(marked.model_dump_json())
    assert not glance(cache, video)[video].thumbnails.any()


def test_a_renamed_video_is_known_and_a_damaged_entry_is_found_anew(tmp_path: Path) -> None:
    video, cache = write(tmp_path / "clip.mp4"), tmp_path / "cache"
    first = glance(cache, video)[video]
    (entry,) = cache.rglob("*.json")
    kept = entry.read_text()
    entry.write_text(kept.replace('"times_seconds":[0.0,', '"times_seconds":[-1.0,'))
    renamed = video.rename(tmp_path / "renamed.mp4")
    assert glance(cache, renamed)[renamed].times_seconds[0] == -1
    entry.write_text(kept[:50])
    np.testing.assert_array_equal(glance(cache, renamed)[renamed].thumbnails, first.thumbnails)
    assert entry.read_text() == kept


def test_a_video_that_breaks_off_has_none_and_the_others_are_seen(tmp_path: Path) -> None:
    video, broken = write(tmp_path / "clip.mp4"), write(tmp_path / "broken.mkv")
    broken.write_bytes(broken.read_bytes()[:400])
    assert list(glance(tmp_path / "cache", broken, video)) == [video]
