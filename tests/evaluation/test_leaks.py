"""Leaks planted in numbers and colours, and chance that must not be taken for one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

from filmstrip.evaluation.baselines import leak_forest
from filmstrip.evaluation.leaks import border_leak, metadata_leak

NUM_CLIPS, NUM_CLASSES, SIDE = 120, 6, 16
LABELS = np.arange(NUM_CLIPS) % NUM_CLASSES
GROUPS = [f"clip{number}" for number in range(NUM_CLIPS)]


def metadata(seed: int = 0) -> np.ndarray:
    """Width, height, frames per second, duration, codec: the same for all but the duration."""
    rng = np.random.default_rng(seed)
    same = np.tile([320.0, 240.0, 25.0, 0.0, 0.0], (NUM_CLIPS, 1))
    same[:, 3] = rng.uniform(1, 5, NUM_CLIPS)
    return same


def pictures(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (NUM_CLIPS, SIDE, SIDE, 3), dtype=np.uint8)
    return colours, np.zeros((NUM_CLIPS, SIDE, SIDE), dtype=np.uint8)


@pytest.mark.parametrize("seed", range(5))
def test_chance_is_no_leak(seed: int) -> None:
    leak = metadata_leak(metadata(seed), LABELS, GROUPS)
    assert leak is not None
    assert not leak.is_clear
    border = border_leak(*pictures(seed), LABELS, GROUPS)
    assert border is not None
    assert not border.is_clear


def test_the_accuracy_is_that_of_scikit_learns_folds() -> None:
    values = metadata()
    values[:, 3] += LABELS
    leak = metadata_leak(values, LABELS, GROUPS)
    assert leak is not None
    ratio = values[:, 0] / values[:, 1]
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    answers = cross_val_predict(
        leak_forest(96),
        np.column_stack([values[:, 3], ratio]),
        LABELS,
        groups=np.unique(GROUPS, return_inverse=True)[1],
        cv=folds,
    )
    assert leak.accuracy == np.mean(answers == LABELS)
    assert leak.chance == pytest.approx(1 / NUM_CLASSES)
    assert leak.columns == ("duration",)


def test_a_width_that_depends_on_the_class_is_a_leak_and_named() -> None:
    values = metadata()
    values[:, 0] += 16 * LABELS
    leak = metadata_leak(values, LABELS, GROUPS)
    assert leak is not None
    assert leak.is_above_chance
    assert leak.accuracy > 0.95
    assert next(iter(leak.parts)) == "width"


def test_one_class_of_its_own_is_a_leak_even_where_accuracy_hides_it() -> None:
    labels = np.where(np.arange(NUM_CLIPS) < 60, 0, 1 + np.arange(NUM_CLIPS) % 5)
    values = metadata()
    values[labels == 3, 4] = 1.0
    leak = metadata_leak(values, labels, GROUPS)
    assert leak is not None
    assert not leak.is_above_chance
    assert leak.is_clear
    assert leak.classes == {3: 1.0}


def test_a_group_is_never_on_both_sides() -> None:
    # Each group has a width of its own and one class: known again, it would give the class away.
    groups = [f"group{number // 4}" for number in range(NUM_CLIPS)]
    labels = (np.arange(NUM_CLIPS) // 4) % NUM_CLASSES
    values = metadata()
    values[:, 0] = np.random.default_rng(1).permutation(30)[np.arange(NUM_CLIPS) // 4] * 10 + 100
    alone = metadata_leak(values, labels, GROUPS)
    grouped = metadata_leak(values, labels, groups)
    assert alone is not None
    assert grouped is not None
    assert alone.is_clear
    assert not grouped.is_clear


def test_files_that_are_all_alike_tell_nothing() -> None:
    values = metadata()
    values[:, 3] = 2.0
    assert metadata_leak(values, LABELS, GROUPS) is None


def test_a_handful_of_clips_is_too_few_to_tell() -> None:
    assert metadata_leak(metadata()[:12], LABELS[:12], GROUPS[:12]) is None


def test_a_mark_in_the_corner_is_a_leak_and_its_place_is_named() -> None:
    colours, spread = pictures()
    for label in range(NUM_CLASSES):
        colours[label == LABELS, -3:, :3] = 40 * label
    leak = border_leak(colours, spread, LABELS, GROUPS)
    assert leak is not None
    assert leak.accuracy == 1.0
    assert leak.columns == ("bottom left corner",)


def test_a_corner_that_moves_is_content_and_no_leak() -> None:
    colours, spread = pictures()
    for label in range(NUM_CLASSES):
        colours[label == LABELS, -3:, :3] = 40 * label
    spread[:, -3:, :3] = 20
    leak = border_leak(colours, spread, LABELS, GROUPS)
    assert leak is not None
    assert not leak.is_clear


def test_a_picture_that_moves_everywhere_has_no_border_to_try() -> None:
    colours, spread = pictures()
    assert border_leak(colours, spread + 20, LABELS, GROUPS) is None


def test_a_set_without_a_readable_clip_has_no_leaks() -> None:
    colours, spread = pictures()
    assert metadata_leak(metadata()[:0], LABELS[:0], []) is None
    assert border_leak(colours[:0], spread[:0], LABELS[:0], []) is None


def test_folds_of_uneven_groups_still_give_an_answer() -> None:
    groups = ["most"] * 90 + [f"clip{number}" for number in range(30)]
    leak = metadata_leak(metadata(), LABELS, groups)
    assert leak is not None
    assert not leak.is_clear
