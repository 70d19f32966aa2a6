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
from filmstrip.model.specs import TimmBackboneSpec
from filmstrip.recipes.recipe import Recipe
from filmstrip.storage import locked
from filmstrip.training.answers import paired_predictions
from filmstrip.training.reporter import Advance, Reporter
from filmstrip.training.run_folder import RunFolder, TrainingRequest

MakeLadder = Callable[..., Ladder]


@pytest.fixture
def ladder(recipe: Callable[..., Recipe], videos: Path, tmp_path: Path, cache: Path) -> MakeLadder:
    """``ladder()``: two quick recipes on ``videos``, two folds and one seed, or what is given."""

    def make(**settings: Any) -> Ladder:
        rungs = [Rung(name, recipe(name)) for name in ("lite-gru", "mean-linear")]
        rungs = settings.pop("rungs", rungs)
        request = TrainingRequest(
            data=settings.pop("data", videos),
            recipe=rungs[0].recipe,
            num_folds=settings.pop("num_folds", 2),
            quarantine=settings.pop("quarantine", None),
        )
        return Ladder(
            request=request,
            rungs=rungs,
            num_seeds=settings.pop("num_seeds", 1),
            out=tmp_path / "ladder",
            cache=cache,
            engine="eager-fp32",
        )

    return make


def written(ladder: Ladder) -> dict[Path, int]:
    """When each weights file of the ladder was written."""
    return {path: path.stat().st_mtime_ns for path in ladder.out.rglob("model.safetensors")}


def splits(run: RunFolder) -> list[bytes]:
    return [fold.splits_file.read_bytes() for fold in (*run.folds, run)]


def test_all_rungs_have_the_same_splits_and_the_figures_are_those_of_their_runs(
    ladder: MakeLadder,
) -> None:
    two = ladder(num_seeds=2)
    comparison = compare_recipes(two, Reporter())
    lite, linear = two.rungs
    for seed in range(2):
        assert splits(two.run(lite, seed)) == splits(two.run(linear, seed))
    assert splits(two.run(lite, 0)) != splits(two.run(lite, 1))
    assert comparison.num_clips == 24
    for line in comparison.lines:
        figures = [run.metrics() or {} for run in two.runs(line.rung)]
        by_seed = [metrics["test"]["accuracy"] for metrics in figures]
        assert line.standing.accuracy_by_seed == pytest.approx(by_seed)
        assert line.standing.accuracy == pytest.approx(np.mean(by_seed))
        assert line.ece == pytest.approx(np.mean([m["test"]["ece"] for m in figures]))
        assert len(line.fold_accuracies) == 4
        assert line.training_seconds > 0
        weights = (two.run(line.rung, 0).model / "model.safetensors").stat()
        assert line.cost.model_bytes == weights.st_size
        assert comparison.baselines["metadata"] == tuple(
            metrics["baselines"]["metadata"] for metrics in figures
        )
    stored = json.loads((two.out / "compare.json").read_text())
    assert stored == json.loads(json.dumps(comparison.as_json()))
    assert stored["best"] == stored["recipes"][0]["name"]


def test_two_rungs_under_one_seed_stand_as_their_runs_do(ladder: MakeLadder) -> None:
    one = ladder()
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


class PressesCtrlC(Reporter):
    """Interrupts the training of the third part, between two epochs."""

    def __init__(self) -> None:
        self.num_trainings = 0

    @contextmanager
    def phase(self, title: str, num_steps: int) -> Iterator[Advance]:
        self.num_trainings += title == "Training"
        presses = self.num_trainings == 3

        def advance(_words: str) -> None:
            nonlocal presses
            if presses:
                presses = False
                signal.raise_signal(signal.SIGINT)

        yield advance


