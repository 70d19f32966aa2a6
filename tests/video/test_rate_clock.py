from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmstrip.video.sampling import RateClock, RateSampling, sample_indices


def _live(rate: float, times: list[float], duration: float, is_eager: bool) -> list[int]:
    """The frames that a clock samples, in order, of frames that come one by one."""
    clock = RateClock(rate)
    sampled: list[int] = []
    for number, time in enumerate(times):
        if number:
            sampled += [number - 1] * clock.before(time)
        if is_eager:
            sampled += [number] * clock.at(time)
    return sampled + [len(times) - 1] * clock.until_end(duration)


@given(
    rate=st.sampled_from([1.0, 7.5, 8.0, 10.0, 23.976, 30.0]),
    gaps=st.lists(st.integers(1, 900), max_size=60),
    last=st.integers(1, 900),
    is_eager=st.booleans(),
)
def test_frames_one_by_one_are_sampled_as_those_of_a_file(
    rate: float, gaps: list[int], last: int, is_eager: bool
) -> None:
    times = np.cumsum([0, *gaps]) / 1000
    duration = times[-1] + last / 1000
    sampling = RateSampling(frames_per_second=rate, max_frames=10**4)
    expected = sample_indices(sampling, times, duration).tolist()
    assert _live(rate, times.tolist(), duration, is_eager) == expected


@pytest.mark.parametrize("fps", [5, 8, 24000 / 1001, 25, 29.97, 60])
def test_at_steady_rates_a_frame_that_comes_at_its_instant_is_seen_at_once(fps: float) -> None:
    times = (np.arange(100) / fps).tolist()
    expected = sample_indices(
        RateSampling(frames_per_second=8, max_frames=1000), np.array(times), 100 / fps
    )
    assert _live(8, times, 100 / fps, is_eager=True) == expected.tolist()
    assert RateClock(8).at(0.0) == 1


@given(
    rate=st.sampled_from([1.0, 7.5, 10.0, 23.976, 30.0, 240.0]),
    times=st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=20).map(sorted),
)
def test_rate_clock_counts_as_instant_by_instant(rate: float, times: list[float]) -> None:
    before, at = RateClock(rate), RateClock(rate)
    for time in times:
        before.before(time)
        at.at(time)
        assert before._num_instants == _first(lambda n, t=time: n / rate + 0.0006 >= t)
        assert at._num_instants == _first(lambda n, t=time: n / rate > t)


def _first(is_beyond: Callable[[int], bool]) -> int:
    return next(number for number in range(10**5) if is_beyond(number))


@pytest.mark.parametrize("gap_seconds", [1e6, 1e9, 1e12])
def test_rate_clock_jumps_over_a_gap(gap_seconds: float) -> None:
    clock = RateClock(10)
    assert clock.at(0.0) == 1
    assert clock.before(gap_seconds) == pytest.approx(10 * gap_seconds, abs=1)
    assert clock.at(gap_seconds) in (0, 1)
