from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filmstrip.app.compare.comparison import Comparison, compare_recipes
from filmstrip.app.compare.ladder import Ladder
from filmstrip.app.compare.page import write_page
from filmstrip.app.compare.rungs import Rung
from filmstrip.errors import DatasetError, RunError, WeightsError
from filmstrip.evaluation.significance import compare
from filmstrip.recipes.recipe import Recipe
from filmstrip.storage import locked
from filmstrip.training.answers import paired_predictions
from filmstrip.training.reporter import Advance, Reporter
from filmstrip.training.run_folder import TrainingRequest
from filmstrip.video.sampling import RateSampling


@pytest.fixture(scope="module")
def rungs(recipe: Callable[..., Recipe]) -> list[Rung]:
    return [Rung(name, recipe(name)) for name in ("lite-gru", "mean-linear")]


def make_ladder(out: Path, rungs: list[Rung], data: Path, cache: Path, **settings: Any) -> Ladder:
    """One split for each of two seeds, or what is given."""
    request = TrainingRequest(
        data=data,
        recipe=rungs[0].recipe,
        num_folds=settings.get("num_folds", 0),
        quarantine=settings.get("quarantine"),
    )
    return Ladder(request, rungs, settings.get("num_seeds", 2), out, cache, "eager-fp32")


@pytest.fixture(scope="module")
def finished(
    rungs: list[Rung], videos: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Ladder, Comparison]:
    """Two recipes under two seeds; not to be changed."""
    ladder = make_ladder(tmp_path_factory.mktemp("compare") / "ladder", rungs, videos, cache)
    return ladder, compare_recipes(ladder, Reporter())


@pytest.fixture
def copied(finished: tuple[Ladder, Comparison], tmp_path: Path) -> Ladder:
    """The finished ladder, to be changed."""
    ladder, _ = finished
    return replace(ladder, out=Path(shutil.copytree(ladder.out, tmp_path / "copied")))


def written(ladder: Ladder) -> dict[Path, int]:
    """When each weights file of the ladder was written."""
    return {path: path.stat().st_mtime_ns for path in ladder.out.rglob("model.safetensors")}


def test_all_rungs_have_the_same_splits_and_the_figures_are_those_of_their_runs(
    finished: tuple[Ladder, Comparison],
) -> None:
    ladder, comparison = finished
    lite, linear = (
        [run.splits_file.read_bytes() for run in ladder.runs(rung)] for rung in ladder.rungs
    )
    assert lite == linear
    assert lite[0] != lite[1]
    for line in comparison.lines:
        runs = ladder.runs(line.rung)
        figures = [run.metrics() or {} for run in runs]
        by_seed = [metrics["test"]["accuracy"] for metrics in figures]
        assert line.standing.accuracy_by_seed == pytest.approx(by_seed)
        assert line.standing.accuracy == pytest.approx(np.mean(by_seed))
        assert line.fold_accuracies == pytest.approx(by_seed)
        assert line.ece == pytest.approx(np.mean([m["test"]["ece"] for m in figures]))
        assert line.training_seconds > 0
        assert line.cost.model_bytes == (runs[0].model / "model.safetensors").stat().st_size
        assert comparison.baselines["metadata"] == tuple(
            metrics["baselines"]["metadata"] for metrics in figures
        )
    stored = json.loads((ladder.out / "compare.json").read_text())
    assert stored == json.loads(json.dumps(comparison.as_json()))
    assert stored["best"] == stored["recipes"][0]["name"]


def test_one_seed_of_a_finished_comparison_stands_as_its_two_runs_do(
    copied: Ladder,
) -> None:
    before = written(copied)
    one = replace(copied, num_seeds=1)
    best, other = compare_recipes(one, Reporter()).lines
    pairs = paired_predictions(one.run(best.rung, 0), one.run(other.rung, 0), "test")
    alone = compare(
        [a.predicted == a.label for a, _ in pairs],
        [b.predicted == b.label for _, b in pairs],
        [a.group for a, _ in pairs],
    )
    against = other.standing.against_best
    assert against is not None
    assert against.p_value == pytest.approx(alone.p_value)
    assert against.difference == pytest.approx(alone.difference)
    assert written(copied) == before