def test_an_interrupted_comparison_goes_on_to_the_same_figures_and_trains_nothing_twice(
    ladder: MakeLadder, tmp_path: Path
) -> None:
    whole = compare_recipes(ladder(), Reporter())
    Path(tmp_path / "ladder").rename(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        compare_recipes(ladder(), PressesCtrlC())
    finished = written(ladder())
    assert finished
    resumed = compare_recipes(ladder(), Reporter())
    again = written(ladder())
    assert {path: again[path] for path in finished} == finished
    assert [line.standing for line in resumed.lines] == [line.standing for line in whole.lines]
    assert [line.cost.macs for line in resumed.lines] == [line.cost.macs for line in whole.lines]
    assert compare_recipes(ladder(), Reporter()) == resumed
    assert written(ladder()) == again


def test_recipes_and_seeds_may_be_added_but_settings_may_not_change(
    ladder: MakeLadder, recipe: Callable[..., Recipe]
) -> None:
    lite, linear = ladder().rungs
    compare_recipes(ladder(rungs=[linear]), Reporter())
    first = written(ladder())
    more = compare_recipes(ladder(rungs=[linear, lite], num_seeds=2), Reporter())
    assert {line.rung.name for line in more.lines} == {"lite-gru", "mean-linear"}
    assert all(len(line.standing.accuracy_by_seed) == 2 for line in more.lines)
    assert first.items() <= written(ladder()).items()
    changed = replace(linear, recipe=recipe("mean-linear", "training.epochs=1"))
    for other, what in (
        (ladder(rungs=[lite, changed]), "recipe"),
        (ladder(num_folds=3), "num_fol"),
    ):
        before = written(other)
        with pytest.raises(RunError, match=f"begun with another {what}") as error:
            compare_recipes(other, Reporter())
        assert "another --out" in error.value.remedy
        assert written(other) == before


def test_a_file_that_one_rung_cannot_read_is_left_out_for_all(
    ladder: MakeLadder, recipe: Callable[..., Recipe], own_videos: Path
) -> None:
    broken = own_videos / "left" / "left_3.mp4"
    broken.write_bytes(b"no video")
    whole = ladder(data=own_videos)
    comparison = compare_recipes(whole, Reporter())
    assert (comparison.num_clips, comparison.num_left_out) == (23, 1)
    assert "left_3.mp4" in whole.left_out_file.read_text()
    for rung in whole.rungs:
        run = whole.run(rung, 0)
        assert "left_3" not in run.predictions_file.read_text()
        assert run.request().quarantine == whole.left_out_file
    assert compare_recipes(whole, Reporter()) == comparison


def test_a_file_that_breaks_after_runs_were_begun_with_it_is_named(
    ladder: MakeLadder, own_videos: Path
) -> None:
    whole = ladder(data=own_videos)
    compare_recipes(whole, Reporter())
    (own_videos / "up" / "up_1.mp4").write_bytes(b"no video")
    with pytest.raises(RunError, match=r"up_1\.mp4: the comparison was begun with it"):
        compare_recipes(ladder(data=own_videos, num_seeds=2), Reporter())


def test_clips_that_were_added_since_are_noticed_before_anything_is_trained(
    ladder: MakeLadder, own_videos: Path
) -> None:
    lite, linear = ladder().rungs
    compare_recipes(ladder(data=own_videos, rungs=[linear]), Reporter())
    shutil.copy(own_videos / "up" / "up_1.mp4", own_videos / "up" / "up_9.mp4")
    with pytest.raises(DatasetError, match="up_9"):
        compare_recipes(ladder(data=own_videos, rungs=[linear, lite]), Reporter())
    assert not ladder().run(lite, 0).path.exists()


def test_data_that_changes_meanwhile_is_noticed(ladder: MakeLadder, own_videos: Path) -> None:
    class AddsClip(Reporter):
        def note(self, text: str) -> None:
            if text.startswith("Run 2"):
                shutil.copy(own_videos / "up" / "up_1.mp4", own_videos / "up" / "up_9.mp4")

    with pytest.raises(RunError, match="its splits are not those of"):
        compare_recipes(ladder(data=own_videos), AddsClip())


def test_a_quarantine_of_the_user_is_honoured_beside_what_cannot_be_read(
    ladder: MakeLadder, own_videos: Path, tmp_path: Path
) -> None:
    (own_videos / "left" / "left_3.mp4").write_bytes(b"no video")
    listed = tmp_path / "bad.csv"
    listed.write_text("path,reason\nup/up_2.mp4,black\n")
    _, linear = ladder().rungs
    whole = ladder(data=own_videos, quarantine=listed, rungs=[linear])
    comparison = compare_recipes(whole, Reporter())
    assert (comparison.num_clips, comparison.num_left_out) == (22, 2)
    tested = whole.run(linear, 0).predictions_file.read_text()
    assert "up_2" not in tested
    assert "left_3" not in tested


def test_what_cannot_end_well_is_refused_before_anything_is_extracted(
    ladder: MakeLadder, recipe: Callable[..., Recipe], tmp_path: Path, listener: Any
) -> None:
    lite, linear = ladder().rungs
    missing = replace(lite, weights=tmp_path / "missing.safetensors")
    with pytest.raises(WeightsError, match=r"^lite-gru: .*missing\.safetensors"):
        compare_recipes(ladder(rungs=[linear, missing]), listener)
    with pytest.raises(DatasetError, match="num_folds 9"):
        compare_recipes(ladder(num_folds=9), listener)
    with locked(ladder().out), pytest.raises(RunError, match="another Filmstrip process"):
        compare_recipes(ladder(), listener)
    (ladder().out / "diary.txt").write_text("not yours")
    with pytest.raises(RunError, match=r"diary\.txt"):
        compare_recipes(ladder(), listener)
    assert listener.phases == []


def test_without_folds_each_seed_has_its_own_split(ladder: MakeLadder) -> None:
    _, linear = ladder().rungs
    comparison = compare_recipes(ladder(num_folds=0, num_seeds=2, rungs=[linear]), Reporter())
    [line] = comparison.lines
    assert line.fold_accuracies == pytest.approx(line.standing.accuracy_by_seed)
    assert comparison.num_clips <= 24


@pytest.fixture
def compared(ladder: MakeLadder) -> tuple[Comparison, Path]:
    _, linear = ladder().rungs
    random = TimmBackboneSpec(name="resnet18", weights="none")
    odd = replace(linear, name="odd", recipe=linear.recipe.model_copy(update={"backbone": random}))
    whole = ladder(rungs=[linear, odd])
    return compare_recipes(whole, Reporter()), whole.out


def test_the_page_holds_every_rung_and_says_how_to_read_it(
    compared: tuple[Comparison, Path],
) -> None:
    comparison, out = compared
    write_page(comparison, ["filmstrip", "compare", "my videos"], out)
    page = (out / "compare.md").read_text()
    tables = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(tables) == 3 * 2
    assert all(row.count("|") in (5, 7, 11) for row in tables)
    assert f"| {comparison.best.standing.accuracy:.3f} |" in page
    assert "RANDOM backbone weights, whose accuracy says nothing: odd." in page
    assert "filmstrip compare 'my videos'" in page
    assert "![Accuracy against cost](compare.png)" in page
    assert (out / "compare.png").stat().st_size > 10_000
