"""Fingerprints and near-duplicates, on pictures without files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from filmstrip.dataset.doctor.duplicates import clusters, find_near_duplicates
from filmstrip.dataset.doctor.fingerprints import Fingerprint, compare, mirrored_hashes

STEP = 0.125


def scene(seed: int, num_frames: int = 32, contrast: float = 60.0) -> np.ndarray:
    """Smooth blobs that drift: (T, 16, 16) uint8."""
    rng = np.random.default_rng(seed)
    noise = gaussian_filter(rng.standard_normal((num_frames, 16, 16)), (1.5, 2, 2), mode="wrap")
    return np.clip(128 + contrast * noise / noise.std(), 0, 255).astype(np.uint8)


def fingerprint(pictures: np.ndarray, start_seconds: float = 0.0) -> Fingerprint:
    return Fingerprint(start_seconds + STEP * np.arange(len(pictures)), pictures)


def found(**videos: np.ndarray) -> list[tuple[str, str, float, bool]]:
    prints = {Path(name): fingerprint(pictures) for name, pictures in videos.items()}
    return [
        (str(pair.first), str(pair.second), pair.offset_seconds, pair.is_mirrored)
        for pair in find_near_duplicates(prints)
    ]


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_the_mirrored_hash_is_the_hash_of_the_mirrored_picture(seed: int) -> None:
    pictures = scene(seed, 4)
    _, plain = fingerprint(pictures).frame_hashes()
    _, mirrored = fingerprint(pictures[:, :, ::-1]).frame_hashes()
    # A frequency whose sign hangs on rounding may turn.
    assert np.mean(mirrored_hashes(plain) != mirrored) < 0.02


def test_a_still_video_has_no_change_to_hash() -> None:
    _, hashes = fingerprint(np.repeat(scene(1, 1), 10, axis=0)).change_hashes()
    assert hashes.shape == (0, 63)


def test_a_copy_is_found_where_it_begins() -> None:
    video = scene(1)
    assert found(a=video, b=video[9:]) == [("a", "b", 9 * STEP, False)]


def test_a_mirrored_copy_is_found_and_called_so() -> None:
    video = scene(2)
    assert found(a=video, b=video[:, :, ::-1]) == [("a", "b", 0.0, True)]


def test_a_darker_noisy_copy_is_found() -> None:
    video = scene(3)
    noise = np.random.default_rng(0).normal(0, 4, video.shape)
    darker = np.clip(video * 0.7 + 10 + noise, 0, 255).astype(np.uint8)
    assert [pair[:2] for pair in found(a=video, b=darker)] == [("a", "b")]


def test_an_extract_of_a_long_recording_is_found_in_it() -> None:
    recording = scene(4, num_frames=400)
    assert found(a=recording, b=recording[250:280]) == [("a", "b", 250 * STEP, False)]


def test_other_scenes_are_not_taken_for_copies() -> None:
    assert found(**{f"v{seed}": scene(seed) for seed in range(40)}) == []


def test_clips_of_one_background_that_share_no_moment_are_not_copies() -> None:
    background = scene(5, 1, contrast=80)[0].astype(int)
    videos = {}
    for seed in range(12):
        actor = scene(100 + seed).astype(int) - 128
        actor[:, :, :9] = 0  # the actor fills less than half of the picture
        videos[f"v{seed}"] = np.clip(background + actor // 3, 0, 255).astype(np.uint8)
    assert found(**videos) == []


def test_two_clips_of_one_still_picture_are_copies() -> None:
    still = np.repeat(scene(6, 1), 12, axis=0)
    assert [pair[:2] for pair in found(a=still, b=still[:8])] == [("a", "b")]


def test_many_clips_of_one_recording_end_in_one_cluster() -> None:
    recording = scene(7, 80)
    videos = {
        Path(f"v{start}"): fingerprint(recording[start : start + 32]) for start in (0, 16, 32, 48)
    }
    pairs = find_near_duplicates(videos)
    assert clusters((pair.first, pair.second) for pair in pairs) == [tuple(sorted(videos))]


def test_no_video_has_no_copies() -> None:
    assert find_near_duplicates({}) == []
    assert clusters([]) == []


def test_videos_that_do_not_overlap_cannot_be_compared() -> None:
    one = fingerprint(scene(1))
    assert compare(one, one, offset_seconds=60.0) is None


def test_the_likeness_of_a_video_to_itself_is_whole() -> None:
    likeness = compare(fingerprint(scene(1)), fingerprint(scene(1)), 0.0)
    assert likeness is not None
    assert likeness.frames == pytest.approx(1.0, abs=1e-4)
    assert likeness.changes == pytest.approx(1.0, abs=1e-4)
    assert likeness.overlap_seconds == pytest.approx(32 * STEP)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=20))
def test_clusters_hold_each_path_once_and_every_pair_together(
    numbers: list[tuple[int, int]],
) -> None:
    pairs = [(Path(str(one)), Path(str(other))) for one, other in numbers]
    found = clusters(pairs)
    members = [path for cluster in found for path in cluster]
    assert sorted(members) == sorted({path for pair in pairs for path in pair})
    place = {path: number for number, cluster in enumerate(found) for path in cluster}
    assert all(place[one] == place[other] for one, other in pairs)
