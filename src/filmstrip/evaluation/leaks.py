"""Whether classes can be told apart without looking at what the videos show.

A network takes the easiest way. Where a file's size and duration, or a logo in a corner, tell the
class, its accuracy says nothing about what it sees. So a random forest is tried on the files'
properties alone, and nearest neighbours on the still parts of the picture's border, with folds
that hold whole groups out. A leak counts only where it is clearly above chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from filmstrip.evaluation.baselines import leak_forest
from filmstrip.evaluation.predictions import Floats, Ints

METADATA = ("width", "height", "frames per second", "duration", "codec")
"""The columns of ``metadata_leak``'s values."""

_NUM_FOLDS = 5
_FEWEST_CLIPS = 20
_FEWEST_CLIPS_A_CLASS = 4
# A leak is clear if chance would give it once in a thousand data sets, and if it matters.
_LARGEST_P_VALUE = 0.001
_LEAST_GAIN = 0.05
_LEAST_F1 = 0.6
# A cell of the border is still if it departs less than this from its mean in time (grey levels).
_STILL = 3
_LEAST_STILL_SHARE = 0.5
_CORNER_CELLS = 3
_NUM_NEIGHBOURS = 3


@dataclass(frozen=True, slots=True)
class Leak:
    """How well classes are told apart by what should not tell them.

    Attributes:
        accuracy: over all clips, each answered by a classifier that saw none of its group.
        chance: the accuracy of always naming the commonest class.
        num_clips: how many clips were asked.
        num_folds: how many folds.
        p_value: how often chance does as well (one-sided binomial test).
        columns: what the classifier was given, by name.
        classes: the F1 of each class that is told from all others, by its number.
        parts: the accuracy of each column, or place in the picture, by itself, best first.
    """

    accuracy: float
    chance: float
    num_clips: int
    num_folds: int
    p_value: float
    columns: tuple[str, ...] = ()
    classes: dict[int, float] = field(default_factory=dict)
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def is_above_chance(self) -> bool:
        """Whether the accuracy is more than chance gives, and by enough to matter."""
        gain = self.accuracy - self.chance
        return self.p_value <= _LARGEST_P_VALUE and gain >= _LEAST_GAIN

    @property
    def is_clear(self) -> bool:
        """Whether there is a leak, be it of one class alone."""
        return self.is_above_chance or bool(self.classes)


def metadata_leak(values: Floats, labels: Ints, groups: Sequence[str]) -> Leak | None:
    """What the files' properties tell about the class.

    Args:
        values: (N, 5), the columns of ``METADATA``; codecs as numbers; NaN where unknown.
        labels: (N,) integers.
        groups: (N,) clips of one group stay in one fold.

    Returns:
        None where there are too few clips to tell, or nothing differs between them.
    """
    varying = [column for column in range(values.shape[1]) if len(np.unique(values[:, column])) > 1]
    if not varying:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = values[:, :1] / values[:, 1:2]
    both = np.column_stack([values[:, varying], np.where(np.isfinite(ratio), ratio, np.nan)])
    leak = cross_validated_leak(both, labels, groups, leak_forest)
    if leak is None:
        return None
    leak = replace(leak, columns=tuple(METADATA[column] for column in varying))
    if not leak.is_clear:
        return leak
    alone = {
        METADATA[column]: cross_validated_leak(values[:, [column]], labels, groups, leak_forest)
        for column in varying
    }
    return replace(leak, parts=_clear_parts(alone))


def border_leak(
    colours: NDArray[np.uint8], spread: NDArray[np.uint8], labels: Ints, groups: Sequence[str]
) -> Leak | None:
    """What the still corners and edges of the picture tell about the class.

    Each place is tried on the clips in which it stands still, such as one with a logo, a frame or
    bars; the best of them is answered, its p-value times the number of places (Bonferroni).

    Args:
        colours: (N, S, S, 3) each clip's mean picture.
        spread: (N, S, S) how far each cell departs from it in time.
        labels: (N,) integers.
        groups: (N,) clips of one group stay in one fold.

    Returns:
        None where no place stands still in enough clips.
    """
    if not len(labels):
        return None
    places = _places(colours.shape[1])
    found: dict[str, Leak | None] = {}
    for name, (rows, columns) in places.items():
        still = spread[:, rows, columns] <= _STILL
        chosen = still.reshape(len(still), -1).mean(1) >= _LEAST_STILL_SHARE
        cells = np.where(still[..., None], colours[:, rows, columns].astype(np.float64), np.nan)
        # (N, rows, columns, 3) → (N, F)
        values = _without_gaps(cells.reshape(len(cells), -1)[chosen])
        kept_groups = [group for group, keep in zip(groups, chosen, strict=True) if keep]
        found[name] = cross_validated_leak(values, labels[chosen], kept_groups, _neighbours)
    known = {name: leak for name, leak in found.items() if leak is not None}
    if not known:
        return None
    name, best = max(
        known.items(), key=lambda item: (item[1].is_clear, item[1].accuracy - item[1].chance)
    )
    p_value = min(best.p_value * len(places), 1.0)
    return replace(best, p_value=p_value, columns=(name,), parts=_clear_parts(found))


