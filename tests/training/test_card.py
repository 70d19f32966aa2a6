from __future__ import annotations

import copy

from filmstrip.training.card import model_card
from filmstrip.training.run_folder import RunFolder


def test_the_card_tells_the_threshold_and_what_it_gave_on_the_test_clips(
    finished_run: RunFolder,
) -> None:
    metrics = copy.deepcopy(finished_run.metrics())
    assert metrics is not None
    without = model_card(finished_run.request(), metrics)
    assert "It has no threshold to abstain" in without
    metrics["calibration"]["threshold"] = 0.6274
    metrics["test"] |= {"coverage": 0.75, "accuracy_answered": 0.938}
    card = model_card(finished_run.request(), metrics)
    assert "Below a confidence of 0.6274 it would rather not answer" in card
    assert "at least 95 % of the answers to them were right" in card
    assert "Of the test clips it answered 75 %, and 94 % of these rightly." in card
    metrics["folds"] = [{}, {}]
    metrics["summary"] = {
        "accuracy": {"mean": 0.5, "standard_deviation": 0.1, "min": 0.4, "max": 0.6}
    }
    assert "each fold's model, by its own threshold, answered 75 %" in model_card(
        finished_run.request(), metrics
    )
