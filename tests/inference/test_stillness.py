from __future__ import annotations

import numpy as np
import pytest
import torch

from filmstrip.inference.stillness import PictureRuns, Shown, with_stillness


def _plain(level: int) -> np.ndarray:
    return np.full((8, 8, 3), level, np.uint8)


def test_a_slow_change_is_no_still() -> None:
    picture = _plain(100)
    runs = PictureRuns()
    numbers = []
    for pixel in range(64):  # each step alone is below the bound
        picture = picture.copy()
        picture[pixel // 8, pixel % 8] += 10
        numbers.append(runs.number(picture))
    assert numbers == sorted(numbers)
    assert len(set(numbers)) > 10


def test_one_picture_that_was_encoded_twice_is_the_same() -> None:
    runs = PictureRuns()
    noisy = _plain(100)
    noisy[::4] += 1
    assert [runs.number(one) for one in (_plain(100), noisy, _plain(100), _plain(0))] == [
        1,
        1,
        1,
        2,
    ]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([1, 1, 1, 2, 3, 3], [True, True, True, False, False, False]),
        ([1, 2, 2, 2, 2], [False, True, True, True, True]),
        ([], []),
    ],
)
def test_a_run_is_a_still_from_so_many_instants_on(
    numbers: list[int], expected: list[bool]
) -> None:
    frames = [Shown(run, torch.tensor([place]), 1) for place, run in enumerate(numbers)]
    flagged = list(with_stillness(frames, 3))
    assert [is_still for is_still, _ in flagged] == expected
    assert [int(shown.features) for _, shown in flagged] == list(range(len(numbers)))


def test_with_stillness_counts_the_instants_of_each_frame() -> None:
    frames = [Shown(run, torch.empty(0), count) for run, count in ((1, 2), (2, 10**12), (3, 1))]
    assert [is_still for is_still, _ in with_stillness(frames, 3)] == [False, True, False]