def cross_validated_leak(
    values: Floats,
    labels: Ints,
    groups: Sequence[str],
    classifier: Callable[[int], Any],
) -> Leak | None:
    """How well the class is told from ``values`` (N, F), in clips of groups held out.

    ``classifier`` makes an unfitted scikit-learn classifier for a number of training clips.
    Classes of fewer than four clips are left out. None where fewer than twenty clips, two classes
    or two groups remain.
    """
    counts = np.bincount(labels, minlength=1)
    kept = counts[labels] >= _FEWEST_CLIPS_A_CLASS
    values, labels = values[kept], labels[kept]
    _, group_numbers = np.unique(np.array(groups)[kept], return_inverse=True)
    counts = counts[counts >= _FEWEST_CLIPS_A_CLASS]
    if len(labels) < _FEWEST_CLIPS or len(counts) < 2:
        return None
    num_folds = int(min(_NUM_FOLDS, counts.min(), len(np.unique(group_numbers))))
    if num_folds < 2:
        return None
    dealer = StratifiedGroupKFold(num_folds, shuffle=True, random_state=0)
    # With few groups a fold may stay empty.
    folds = [fold for fold in dealer.split(values, labels, group_numbers) if len(fold[1])]
    unfitted = classifier(min(len(train) for train, _ in folds))
    answers = cross_val_predict(unfitted, values, labels, cv=folds)
    num_right = int(np.count_nonzero(answers == labels))
    chance = float(counts.max() / counts.sum())
    p_value = float(binomtest(num_right, len(labels), chance, alternative="greater").pvalue)
    told = _told_classes(answers, labels)
    return Leak(num_right / len(labels), chance, len(labels), num_folds, p_value, classes=told)


def _told_classes(answers: Ints, labels: Ints) -> dict[int, float]:
    """The classes that are named rightly, and for few others: accuracy over many hides one."""
    told = {}
    for label in np.unique(labels).tolist():
        named, is_label = answers == label, labels == label
        num_named, num_right = int(named.sum()), int((named & is_label).sum())
        f1 = 2 * num_right / (num_named + int(is_label.sum()))
        if f1 < _LEAST_F1:
            continue
        share = float(is_label.mean())
        p_value = binomtest(num_right, num_named, share, alternative="greater").pvalue
        if p_value * len(np.unique(labels)) <= _LARGEST_P_VALUE:
            told[label] = f1
    return told


def _places(side: int) -> dict[str, tuple[slice, slice]]:
    """Rows and columns of the corners and edges of a picture of side × side cells."""
    low, high = slice(0, _CORNER_CELLS), slice(side - _CORNER_CELLS, side)
    middle = slice(_CORNER_CELLS, side - _CORNER_CELLS)
    first, last = slice(0, 1), slice(side - 1, side)
    return {
        "top left corner": (low, low),
        "top right corner": (low, high),
        "bottom left corner": (high, low),
        "bottom right corner": (high, high),
        "top edge": (first, middle),
        "bottom edge": (last, middle),
        "left edge": (middle, first),
        "right edge": (middle, last),
    }


def _without_gaps(values: Floats) -> Floats:
    """Cells that move become the usual value: that they move is content, and must tell nothing."""
    if not len(values):
        return values
    is_gap = np.isnan(values)
    usual = [
        float(np.median(column[~gap])) if not gap.all() else 0.0
        for column, gap in zip(values.T, is_gap.T, strict=True)
    ]
    return np.where(is_gap, np.array(usual), values)


def _neighbours(num_clips: int) -> KNeighborsClassifier:
    """A logo is the same in each clip that has it, so the nearest clips have it too."""
    return KNeighborsClassifier(min(_NUM_NEIGHBOURS, num_clips))


def _clear_parts(parts: dict[str, Leak | None]) -> dict[str, float]:
    clear = {name: part for name, part in parts.items() if part is not None and part.is_clear}
    ranked = sorted(clear.items(), key=lambda item: -item[1].accuracy)
    return {name: part.accuracy for name, part in ranked}