def test_what_is_missing_is_trained_to_the_same_figures_and_nothing_is_trained_twice(
    finished: tuple[Ladder, Comparison], copied: Ladder
) -> None:
    _, whole = finished
    cut = copied.run(copied.rungs[1], 1)
    for name in ("metrics.json", "predictions.csv", "model/model.safetensors"):
        (cut.path / name).unlink()
    (copied.out / "compare.json").unlink()
    before = written(copied)
    resumed = compare_recipes(copied, Reporter())
    after = written(copied)
    assert {path: after[path] for path in before} == before
    assert len(after) == len(before) + 1
    assert resumed == whole


def test_ctrl_c_stops_the_comparison_and_the_next_call_ends_it(
    rungs: list[Rung], videos: Path, cache: Path, tmp_path: Path
) -> None:
    class PressesCtrlC(Reporter):
        @contextmanager
        def phase(self, title: str, num_steps: int) -> Iterator[Advance]:
            del num_steps
            yield lambda _: signal.raise_signal(signal.SIGINT) if title == "Training" else None

    ladder = make_ladder(tmp_path / "ladder", rungs[1:], videos, cache, num_seeds=1)
    with pytest.raises(KeyboardInterrupt):
        compare_recipes(ladder, PressesCtrlC())
    assert not written(ladder)
    assert compare_recipes(ladder, Reporter()).num_seeds == 1


def test_other_settings_are_refused_before_anything_is_trained(
    copied: Ladder, recipe: Callable[..., Recipe], listener: Any
) -> None:
    before = written(copied)
    lite, linear = copied.rungs
    shorter = replace(linear, recipe=recipe("mean-linear", "training.epochs=1"))
    folds = copied.request.model_copy(update={"num_folds": 3})
    for changed, what in (
        (replace(copied, rungs=[lite, shorter]), "recipe"),
        (replace(copied, request=folds), "num_folds"),
    ):
        with pytest.raises(RunError, match=f"was begun with another {what}") as error:
            compare_recipes(changed, listener)
        assert "another --out" in error.value.remedy
    assert listener.phases == []
    assert written(copied) == before


def test_files_that_some_rung_cannot_read_are_left_out_for_all_beside_the_quarantined(
    rungs: list[Rung], own_videos: Path, cache: Path, tmp_path: Path, listener: Any
) -> None:
    # One of the two recipes looks at the first frame only, and this file breaks later.
    broken = own_videos / "left" / "left_3.mp4"
    content = broken.read_bytes()
    start, end = content.find(b"mdat"), content.find(b"moov")
    late = start + (end - start) * 9 // 10
    broken.write_bytes(content[:late] + bytes(end - 4 - late) + content[end - 4 :])
    listed = tmp_path / "bad.csv"
    listed.write_text("path,reason\nup/up_2.mp4,black\n")
    early = rungs[1].recipe.model_copy(
        update={"name": "early", "sampling": RateSampling(frames_per_second=1, max_frames=1)}
    )
    pair = [Rung("early", early), rungs[1]]
    ladder = make_ladder(
        tmp_path / "ladder", pair, own_videos, cache, quarantine=listed, num_seeds=1
    )
    comparison = compare_recipes(ladder, listener)
    words = [told[-1] for title, _, told in listener.phases if title == "Extracting features"]
    assert ["0 unreadable" in words[0], "1 unreadable" in words[1]] == [True, True]
    assert comparison.num_left_out == 2
    for rung in pair:
        told = ladder.run(rung, 0).predictions_file.read_text()
        assert len(told.splitlines()) == 1 + 22
        assert "up_2" not in told
        assert "left_3" not in told
    assert compare_recipes(ladder, Reporter()) == comparison


