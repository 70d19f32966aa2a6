from __future__ import annotations

from typing import Any

import pytest

from filmstrip.training.leak_measure import LeakMeasure


def metrics(accuracy: float, spread: float, num_pairs: int = 0) -> dict[str, Any]:
    interval = (accuracy - spread, accuracy + spread)
    return {
        "test": {"accuracy": accuracy, "intervals": {"accuracy": interval}},
        "leaks": {"num_pairs": num_pairs},
        "folds": [],
    }


@pytest.mark.parametrize(
    ("random", "grouped", "spread", "told"),
    [
        (0.93, 0.75, 0.05, "Of the 0.93 under a random split, 0.18 is leak (7 pairs"),
        (
            0.93,
            0.88,
            0.05,
            "gives +0.05 (7 pairs of clips that belong together stood apart), but the",
        ),
        (
            0.60,
            0.65,
            0.05,
            "gives -0.05 (7 pairs of clips that belong together stood apart), but the",
        ),
        (
            0.40,
            0.62,
            0.05,
            "gives -0.22 (7 pairs of clips that belong together stood apart): what a",
        ),
    ],
)
def test_a_difference_is_called_a_leak_only_where_it_is_one_and_no_chance(
    random: float, grouped: float, spread: float, told: str
) -> None:
    measured = LeakMeasure(metrics(random, spread, 7), metrics(grouped, spread))
    assert measured.leak == pytest.approx(random - grouped)
    assert told in measured.verdict()
    assert ("is leak" in measured.verdict()) is told.startswith("Of the")
