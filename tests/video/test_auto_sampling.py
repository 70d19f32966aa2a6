from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmstrip.video.auto_sampling import (
    FEWEST_FRAMES,
    LARGEST_MAX_FRAMES,
    MOST_FRAMES,
    AutoSampling,
    ClipTimes,
    describe_sampling,
    fit_sampling,
    sampling_warnings,
)
from filmstrip.video.sampling import RateSampling, UniformSampling, sample_times


def clips(*durations_seconds: float, fps: float = 30) -> ClipTimes:
    return ClipTimes.of(durations_seconds, [round(s * fps) for s in durations_seconds])


@pytest.mark.parametrize(
    ("durations_seconds", "fps", "rate", "max_frames"),
    [
        ((3, 3.5, 6.2), 30, 10, 64),  # UT-Interaction is like this
        ((1.6,), 16, 10, 64),
        ((0.2, 0.28, 0.4), 25, 25, 64),  # all that such clips have
        ((1.0,), 30, 16, 64),
        ((0.9,), 60, 18, 64),
        ((10,), 30, 4.8, 64),
        ((600,), 25, 0.08, 64),
        ((4, 4, 4, 20), 30, 10, 128),
        ((4, 4, 4, 4, 9), 30, 10, 80),
        ((600,), 1, 0.08, 64),
        ((20,), 1, 1, 64),  # a camera trap
        ((2,), 29.97002997, 10, 64),
    ],
)
def test_rate_follows_from_median_duration(
    durations_seconds: tuple[float, ...], fps: float, rate: float, max_frames: int
) -> None:
    found = fit_sampling(AutoSampling(), clips(*durations_seconds, fps=fps))
    assert found == RateSampling(frames_per_second=rate, max_frames=max_frames)


@given(
    st.lists(st.floats(0.05, 7200), min_size=1, max_size=20),
    st.floats(1, 240),
)
def test_median_clip_gives_16_to_48_frames_if_it_has_them(
    durations_seconds: list[float], fps: float
) -> None:
    counts = [max(round(seconds * fps), 1) for seconds in durations_seconds]
    times = ClipTimes.of(durations_seconds, counts)
    found = fit_sampling(AutoSampling(), times)
    assert isinstance(found, RateSampling)
    assert found.frames_per_second <= times.median_fps * 1.001 + 0.001
    assert 64 <= found.max_frames <= LARGEST_MAX_FRAMES
    num_frames = len(sample_times(found, times.median_seconds))
    assert num_frames <= MOST_FRAMES + 1
    has_enough = times.median_seconds * times.median_fps >= FEWEST_FRAMES
    assert num_frames >= FEWEST_FRAMES - 1 or not has_enough or times.median_fps < 1


def test_settings_that_are_given_are_kept() -> None:
    short = clips(0.28, fps=25)
    assert fit_sampling(AutoSampling(frames_per_second=8), short).frames_per_second == 8
    assert fit_sampling(AutoSampling(max_frames=20), short) == RateSampling(
        frames_per_second=25, max_frames=20
    )
    for fixed in (RateSampling(frames_per_second=3), UniformSampling(num_frames=4)):
        assert fit_sampling(fixed, short) is fixed


def test_clips_without_known_duration_do_not_count() -> None:
    times = ClipTimes.of([np.nan, 0, 3, -1], [5, 1, 90, 2])
    assert times.durations_seconds.tolist() == [3]
    assert fit_sampling(AutoSampling(), ClipTimes.of([np.nan], [5])) == RateSampling()


def test_description_gives_rate_and_reason() -> None:
    short = clips(0.28, fps=25)
    found = fit_sampling(AutoSampling(), short)
    assert isinstance(found, RateSampling)
    assert describe_sampling(found, short) == (
        "Sampling: 25 frames/s, up to 64: the median clip lasts 0.28 s at 25 frames/s and gives 7 "
        "frames, all that it has."
    )


def test_fitting_sampling_has_no_warning() -> None:
    usual = clips(2, 3, 4)
    assert sampling_warnings(fit_sampling(AutoSampling(), usual), usual) == []
    assert sampling_warnings(UniformSampling(num_frames=16), usual) == []
    camera_trap = clips(60, 80, fps=0.5)  # every frame is seen
    assert sampling_warnings(fit_sampling(AutoSampling(), camera_trap), camera_trap) == []


def test_short_clips_are_a_warning() -> None:
    short = clips(*[0.1] * 5, *[0.28] * 10, fps=25)
    (warning,) = sampling_warnings(fit_sampling(AutoSampling(), short), short)
    assert "the median clip has 7 frames" in warning
    assert "5 of 15 clips give fewer than 4" in warning
    (warning,) = sampling_warnings(RateSampling(), short)
    assert "gives 3 frames at 10 a second, of the 7 that it has" in warning
    assert "--set sampling=auto" in warning
    (warning,) = sampling_warnings(UniformSampling(num_frames=16), short)
    assert "15 of 15 clips have fewer than the 16 frames" in warning


def test_long_clips_are_a_warning() -> None:
    long = clips(600, 500, 550)
    for sampling in (fit_sampling(AutoSampling(), long), RateSampling(), UniformSampling()):
        (warning,) = sampling_warnings(sampling, long)
        assert "over 600 s are one frame every" in warning
        assert "3 of 3 clips" in warning
