from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from pydantic import TypeAdapter, ValidationError

from filmstrip.video.sampling import (
    RateSampling,
    Sampling,
    UniformSampling,
    frames_on_screen,
    sample_indices,
    sample_times,
)

durations = st.floats(min_value=0, max_value=7200, allow_subnormal=False)
uniforms = st.builds(
    UniformSampling, num_frames=st.integers(1, 100), short=st.sampled_from(["fewer", "repeat"])
)
rates = st.builds(
    RateSampling,
    frames_per_second=st.floats(min_value=0.01, max_value=120),
    max_frames=st.integers(1, 200),
)
samplings = uniforms | rates


@st.composite
def clips(draw: st.DrawFn) -> tuple[np.ndarray, float]:
    """Frame times at a variable rate, and the duration."""
    gaps = draw(st.lists(st.floats(min_value=0, max_value=2), min_size=1, max_size=150))
    times = np.cumsum([0.0, *gaps])
    return times[:-1], float(times[-1])


@given(samplings, clips())
def test_indices_are_sorted_in_range_and_at_least_one(
    sampling: UniformSampling | RateSampling, clip: tuple[np.ndarray, float]
) -> None:
    times, duration = clip
    indices = sample_indices(sampling, times, duration)
    assert len(indices) >= 1
    assert indices.min() >= 0
    assert indices.max() < len(times)
    assert np.all(np.diff(indices) >= 0)


@given(samplings, durations)
def test_times_are_within_the_clip_and_never_more_than_asked_for(
    sampling: UniformSampling | RateSampling, duration: float
) -> None:
    times = sample_times(sampling, duration)
    most = sampling.num_frames if sampling.kind == "uniform" else sampling.max_frames
    assert 1 <= len(times) <= most
    assert np.all(times >= 0)
    assert np.all(times <= duration)
    assert np.all(np.diff(times) >= 0)


@given(samplings, durations)
def test_no_stretch_of_the_clip_longer_than_a_segment_is_left_out(
    sampling: UniformSampling | RateSampling, duration: float
) -> None:
    times = sample_times(sampling, duration)
    segment = duration / len(times)
    if sampling.kind == "rate":
        segment = max(segment, 1 / sampling.frames_per_second)
    gaps = np.diff([0.0, *times, duration])
    assert gaps.max() <= segment * (1 + 1e-9) + 0.001


@given(st.integers(1, 64), durations)
def test_uniform_takes_the_midpoints_of_equal_segments(num_frames: int, duration: float) -> None:
    edges = np.linspace(0, duration, num_frames + 1)
    midpoints = (edges[:-1] + edges[1:]) / 2
    assert_allclose(
        sample_times(UniformSampling(num_frames=num_frames), duration), midpoints, atol=1e-9
    )


@given(st.integers(1, 64), st.integers(0, 300), st.sampled_from([12, 23.976, 25, 60, 240]))
def test_uniform_takes_distinct_frames_where_there_are_enough(
    num_frames: int, surplus: int, frames_per_second: float
) -> None:
    num_in_clip = num_frames + surplus
    times = np.arange(num_in_clip) / frames_per_second
    indices = sample_indices(
        UniformSampling(num_frames=num_frames), times, num_in_clip / frames_per_second
    )
    assert len(set(indices.tolist())) == num_frames


@given(st.integers(1, 15))
def test_a_short_clip_gives_each_frame_once_under_fewer(num_in_clip: int) -> None:
    times = np.arange(num_in_clip) / 25
    indices = sample_indices(UniformSampling(short="fewer"), times, num_in_clip / 25)
    assert_array_equal(indices, np.arange(num_in_clip))


@given(st.integers(1, 15))
def test_a_short_clip_repeats_all_its_frames_under_repeat(num_in_clip: int) -> None:
    times = np.arange(num_in_clip) / 25
    indices = sample_indices(UniformSampling(short="repeat"), times, num_in_clip / 25)
    assert len(indices) == 16
    assert set(indices.tolist()) == set(range(num_in_clip))


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (UniformSampling(short="fewer"), [0]),
        (UniformSampling(short="repeat"), [0] * 16),
        (RateSampling(frames_per_second=10, max_frames=4), [0]),
    ],
)
def test_a_single_picture_of_no_duration_is_sampled(
    sampling: UniformSampling | RateSampling, expected: list[int]
) -> None:
    assert sample_indices(sampling, np.zeros(1), 0.0).tolist() == expected


def test_rate_counts_from_the_first_frame_in_equal_steps() -> None:
    sampling = RateSampling(frames_per_second=4, max_frames=64)
    assert_allclose(sample_times(sampling, 1.6), [0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5])


def test_rate_stops_before_the_end_of_a_clip_of_whole_steps() -> None:
    sampling = RateSampling(frames_per_second=10, max_frames=100)
    assert len(sample_times(sampling, 7.0)) == 70
    assert len(sample_times(sampling, np.nextafter(7.0, 8.0))) == 70


def test_rate_spreads_over_a_clip_that_is_too_long_instead_of_cutting_it() -> None:
    sampling = RateSampling(frames_per_second=10, max_frames=5)
    assert_allclose(sample_times(sampling, 100.0), [0, 20, 40, 60, 80])


def test_rate_repeats_the_frame_that_stays_on_screen() -> None:
    indices = sample_indices(
        RateSampling(frames_per_second=4, max_frames=64), np.array([0.0, 1.0]), 1.5
    )
    assert indices.tolist() == [0, 0, 0, 0, 1, 1]


def test_a_pause_in_a_variable_frame_rate_is_seen_for_as_long_as_it_lasts() -> None:
    # Ten frames in the first second, then one that stays for nine.
    times = np.append(np.arange(10) / 10, 1.0)
    indices = sample_indices(UniformSampling(num_frames=10), times, 10.0)
    assert indices.tolist() == [5] + [10] * 9


def test_times_in_whole_milliseconds_do_not_hide_a_frame() -> None:
    # Thirty frames a second as Matroska writes them: 0.067 s stands for 2/30 s.
    times = np.round(np.arange(60) / 30, 3)
    indices = sample_indices(RateSampling(frames_per_second=30, max_frames=100), times, 2.0)
    assert_array_equal(indices, np.arange(60))


@given(clips(), st.lists(st.floats(0, 400), min_size=1))
def test_the_frame_on_screen_is_the_last_that_came_no_later(
    clip: tuple[np.ndarray, float], moments: list[float]
) -> None:
    frame_times, _ = clip
    shown = frames_on_screen(frame_times, np.array(moments))
    for moment, index in zip(moments, shown.tolist(), strict=True):
        came = [i for i, time in enumerate(frame_times) if time <= moment + 0.0006]
        assert index == came[-1]


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "uniform", "num_frames": 0},
        {"kind": "uniform", "short": "loop"},
        {"kind": "uniform", "frames": 16},
        {"kind": "rate", "frames_per_second": 0},
        {"kind": "rate", "frames_per_second": float("inf")},
        {"kind": "rate", "max_frames": 0},
        {"kind": "random"},
    ],
)
def test_settings_without_sense_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Sampling).validate_python(settings)


@given(samplings)
def test_a_sampling_survives_being_stored_with_the_model(
    sampling: UniformSampling | RateSampling,
) -> None:
    adapter: TypeAdapter[Sampling] = TypeAdapter(Sampling)
    assert adapter.validate_json(adapter.dump_json(sampling)) == sampling
