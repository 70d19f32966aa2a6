from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from filmstrip.features.runtimes import EAGER, Run, Runtime
from filmstrip.features.trial import Trial, TrialBook, fastest, run_trials

CPU = torch.device("cpu")
FRAMES = torch.zeros(8, 2, 2, 3, dtype=torch.uint8)
COMPILED = Runtime("compiled", "fp32")


def table(*trials: Trial) -> dict[str, Trial]:
    return {trial.runtime: trial for trial in trials}


EAGER_TRIAL = Trial("eager-fp32", 0.0, 10.0, 1.0)
COMPILED_TRIAL = Trial("compiled-fp32", 30.0, 40.0, 1.0)


def gives(features: torch.Tensor) -> Callable[[Runtime], Run]:
    return lambda _runtime: lambda _frames: features


def test_a_slow_start_is_chosen_only_where_enough_work_pays_for_it() -> None:
    trials = table(EAGER_TRIAL, COMPILED_TRIAL)
    little, much = fastest(trials, 100), fastest(trials, 10_000)
    assert little is not None
    assert much is not None
    assert (little.runtime, much.runtime) == ("eager-fp32", "compiled-fp32")


@given(
    st.lists(
        st.tuples(st.floats(0, 100), st.floats(0.1, 1e4), st.floats(0.99, 1)),
        min_size=1,
        max_size=6,
    ),
    st.integers(0, 10**6),
)
def test_no_other_runtime_would_finish_sooner(
    measured: list[tuple[float, float, float]], num_frames: int
) -> None:
    trials = table(*(Trial(str(i), *values) for i, values in enumerate(measured)))
    best = fastest(trials, num_frames)
    assert best is not None
    assert best.seconds(num_frames) == min(
        start_up + num_frames / speed for start_up, speed, _ in measured
    )


def test_a_runtime_whose_features_differ_is_never_chosen() -> None:
    twisted = Trial("compiled-bf16", 0.0, 1e6, 0.98)
    broken = Trial("openvino-fp32", 0.0, 0.0, 0.0, "no such layer")
    assert fastest(table(EAGER_TRIAL, twisted, broken), 10**6) == EAGER_TRIAL
    assert fastest(table(twisted, broken), 10**6) is None


def test_the_cosine_is_the_least_of_all_frames() -> None:
    reference = torch.eye(8)
    features = reference.clone()
    features[3, 4] = 1.0
    start = {"eager-fp32": reference, "compiled-fp32": features}
    trials, _ = run_trials(
        [EAGER, COMPILED],
        {},
        lambda runtime: lambda _frames: start[runtime.name],
        FRAMES,
        10**12,
    )
    assert trials["compiled-fp32"].cosine == pytest.approx(1 / math.sqrt(2))
    assert trials["eager-fp32"].cosine == pytest.approx(1)


def test_what_cannot_run_a_network_is_noted_with_its_reason_and_the_others_are_tried() -> None:
    def start(runtime: Runtime) -> Run:
        if runtime.kind == "openvino":
            raise RuntimeError("unsupported operator\nand a long trace")
        return lambda _frames: torch.eye(8)

    candidates = [EAGER, Runtime("openvino", "fp32"), COMPILED]
    trials, _ = run_trials(candidates, {}, start, FRAMES, 10**12)
    assert trials["openvino-fp32"].failure == "unsupported operator"
    assert trials["compiled-fp32"].is_sound


def test_a_trial_that_would_take_long_beside_the_work_is_not_made() -> None:
    known = table(EAGER_TRIAL)
    made, _ = run_trials([EAGER, COMPILED], known, gives(torch.eye(8)), FRAMES, 1_000)
    assert made == known


def test_what_was_skipped_for_little_work_is_tried_for_more() -> None:
    known = table(EAGER_TRIAL)
    made, _ = run_trials([EAGER, COMPILED], known, gives(torch.eye(8)), FRAMES, 100_000)
    assert made.keys() == {"eager-fp32", "compiled-fp32"}
    assert made["eager-fp32"] == EAGER_TRIAL


def test_a_precision_that_loses_eagerly_is_not_compiled() -> None:
    known = table(EAGER_TRIAL, Trial("eager-bf16", 0.0, 5.0, 1.0))
    candidates = [EAGER, Runtime("compiled", "bf16"), COMPILED]
    made, _ = run_trials(candidates, known, gives(torch.eye(8)), FRAMES, 10**9)
    assert "compiled-bf16" not in made
    assert "compiled-fp32" in made


def test_trials_are_remembered_for_the_same_network_alone(tmp_path: Path) -> None:
    trials = table(EAGER_TRIAL, Trial("openvino-fp32", 1.0, 0.0, 0.0, "no such layer"))
    TrialBook(tmp_path, "network", CPU).write(trials)
    assert TrialBook(tmp_path, "network", CPU).read() == trials
    assert TrialBook(tmp_path, "another", CPU).read() == {}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"trials": [{"speed": 1}]}', "\x00"])
def test_a_damaged_book_is_an_empty_one(tmp_path: Path, content: str) -> None:
    book = TrialBook(tmp_path, "network", CPU)
    book.write({})
    book.path.write_text(content)
    assert book.read() == {}


@pytest.mark.parametrize(
    "trial",
    [
        '{"runtime": "eager-fp32", "start_up_seconds": 0, "frames_per_second": 0, "cosine": 1}',
        '{"runtime": "eager-fp32", "start_up_seconds": "?", "frames_per_second": 9, "cosine": 1}',
        '{"runtime": "eager-fp32", "start_up_seconds": NaN, "frames_per_second": 9, "cosine": 1}',
        "7",
    ],
)
def test_trial_book_ignores_damaged_values(tmp_path: Path, trial: str) -> None:
    book = TrialBook(tmp_path, "network", CPU)
    tmp_path.mkdir(exist_ok=True)
    book.path.write_text(f'{{"machine": {{}}, "trials": [{trial}]}}')
    assert book.read() == {}


@pytest.mark.parametrize("error", [MemoryError(), OSError(28, "full"), RuntimeError("bad_alloc")])
def test_trial_that_the_machine_failed_is_not_kept(tmp_path: Path, error: Exception) -> None:
    def start(runtime: Runtime) -> Run:
        if runtime == COMPILED:
            raise error
        return lambda _frames: torch.eye(8)

    made, _ = run_trials([EAGER, COMPILED], table(EAGER_TRIAL), start, FRAMES, 10**9)
    assert made["compiled-fp32"].failure
    book = TrialBook(tmp_path, "network", CPU)
    book.write(made)
    assert book.read().keys() == {"eager-fp32"}
