"""Cut recordings, on pictures without files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from filmstrip.dataset.doctor import continuation
from filmstrip.dataset.doctor.continuation import find_continuations
from filmstrip.dataset.doctor.fingerprints import Fingerprint


def recording(seed: int, num_frames: int = 40) -> np.ndarray:
    """Smooth blobs that drift: (T, 16, 16) uint8."""
    rng = np.random.default_rng(seed)
    noise = gaussian_filter(rng.standard_normal((num_frames, 16, 16)), (3, 2, 2))
    return np.clip(128 + 40 * noise / noise.std(), 0, 255).astype(np.uint8)


def found(**videos: np.ndarray) -> list[tuple[str, str]]:
    prints = {
        Path(name): Fingerprint(np.arange(len(pictures)) / 16, pictures)
        for name, pictures in videos.items()
    }
    return [(first.name, second.name) for first, second in find_continuations(prints)]


def halves(count: int) -> dict[str, np.ndarray]:
    videos = {}
    for seed in range(count):
        whole = recording(seed)
        videos[f"end{seed}"], videos[f"start{seed}"] = whole[17:], whole[:17]
    return videos


def test_halves_are_found_in_the_order_of_the_recording() -> None:
    assert sorted(found(**halves(12))) == sorted((f"start{n}", f"end{n}") for n in range(12))


def test_the_answer_does_not_depend_on_how_many_are_compared_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    videos = halves(12)
    whole = found(**videos)
    monkeypatch.setattr(continuation, "_ROWS_AT_ONCE", 5)
    assert found(**videos) == whole


def test_pieces_of_one_recording_are_found_as_a_chain() -> None:
    whole = recording(50, 60)
    pieces = {"a": whole[:20], "b": whole[20:40], "c": whole[40:]}
    assert found(**pieces, **halves(3))[:2] == [("a", "b"), ("b", "c")]


def test_recordings_that_were_not_cut_are_not_joined() -> None:
    assert found(**{f"v{seed}": recording(seed) for seed in range(60)}) == []


def test_clips_of_a_fixed_camera_that_begin_and_end_in_an_empty_scene_are_not_joined() -> None:
    scene = recording(1, 1)
    rng = np.random.default_rng(0)
    videos = {}
    for seed in range(6):
        clip = np.repeat(scene, 20, axis=0).astype(int)
        clip[5:15, 4:9, 4:9] = recording(100 + seed, 10)[:, 4:9, 4:9]
        videos[f"v{seed}"] = np.clip(clip + rng.normal(0, 1, clip.shape), 0, 255).astype(np.uint8)
    assert found(**videos) == []


def test_a_fade_to_black_goes_on_in_no_fade_from_black() -> None:
    gain = np.linspace(1, 0, 20)[:, None, None]
    out, into = recording(1, 20) * gain, recording(2, 20) * gain[::-1]
    assert found(out=out.astype(np.uint8), into=into.astype(np.uint8), other=recording(3)) == []


def test_a_loop_does_not_go_on_in_itself() -> None:
    there = recording(1, 20)
    loop = np.concatenate([there, there[::-1]])
    assert found(loop=loop, other=recording(2)) == []


def test_single_pictures_and_nothing_at_all_go_on_in_nothing() -> None:
    assert found() == []
    assert found(a=recording(1, 1), b=recording(1, 1)) == []
