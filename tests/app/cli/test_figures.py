from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

from filmstrip.app.cli.figures import print_part
from filmstrip.app.report.headline import make_headline
from filmstrip.app.report.record import read_record
from filmstrip.evaluation.bootstrap import wilson_interval
from filmstrip.evaluation.ladder import rank
from filmstrip.evaluation.metrics import evaluate
from filmstrip.training.card import model_card
from filmstrip.training.run_folder import RunFolder


@pytest.mark.parametrize(("num_groups", "are_few"), [(4, True), (20, False)])
def test_intervals_from_whole_groups_are_told_as_such_with_a_warning_where_these_are_few(
    num_groups: int, are_few: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = np.arange(40) % 2
    groups = [str(number % num_groups) for number in range(40)]
    probs = np.where(labels[:, None] == [0, 1], 0.8, 0.2)
    probs[0] = [0.4, 0.6]
    print_part("test", evaluate(probs, labels, ["a", "b"], groups=groups))
    shown = " ".join(capsys.readouterr().out.split())
    assert f"{num_groups} whole groups were drawn" in shown
    assert ("so few make it too narrow" in shown) is are_few


def test_where_each_clip_is_a_group_of_its_own_nothing_is_said_of_groups(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_part("test", evaluate([[0.6, 0.4], [0.3, 0.7], [0.2, 0.8]], [0, 1, 0], ["a", "b"]))
    assert "groups" not in capsys.readouterr().out


def test_a_perfect_score_has_the_same_interval_everywhere(
    finished_run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = np.arange(40) % 3
    test = evaluate(np.eye(3)[labels], labels, ["a", "b", "c"])
    metrics = copy.deepcopy(finished_run.metrics())
    assert metrics is not None
    metrics["test"] = dict(test)
    low = wilson_interval(40, 40)[0]
    shown = f"{low:.3f} to 1.000"
    record = replace(read_record(finished_run.path), metrics=metrics)
    print_part("test", test)
    assert shown in capsys.readouterr().out
    assert shown in model_card(finished_run.request(), metrics)
    assert make_headline(record).compared[0].interval == pytest.approx((low, 1))
    alike = [np.ones(40, bool)]
    names = [[str(number) for number in range(40)]]
    standing = rank({"a": alike, "b": alike}, names, names)["a"]
    assert standing.interval == pytest.approx([low, 1])


def test_a_run_of_an_earlier_version_shows_wilson_s_interval(finished_run: RunFolder) -> None:
    record = read_record(finished_run.path)
    test = {**record.metrics["test"], "accuracy": 1.0}
    test["intervals"] = {**test["intervals"], "accuracy": [1.0, 1.0]}
    test["resampling"] = {"units": "clips", "num_units": 40}
    headline = make_headline(replace(record, metrics={**record.metrics, "test": test}))
    assert headline.compared[0].interval == pytest.approx(wilson_interval(40, 40))
