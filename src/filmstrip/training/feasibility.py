"""Whether the clips can be divided as a run asks, found out before anything is decoded.

A split that cannot be made is refused with what would make it work: each way out is tried on the
clips first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from filmstrip.dataset.index import VideoIndex
from filmstrip.dataset.relations import apart
from filmstrip.dataset.split import fold_splits, missing_classes, split_index
from filmstrip.dataset.split_file import read_splits
from filmstrip.errors import DatasetError
from filmstrip.recipes.recipe import SplitSpec
from filmstrip.training.request import TrainingRequest

_MOST_WAYS = 3
_SMALLER_FRACTIONS = (0.1, 0.05)
_FOLDS = (5, 3, 2)
_NUM_SEEDS = 5


def check_divisible(
    request: TrainingRequest,
    index: VideoIndex,
    needs_test: bool = False,
    can_choose_folds: bool = True,
) -> None:
    """Refuse a request whose split or folds cannot be made from the groups that are known.

    Clips that turn out to be unreadable, and copies that join groups, can only make it harder.

    Args:
        request: what the run is asked to do.
        index: all its clips.
        needs_test: whether the run is of no use without a test set.
        can_choose_folds: whether the command has the option ``--folds``.

    Raises:
        DatasetError: a set would be empty, or a class would have no clip in the training set.
    """
    if request.splits is not None and not is_divided_anew(request):
        read_splits(
            request.splits, index, may_miss=True
        )  # what is wrong with it, folds do not mend
    try:
        _divide(request, index, needs_test)
    except DatasetError as error:
        ways = []
        for words, changed, clips in _ways_out(request, index, can_choose_folds):
            with suppress(DatasetError):
                _divide(changed, clips, needs_test)
                ways.append(words)
            if len(ways) == _MOST_WAYS:
                break
        is_given = request.splits is not None or any(row.split for row in index.rows)
        if not ways and is_given and not is_divided_anew(request):
            raise
        more_data = "add clips of other recordings or people, at least three of each class"
        remedy = f"give {'; or '.join(ways)}; or {more_data}." if ways else f"{more_data}."
        raise DatasetError(error.given, error.expected, remedy) from error


def check_sides(index: VideoIndex) -> None:
    """Refuse a split that cannot be trained on.

    Raises:
        DatasetError: the training or validation set is empty, or a class is not in the training
            set.
    """
    missing = missing_classes(index)
    empty = [split for split in ("train", "val") if not index.subset(split).rows]
    if empty or "train" in missing:
        fault = f"{empty[0]} is empty" if empty else f"train has no {missing['train'][0]!r}"
        raise DatasetError(
            f"{index.root}: by its splits, and without unreadable files, {fault}",
            "clips of every class in train, and some clips in val to choose the best epoch by",
            "add clips to that split, or leave the splits to Filmstrip.",
        )


def is_divided_anew(request: TrainingRequest) -> bool:
    """Whether splits that the data gives are set aside."""
    return request.division != "given" or request.num_folds > 0


def _divide(request: TrainingRequest, index: VideoIndex, needs_test: bool) -> None:
    """Make all splits of a run, as ``Division`` does, by the groups that names and tables give."""
    recipe = request.recipe
    seed, split = recipe.training.seed, recipe.split
    if request.division == "random":
        index = apart(index)
    if is_divided_anew(request):
        index = index.with_splits([""] * len(index))
    elif request.splits is not None:
        index = read_splits(request.splits, index, may_miss=True)
    if request.num_folds:
        for part in fold_splits(index, request.num_folds, seed, split.val_fraction):
            check_sides(part)
        check_sides(split_index(index, seed, split.val_fraction, 0.0))
        return
    part = split_index(index, seed, split.val_fraction, split.test_fraction)
    check_sides(part)
    if needs_test and not part.subset("test").rows:
        raise DatasetError(
            f"{index.root}: by its splits, test is empty",
            "a test set, or folds",
            "give --folds 5, or a split with test clips.",
        )


def _ways_out(
    request: TrainingRequest, index: VideoIndex, can_choose_folds: bool
) -> Iterator[tuple[str, TrainingRequest, VideoIndex]]:
    """Changes that may make the division possible, in words, and what they change."""
    seed, split = request.recipe.training.seed, request.recipe.split

    def changed(**settings: object) -> TrainingRequest:
        return request.model_copy(update=settings)

    def with_fractions(**fractions: float) -> TrainingRequest:
        new = SplitSpec.model_validate(split.model_dump() | fractions)
        return changed(recipe=request.recipe.model_copy(update={"split": new}))

    if can_choose_folds:
        for num_folds in _FOLDS:
            if num_folds != request.num_folds:
                yield f"--folds {num_folds}", changed(num_folds=num_folds), index
    if request.num_folds:
        if can_choose_folds:
            yield "no --folds, for one split", changed(num_folds=0), index
            without_test = with_fractions(test_fraction=0.0).model_copy(update={"num_folds": 0})
            words = "--set split.test_fraction=0 and no --folds, to train without a test set"
            yield words, without_test, index
    else:
        for fraction in _SMALLER_FRACTIONS:
            for name in ("test_fraction", "val_fraction"):
                if getattr(split, name) > fraction:
                    words = f"--set split.{name}={fraction:g}"
                    yield words, with_fractions(**{name: fraction}), index
        if split.test_fraction > 0:
            words = "--set split.test_fraction=0 to train without a test set"
            yield words, with_fractions(test_fraction=0.0), index
    for other in range(_NUM_SEEDS):
        if other != seed:
            training = request.recipe.training.model_copy(update={"seed": other})
            recipe = request.recipe.model_copy(update={"training": training})
            yield f"--set training.seed={other}", changed(recipe=recipe), index
    if request.group_pattern is None and len(set(index.groups)) < len(index):
        words = (
            "--group-pattern '.+' to make each clip a group of its own, if these groups share no "
            "recordings, people or scenes"
        )
        yield words, request, apart(index)
