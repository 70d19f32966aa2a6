from __future__ import annotations

import numpy as np
import pytest

from filmstrip.app.cli.figures import print_part
from filmstrip.evaluation.metrics import evaluate


@pytest.mark.parametrize(("num_groups", "are_few"), [(4, True), (20, False)])
def test_intervals_from_whole_groups_are_told_as_such_with_a_warning_where_these_are_few(
    num_groups: int, are_few: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = np.arange(40) % 2
    groups = [str(number % num_groups) for number in range(40)]
    probs = np.where(labels[:, None] == [0, 1], 0.8, 0.2)
    print_part("test", evaluate(probs, labels, ["a", "b"], groups=groups))
    shown = " ".join(capsys.readouterr().out.split())
    assert f"{num_groups} whole groups were drawn" in shown
    assert ("so few make it too narrow" in shown) is are_few


def test_where_each_clip_is_a_group_of_its_own_nothing_is_said_of_groups(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_part("test", evaluate([[0.6, 0.4], [0.3, 0.7]], [0, 1], ["a", "b"]))
    assert "groups" not in capsys.readouterr().out
