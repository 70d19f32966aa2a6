"""Grid and random search over a recipe's settings, judged on the validation part only.

Every trial has the same clips, the same split and the same cached features. The best trial's test
metrics are then those of one choice made without the test set.

OUT/
  clips.csv       the clips that the search was begun with
  trials/1, 2, …  a run folder for each trial
  trials.csv      the trials, best first
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sklearn.model_selection import ParameterGrid, ParameterSampler

from filmstrip.dataset.clip_table import changed_clips, clips_of, read_clips, write_clips
from filmstrip.dataset.index import VideoIndex
from filmstrip.errors import RecipeError, RunError
from filmstrip.recipes.catalogue import override
from filmstrip.recipes.plain_yaml import parse_yaml
from filmstrip.recipes.recipe import Recipe
from filmstrip.storage import locked, write_table
from filmstrip.training.begun import changes_since, check_same_clips
from filmstrip.training.feasibility import check_divisible
from filmstrip.training.reporter import Reporter
from filmstrip.training.run_folder import RunFolder, TrainingRequest
from filmstrip.training.train import train

Search = Literal["grid", "random"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One choice of settings, and what the validation part says of it.

    Attributes:
        number: from 1.
        overrides: the settings, as ``key=value``.
        run: its run folder.
        val_accuracy: of the best epoch.
        val_loss: of the best epoch.
    """

    number: int
    overrides: tuple[str, ...]
    run: Path
    val_accuracy: float
    val_loss: float


def parse_choices(texts: Sequence[str]) -> dict[str, list[Any]]:
    """``head.hidden=[64, 128]`` and the like to the values of each setting.

    Raises:
        RecipeError: a text without '=', or whose value is no list.
    """
    choices: dict[str, list[Any]] = {}
    for text in texts:
        key, _, value = text.partition("=")
        try:
            values = parse_yaml(value)
        except ValueError:
            values = None
        if not isinstance(values, list) or not values:
            raise RecipeError(
                f"--try {text!r}",
                "a setting and a list of values to try, such as head.hidden=[64, 128]",
                "quote it for the shell: --try 'head.hidden=[64, 128]'.",
            )
        choices[key.strip()] = values
    return choices


def combinations(
    choices: Mapping[str, list[Any]], search: Search, num_trials: int, seed: int
) -> list[tuple[str, ...]]:
    """The overrides of each trial: all combinations, or ``num_trials`` drawn without repetition."""
    grid = ParameterGrid(dict(choices))
    if search == "grid":
        drawn = list(grid)
    else:
        drawn = list(ParameterSampler(dict(choices), min(num_trials, len(grid)), random_state=seed))
    return [tuple(f"{key}={value}" for key, value in point.items()) for point in drawn]


def tune(
    request: TrainingRequest,
    trials: Sequence[tuple[str, ...]],
    out: Path,
    cache: Path | None = None,
    reporter: Reporter | None = None,
) -> list[Trial]:
    """Train a run for each of ``trials`` below ``out``; finished ones are taken up again.

    Args:
        request: the training that the trials vary.
        trials: the overrides of each.
        out: gets ``trials/1, 2, …`` (run folders) and ``trials.csv``.
        cache: the feature cache.
        reporter: hears of progress.

    Returns:
        The trials, best validation accuracy first (of equal ones the lower loss).

    Raises:
        FilmstripError: as ``train`` does. Before the first trial: an override that does not exist
            or changes the split; a split that cannot be made; clips that are not those that the
            search was begun with.
    """
    reporter = reporter or Reporter()
    # Every override is checked before the first trial costs time.
    recipes = [override(request.recipe, overrides) for overrides in trials]
    for overrides, recipe in zip(trials, recipes, strict=True):
        _check_same_split(request.recipe, recipe, overrides)
    index = request.wanted_index()
    check_divisible(request, index, can_choose_folds=False)
    finished = []
    with locked(out):
        runs = [RunFolder(out / "trials" / str(number + 1)) for number in range(len(trials))]
        _check_clips(out, [run for run in runs if run.request_file.is_file()], index)
        for number, (overrides, recipe) in enumerate(zip(trials, recipes, strict=True), start=1):
            reporter.note(f"Trial {number} of {len(trials)}: {', '.join(overrides)}")
            run = runs[number - 1]
            changed = request.model_copy(update={"recipe": recipe})
            val = train(changed, run.path, True, cache, reporter)["val"]
            check_same_clips([runs[0], run], "search")
            finished.append(Trial(number, overrides, run.path, val["accuracy"], val["loss"]))
            finished.sort(key=lambda trial: (-trial.val_accuracy, trial.val_loss))
            _write(out / "trials.csv", finished)
    return finished


def _check_same_split(base: Recipe, recipe: Recipe, overrides: Sequence[str]) -> None:
    """Refuse settings that change the split: validation sets that differ cannot be compared."""
    if (recipe.training.seed, recipe.split) != (base.training.seed, base.split):
        raise RecipeError(
            f"--try {', '.join(overrides)}: changes the split",
            "trials that are judged on the same validation clips",
            "leave training.seed and split.* out of --try. To measure several seeds, use "
            "'filmstrip compare --seeds 3'.",
        )


def _check_clips(out: Path, begun: Sequence[RunFolder], index: VideoIndex) -> None:
    """Check that the clips are those that the search was begun with, or store them."""
    clips = clips_of(index)
    stored = out / "clips.csv"
    places = [(stored, changed_clips(read_clips(stored), clips))] if stored.is_file() else []
    places += [(run.path, changes_since(run, clips)) for run in begun]
    for place, changes in places:
        if changes:
            raise RunError(
                f"{place}: the data has changed since the search was begun: {'; '.join(changes)}",
                "the same clips for every trial of a search",
                "restore them, or search in another --out. Features are cached, so unchanged clips "
                "are not decoded again.",
            )
    if not stored.is_file():
        write_clips(stored, clips)


def _write(path: Path, trials: Sequence[Trial]) -> None:
    columns = ("trial", "settings", "val_accuracy", "val_loss", "run")
    rows = (
        {
            "trial": trial.number,
            "settings": "; ".join(trial.overrides),
            "val_accuracy": f"{trial.val_accuracy:.4f}",
            "val_loss": f"{trial.val_loss:.4f}",
            "run": trial.run,
        }
        for trial in trials
    )
    write_table(path, columns, rows)
