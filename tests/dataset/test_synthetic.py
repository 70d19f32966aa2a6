"""The rendered motions: exact reversals, real files, the same from any number of workers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from filmstrip.dataset.synthetic import MOTIONS, render_clip, render_dataset
from filmstrip.errors import DatasetError
from filmstrip.video.decode import read_clip
from filmstrip.video.probe import probe
from filmstrip.video.sampling import UniformSampling


@pytest.mark.parametrize(("motion", "reverse"), MOTIONS.items())
def test_a_motion_and_its_reverse_draw_the_same_frames_in_opposite_order(
    motion: str, reverse: str
) -> None:
    clip = render_clip(motion, np.random.default_rng(5), num_frames=12)
    backwards = render_clip(reverse, np.random.default_rng(5), num_frames=12)
    np.testing.assert_array_equal(clip, backwards[::-1])
    assert (clip[0] != clip[-1]).any()


def test_ten_motions_come_in_five_pairs() -> None:
    assert len(MOTIONS) == 10
    assert all(MOTIONS[reverse] == motion for motion, reverse in MOTIONS.items())


def centre_of_change(clip: np.ndarray) -> np.ndarray:
    """Where each frame differs most from the clip's median picture: (T, 2) as (y, x)."""
    change = np.abs(clip.astype(float) - np.median(clip, axis=0)).sum(axis=3)
    change = np.where(change > 120, change, 0)
    rows, columns = np.indices(clip.shape[1:3])
    weight = change.sum(axis=(1, 2)) + 1e-9
    y = (change * rows).sum(axis=(1, 2)) / weight
    x = (change * columns).sum(axis=(1, 2)) / weight
    return np.stack([y, x], axis=1)


@pytest.mark.parametrize(
    ("motion", "axis", "sign"), [("right", 1, 1), ("left", 1, -1), ("down", 0, 1), ("up", 0, -1)]
)
def test_a_shape_moves_the_way_its_class_says(motion: str, axis: int, sign: int) -> None:
    moved = []
    for seed in range(10):
        centres = centre_of_change(render_clip(motion, np.random.default_rng(seed)))
        moved.append(sign * (centres[-4:, axis].mean() - centres[:4, axis].mean()))
    assert np.median(moved) > 20


def test_a_brightening_clip_ends_brighter_than_it_began() -> None:
    for seed in range(5):
        clip = render_clip("brightening", np.random.default_rng(seed))
        assert clip[-1].mean() > 1.5 * clip[0].mean()


def test_clips_of_one_motion_differ_from_one_another() -> None:
    first, second = (render_clip("left", np.random.default_rng(seed)) for seed in (0, 1))
    assert np.abs(first.astype(int) - second).mean() > 10


def test_a_data_set_is_real_video_files_and_the_same_whatever_the_number_of_workers(
    tmp_path: Path,
) -> None:
    advanced: list[str] = []
    render_dataset(tmp_path / "one", 2, seed=3, num_workers=1, advance=advanced.append)
    render_dataset(tmp_path / "two", 2, seed=3, num_workers=2)
    files = sorted(path.relative_to(tmp_path / "one") for path in tmp_path.glob("one/*/*"))
    assert len(files) == len(advanced) == 20
    assert {file.parent.name for file in files} == set(MOTIONS)
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    info = probe(tmp_path / "one" / files[0])
    assert info.codec == "h264"
    assert 1.3 < info.duration_seconds < 2
    clip = read_clip(tmp_path / "one" / files[0], UniformSampling(num_frames=4))
    assert clip.frames.shape == (4, 128, 128, 3)


def test_rendering_again_makes_only_what_is_missing(tmp_path: Path) -> None:
    render_dataset(tmp_path, 1, num_workers=1)
    kept, lost = tmp_path / "left" / "left_0000.mp4", tmp_path / "up" / "up_0000.mp4"
    content = lost.read_bytes()
    kept.write_bytes(b"mine")
    lost.unlink()
    render_dataset(tmp_path, 1, num_workers=1)
    assert kept.read_bytes() == b"mine"
    assert lost.read_bytes() == content


@pytest.mark.parametrize(
    ("motion", "num_frames", "size"), [("lefft", 8, 64), ("left", 1, 64), ("left", 8, 2)]
)
def test_an_impossible_clip_is_refused(motion: str, num_frames: int, size: int) -> None:
    with pytest.raises(DatasetError) as error:
        render_clip(motion, np.random.default_rng(0), num_frames, size)
    assert error.value.remedy