def test_data_that_changed_is_refused_before_features_are_taken(
    rungs: list[Rung], own_videos: Path, cache: Path, tmp_path: Path, listener: Any
) -> None:
    def ladder(chosen: list[Rung]) -> Ladder:
        return make_ladder(tmp_path / "ladder", chosen, own_videos, cache, num_seeds=1)

    compare_recipes(ladder(rungs[1:]), Reporter())
    before = written(ladder(rungs))
    up = own_videos / "up"
    shutil.copy(up / "up_1.mp4", up / "up_9.mp4")
    with pytest.raises(RunError, match=r"1 clip added \(up/up_9\.mp4\)"):
        compare_recipes(ladder(rungs), listener)
    (up / "up_9.mp4").unlink()
    shutil.copy(up / "up_1.mp4", up / "up_2.mp4")
    with pytest.raises(RunError, match=r"1 clip edited \(up/up_2\.mp4\)"):
        compare_recipes(ladder(rungs), listener)
    assert listener.phases == []
    assert written(ladder(rungs)) == before


@pytest.mark.parametrize(("source", "change"), [("up_1", "added"), ("up_2", "edited")])
def test_data_that_changes_meanwhile_is_noticed(
    rungs: list[Rung], own_videos: Path, cache: Path, tmp_path: Path, source: str, change: str
) -> None:
    target = own_videos / "up" / ("up_9.mp4" if change == "added" else "up_1.mp4")

    class ChangesClip(Reporter):
        def note(self, text: str) -> None:
            if text.startswith("Run 2"):
                shutil.copy(own_videos / "up" / f"{source}.mp4", target)

    pair = [rungs[1], replace(rungs[1], name="again")]
    ladder = make_ladder(tmp_path / "ladder", pair, own_videos, cache, num_seeds=1)
    with pytest.raises(RunError, match=rf"clips or splits are not those of.*1 clip {change}"):
        compare_recipes(ladder, ChangesClip())


def test_what_cannot_end_well_is_refused_before_anything_is_extracted(
    rungs: list[Rung], videos: Path, cache: Path, tmp_path: Path, listener: Any
) -> None:
    out = tmp_path / "ladder"
    ladder = make_ladder(out, rungs, videos, cache)
    missing = [rungs[1], replace(rungs[0], weights=tmp_path / "missing.safetensors")]
    with pytest.raises(WeightsError, match=r"^lite-gru: .*missing\.safetensors"):
        compare_recipes(replace(ladder, rungs=missing), listener)
    with pytest.raises(DatasetError, match="num_folds 9"):
        compare_recipes(make_ladder(out, rungs, videos, cache, num_folds=9), listener)
    with locked(out), pytest.raises(RunError, match="another Filmstrip process"):
        compare_recipes(ladder, listener)
    (out / "diary.txt").write_text("not yours")
    with pytest.raises(RunError, match=r"diary\.txt"):
        compare_recipes(ladder, listener)
    assert listener.phases == []


def test_the_page_holds_every_rung_and_warns_of_what_makes_its_figures_doubtful(
    finished: tuple[Ladder, Comparison], tmp_path: Path
) -> None:
    _, comparison = finished
    first, second = comparison.lines
    doubtful = replace(
        comparison,
        lines=(first, replace(second, weights_origin="random")),
        baselines={"majority": (0.3, 0.3), "metadata": (1.0, 1.0)},
    )
    write_page(doubtful, ["filmstrip", "compare", "my videos"], tmp_path)
    page = (tmp_path / "compare.md").read_text()
    tables = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("|")]
    assert sum(f"`{second.rung.name}`" in row[0] for row in tables) == 4
    assert {len(row) for row in tables} == {5, 6}
    assert f"| {first.standing.accuracy:.3f} |" in page
    assert f"WARNING: {second.rung.name}: the backbone's weights are RANDOM" in page
    assert "not shown to be above size and duration alone, which reach 1.000" in page
    assert "filmstrip compare 'my videos'" in page
    assert "![Accuracy against cost](compare.png)" in page
    assert (tmp_path / "compare.png").stat().st_size > 10_000
    write_page(comparison, ["filmstrip"], tmp_path)
    assert "RANDOM" not in (tmp_path / "compare.md").read_text()
