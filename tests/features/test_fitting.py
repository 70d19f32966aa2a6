from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from filmstrip.dataset.index import open_index
from filmstrip.dataset.pack import pack
from filmstrip.dataset.rows import VideoRow
from filmstrip.dataset.split import fold_splits
from filmstrip.features.fitting import MOST_MEASURED, evenly_spread, fitted_recipe, measure_clips
from filmstrip.recipes.catalogue import load_recipe
from filmstrip.video.auto_sampling import AutoSampling, ClipTimes, fit_sampling
from filmstrip.video.encode import write_video
from filmstrip.video.probe import probe
from filmstrip.video.sampling import RateSampling, UniformSampling

_CANDIDATES = [p / "shared" / "data" / "ut_interaction" for p in Path(__file__).parents]
UT_INTERACTION = next((path for path in _CANDIDATES if path.is_dir()), _CANDIDATES[0])


def _write(path: Path, num_frames: int, fps: float) -> VideoRow:
    frames = np.random.default_rng(num_frames).integers(0, 255, (num_frames, 32, 32, 3), np.uint8)
    write_video(path, frames, fps)
    return VideoRow(path, path.parent.name)


def test_short_clips_are_sampled_at_their_own_rate(tmp_path: Path) -> None:
    rows = [_write(tmp_path / f"{n}.mp4", n, 25) for n in (5, 7, 10)]
    notes: list[str] = []
    recipe = fitted_recipe(load_recipe("lite-gru"), rows, notes.append)
    assert recipe.sampling == RateSampling(frames_per_second=25, max_frames=64)
    assert notes[0].startswith("Sampling: 25 frames/s, up to 64: the median clip lasts 0.28 s")
    assert notes[1].startswith("WARNING: Short clips: the median clip has 7 frames")
    assert recipe.model_copy(update={"sampling": "auto"}) == load_recipe("lite-gru").model_copy(
        update={"sampling": "auto"}
    )


def test_fixed_sampling_stays_and_is_warned_of(tmp_path: Path) -> None:
    rows = [_write(tmp_path / f"{n}.mp4", n, 25) for n in (5, 7, 10)]
    notes: list[str] = []
    fixed = load_recipe("lite-gru", ["sampling=rate"])
    assert fitted_recipe(fixed, rows, notes.append) == fixed
    assert len(notes) == 1
    assert "gives 3 frames at 10 a second" in notes[0]


def test_unreadable_clips_are_left_out(tmp_path: Path) -> None:
    good = _write(tmp_path / "good.mp4", 50, 25)
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    times = measure_clips([VideoRow(bad, "a"), good, VideoRow(tmp_path / "gone.mp4", "a")])
    assert times.durations_seconds.tolist() == [2]


def test_large_data_sets_are_measured_in_part() -> None:
    rows = [VideoRow(Path(f"{number}.mp4"), "a") for number in range(1234)]
    chosen = evenly_spread(rows)
    assert len(chosen) == MOST_MEASURED == len(set(chosen))
    assert evenly_spread(rows[:7]) == rows[:7]
    assert evenly_spread([]) == []


def test_packed_clips_keep_the_sampling_that_made_them(
    videos: Path, tmp_path: Path, filmstrip: Callable[..., object]
) -> None:
    packed = tmp_path / "clips.npz"
    quick = ("--set", "framing.size=16")
    filmstrip("pack", videos, "--recipe", "vgg16-lstm", *quick, "--out", packed)
    recipe = fitted_recipe(load_recipe("lite-gru"), open_index(packed).rows)
    assert recipe.sampling == load_recipe("vgg16-lstm").sampling
    assert isinstance(recipe.sampling, UniformSampling)


def test_arrays_of_unknown_sampling_are_told(videos: Path, tmp_path: Path) -> None:
    packed = tmp_path / "clips.npz"
    frames = np.zeros((4, 8, 8, 3), np.uint8)
    pack(open_index(videos), packed, lambda _row: frames, {})
    notes: list[str] = []
    recipe = fitted_recipe(load_recipe("lite-gru"), open_index(packed).rows, notes.append)
    assert recipe.sampling == RateSampling()
    assert "does not say how its clips were sampled" in notes[0]


@pytest.mark.skipif(not UT_INTERACTION.is_dir(), reason="shared/data/ut_interaction is absent")
def test_ut_interaction_is_sampled_as_before() -> None:
    # The sampling is part of every feature's key: equal sampling, equal features, equal results.
    index = open_index(UT_INTERACTION)
    before = RateSampling(frames_per_second=10, max_frames=64)
    for name in ("lite-gru", "lite-bigru"):
        assert fitted_recipe(load_recipe(name), index.rows).sampling == before
    # Nor would the training clips of one fold alone lead to another sampling.
    infos = {row.path: probe(row.path) for row in index.rows}
    for seed in range(3):
        for fold in fold_splits(index, 5, seed, 0.15):
            train = [infos[row.path] for row in fold.subset("train").rows]
            times = ClipTimes.of([i.duration_seconds for i in train], [i.num_frames for i in train])
            assert fit_sampling(AutoSampling(), times) == before
