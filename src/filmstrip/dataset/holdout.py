"""Whole groups chosen so that every class stays in proportion.

Folds from scikit-learn do the dealing: ``StratifiedGroupKFold`` where clips share groups,
``StratifiedKFold`` where each stands alone. What is held out is one or more of the folds, mended so
that the rest keeps a group of every class.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from filmstrip.dataset.index import VideoIndex

# Choices of folds whose share of misplaced clips is this near the best are left to the seed.
_AS_GOOD = 0.02


@dataclass(frozen=True)
class GroupPool:
    """The rows that are divided: N rows sorted by name, of G groups and K classes.

    Attributes:
        rows: the rows' places in the index, (N,).
        group_of: the group of each, from 0, (N,).
        class_of: the class of each, from 0, (N,).
        pairs: each group and class that occur together, (P, 2). A G × K table would not fit in
            memory for hundreds of thousands of clips that each stand alone.
    """

    rows: NDArray[np.int64]
    group_of: NDArray[np.int64]
    class_of: NDArray[np.int64]
    pairs: NDArray[np.int64]

    @classmethod
    def of(cls, index: VideoIndex, chosen: NDArray[np.bool_]) -> GroupPool:
        """The chosen rows (N,) of an index."""
        names, groups = index.names, index.groups
        rows = np.array(sorted(np.flatnonzero(chosen), key=lambda i: names[i]), dtype=np.int64)
        places = {group: place for place, group in enumerate(sorted({groups[i] for i in rows}))}
        group_of = np.array([places[groups[i]] for i in rows], dtype=np.int64)
        class_of = np.unique(index.labels[rows], return_inverse=True)[1]
        pairs = np.unique(np.column_stack([group_of, class_of]), axis=0)
        return cls(rows, group_of, class_of, pairs)

    def groups_per_class(self, chosen: NDArray[np.bool_]) -> NDArray[np.intp]:
        """How many of the chosen groups (G,) hold each class (K,)."""
        return np.bincount(self.pairs[chosen[self.pairs[:, 0]], 1], minlength=self.num_classes)

    def classes_in(self, group: int) -> NDArray[np.int64]:
        """The classes that the group holds."""
        classes: NDArray[np.int64] = self.pairs[self.pairs[:, 0] == group, 1]
        return classes

    @property
    def num_groups(self) -> int:
        """G."""
        return int(self.group_of.max()) + 1

    @property
    def num_classes(self) -> int:
        """K."""
        return int(self.class_of.max()) + 1

    @property
    def most_groups(self) -> int:
        """The number of groups of the class that has most."""
        return int(np.bincount(self.pairs[:, 1]).max())

    def smallest(self, groups: NDArray[np.int64]) -> int:
        """The group with the fewest rows."""
        return int(groups[np.bincount(self.group_of)[groups].argmin()])


def deal_folds(pool: GroupPool, num_folds: int, seed: int) -> NDArray[np.int64]:
    """The fold of each row (N,): groups whole, classes in proportion."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    if pool.num_groups == len(pool.rows):
        kind, groups = StratifiedKFold, None
    else:
        kind, groups = StratifiedGroupKFold, pool.group_of
    folds = np.zeros(len(pool.rows), dtype=np.int64)
    with warnings.catch_warnings():
        # A class with fewer clips than folds is expected here, and missing_classes reports it.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        dealer = kind(num_folds, shuffle=True, random_state=seed)
        for fold, (_, inside) in enumerate(dealer.split(pool.rows, pool.class_of, groups)):
            folds[inside] = fold
    return folds


def hold_out(pool: GroupPool, fraction: float, seed: int) -> NDArray[np.int64]:
    """Choose about ``fraction`` of the rows, whole groups, leaving a group of every class.

    Returns:
        The chosen rows' places in the index; none where every group is the last of some class.
    """
    held = np.zeros(pool.num_groups, dtype=bool)
    if pool.most_groups > 1:
        num_folds, num_held = _fold_numbers(fraction, pool.most_groups)
        folds = deal_folds(pool, num_folds, seed)
        inside = np.isin(folds, _choose_folds(pool, folds, num_folds, num_held, fraction, seed))
        held[pool.group_of[inside]] = True
        _give_back(held, pool)
        _fetch_missing(held, pool)
    return pool.rows[held[pool.group_of]]


def _fold_numbers(fraction: float, most_groups: int) -> tuple[int, int]:
    """How many folds to deal and how many of them to hold out, to come near ``fraction``."""
    limit = min(most_groups, max(10, round(1 / fraction)))
    share = Fraction(fraction).limit_denominator(limit)
    share = min(max(share, Fraction(1, limit)), Fraction(limit - 1, limit))
    return share.denominator, share.numerator


def _choose_folds(
    pool: GroupPool,
    folds: NDArray[np.int64],
    num_folds: int,
    num_held: int,
    fraction: float,
    seed: int,
) -> Sequence[int]:
    """The choice of folds that misses fewest classes and is near ``fraction`` of each class."""
    by_fold = np.zeros((num_folds, pool.num_classes), dtype=np.int64)
    np.add.at(by_fold, (folds, pool.class_of), 1)
    total = by_fold.sum(axis=0)
    choices = list(combinations(range(num_folds), num_held))
    inside = np.array([by_fold[list(choice)].sum(axis=0) for choice in choices])
    num_missing = ((inside == total) | (inside == 0)).sum(axis=1)
    misplaced = np.abs(inside - fraction * total).sum(axis=1) / len(folds)
    misplaced[num_missing > num_missing.min()] = np.inf
    good = np.flatnonzero(misplaced <= misplaced.min() + _AS_GOOD)
    return choices[int(np.random.default_rng(seed).choice(good))]


def _give_back(held: NDArray[np.bool_], pool: GroupPool) -> None:
    """Return the smallest group of each class that has none left outside."""
    for label in range(pool.num_classes):
        if not pool.groups_per_class(~held)[label]:
            held[pool.smallest(pool.pairs[pool.pairs[:, 1] == label, 0])] = False


def _fetch_missing(held: NDArray[np.bool_], pool: GroupPool) -> None:
    """Add the smallest group of each class that has none inside, where no class loses its last."""
    for label in range(pool.num_classes):
        if pool.groups_per_class(held)[label]:
            continue
        left = pool.groups_per_class(~held)
        groups = [
            group
            for group in pool.pairs[pool.pairs[:, 1] == label, 0]
            if left[pool.classes_in(group)].min() > 1
        ]
        if groups:
            held[pool.smallest(np.array(groups))] = True
