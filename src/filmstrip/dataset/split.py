"""Train, validation and test, with every group whole on one side.

The answer depends on the seed and the clips' names, not on the order in which a disk lists them.
A class of one group is in train only; of two, in train and test; of three or more, in all three,
unless groups that span classes forbid it (``missing_classes`` tells). With few groups a side may
therefore be larger than was asked.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filmstrip.dataset.holdout import GroupPool, deal_folds, hold_out
from filmstrip.dataset.index import VideoIndex
from filmstrip.errors import DatasetError

SPLITS = ("train", "val", "test")


def split_index(
    index: VideoIndex, seed: int = 0, val_fraction: float = 0.15, test_fraction: float = 0.15
) -> VideoIndex:
    """Decide the split of every clip.

    Sides that the index gives already stay as they are. What it does not give is taken out of its
    train side, or out of all clips if it gives nothing.

    Args:
        index: the clips.
        seed: another seed gives another split, unless the groups leave no choice.
        val_fraction: the share of the clips divided here that goes to val; 0 for none.
        test_fraction: the same for test.

    Raises:
        DatasetError: a fraction is out of range, or there are too few groups.
    """
    if min(val_fraction, test_fraction) < 0 or val_fraction + test_fraction >= 1:
        raise DatasetError(
            f"val_fraction {val_fraction:g} and test_fraction {test_fraction:g}",
            "two shares from 0 that leave room for train",
            "lower them, for instance to 0.15 each.",
        )
    splits = np.array([row.split or "train" for row in index.rows])
    given = {row.split for row in index.rows}
    num_divided = np.count_nonzero(splits == "train")
    for side, fraction in (("test", test_fraction), ("val", val_fraction)):
        if fraction > 0 and side not in given:
            pool = splits == "train"
            share = fraction * num_divided / np.count_nonzero(pool)
            splits[_hold_out(index, pool, share, seed, side)] = side
    return index.with_splits(splits.tolist())


def fold_splits(
    index: VideoIndex, num_folds: int, seed: int, val_fraction: float = 0.15
) -> list[VideoIndex]:
    """One index for each fold: the fold is test, and val is taken from the rest by groups.

    Given splits are set aside. Every clip is in test once.

    Args:
        index: the clips.
        num_folds: how many folds, 2 or more.
        seed: deals the groups and chooses val.
        val_fraction: the share of the rest that goes to val; 0 for none.

    Raises:
        DatasetError: there are too few groups, or a fold would hold all clips of a class.
    """
    pool = GroupPool.of(index, np.ones(len(index), dtype=bool))
    if not 2 <= num_folds <= pool.most_groups:
        raise DatasetError(
            f"num_folds {num_folds}, where the class with most groups has {pool.most_groups}",
            f"2 to {pool.most_groups} folds" if pool.most_groups > 2 else "three or more groups",
            "ask for fewer folds, or add clips of other recordings or people; "
            f"the groups: {index.grouping}.",
        )
    folds = deal_folds(pool, num_folds, seed)
    answer = []
    for fold in range(num_folds):
        splits = np.full(len(index), "train", dtype="<U5")
        splits[pool.rows[folds == fold]] = "test"
        held_whole = set(index.labels.tolist()) - set(index.labels[splits == "train"].tolist())
        if held_whole or "test" not in splits:
            classes = ", ".join(index.class_names[label] for label in sorted(held_whole))
            raise DatasetError(
                f"num_folds {num_folds}: fold {fold} "
                + (f"holds every clip of {classes}" if held_whole else "is empty"),
                "groups of every class inside and outside each fold",
                "try another number of folds or another seed, or add clips of other recordings.",
            )
        if val_fraction > 0:
            splits[_hold_out(index, splits == "train", val_fraction, seed, "val")] = "val"
        answer.append(index.with_splits(splits.tolist()))
    return answer


def missing_classes(index: VideoIndex) -> dict[str, tuple[str, ...]]:
    """For each split in use, the classes of which it has no clip; splits with all are left out."""
    answer = {}
    for split in SPLITS:
        labels = {row.label for row in index.rows if row.split == split}
        missing = tuple(name for name in index.class_names if name not in labels)
        if labels and missing:
            answer[split] = missing
    return answer


def _hold_out(
    index: VideoIndex, chosen: NDArray[np.bool_], fraction: float, seed: int, side: str
) -> NDArray[np.int64]:
    """The rows for ``side`` out of the chosen ones."""
    held = hold_out(GroupPool.of(index, chosen), fraction, seed)
    if not held.size:
        raise DatasetError(
            f"{index.root}: the groups cannot fill {side} beside the other splits "
            f"({index.grouping})",
            "for train, val and test, a class with three groups or more",
            f"add clips of other recordings or people; or try another seed, or no {side}; "
            "or say with --group-pattern which clips belong together.",
        )
    return held
