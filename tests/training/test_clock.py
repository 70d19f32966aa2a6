from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from filmstrip.errors import RunError
from filmstrip.training.clock import CLOCK_FILE, training_seconds


def clock(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / CLOCK_FILE).read_text())
    return content


def test_the_time_of_the_epochs_is_kept(task: Any, tmp_path: Path) -> None:
    start = time.monotonic()
    task.fit(tmp_path, task.spec(epochs=3), task.linear)
    whole = time.monotonic() - start
    assert clock(tmp_path)["num_epochs"] == 3
    assert 0 < clock(tmp_path)["seconds"] <= whole


def test_a_training_that_goes_on_adds_to_what_it_took_and_not_the_time_between(
    task: Any, tmp_path: Path
) -> None:
    num_told = 0

    def stop_after_two(_words: str) -> None:
        nonlocal num_told
        num_told += 1
        if num_told == 2:
            signal.raise_signal(signal.SIGINT)

    chosen = task.spec(epochs=4)
    with pytest.raises(KeyboardInterrupt):
        task.fit(tmp_path, chosen, task.linear, advance=stop_after_two)
    first = clock(tmp_path)
    assert first["num_epochs"] == 2
    time.sleep(1.0)
    start = time.monotonic()
    task.fit(tmp_path, chosen, task.linear, resume=True)
    second = time.monotonic() - start
    assert clock(tmp_path)["num_epochs"] == 4
    assert first["seconds"] < clock(tmp_path)["seconds"] <= first["seconds"] + second
    task.fit(tmp_path, chosen, task.linear, resume=True)
    assert clock(tmp_path)["num_epochs"] == 4


def test_the_time_of_a_run_is_that_of_all_trainings_below_it(tmp_path: Path) -> None:
    for number, place in enumerate((".", "folds/1", "folds/1/pretraining", "folds/2"), start=1):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / CLOCK_FILE).write_text(json.dumps({"seconds": number}))
    assert training_seconds(tmp_path) == 10


@pytest.mark.parametrize("content", ["", '{"seconds": 1', "{}", "[]"])
def test_a_damaged_time_is_an_error_that_names_its_file(tmp_path: Path, content: str) -> None:
    (tmp_path / CLOCK_FILE).write_text(content)
    with pytest.raises(RunError, match=CLOCK_FILE):
        training_seconds(tmp_path)
