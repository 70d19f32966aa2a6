"""Set up a classifier's check for unfamiliar inputs from clips that it was not trained on.

The threshold is a quantile of the distances of held-out clips, so that at most 1 % of clips like
those of the data set are flagged. Nothing is learnt from labels here, so with a backbone that has
not learnt from the data set every clip can be held out: it is compared with the clips of other
groups only.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor
from torch.nn import functional as F

from filmstrip.dataset.index import VideoIndex
from filmstrip.model.familiarity import Familiarity, cosine_distances
from filmstrip.model.specs import FamiliaritySpec

FLAGGED_SHARE = 0.01
"""The largest share of held-out clips that may be flagged."""

NUM_NEIGHBOURS = 3

MAX_REFERENCES = 512
_MAX_REFERENCE_BYTES = 8 * 1024**2
_FEWEST_REFERENCES = 16
_MAX_HELD_OUT = 2_000


def choose_references(labels: NDArray[np.int64], num_features: int, seed: int) -> NDArray[np.int64]:
    """Return the indices of the clips to store: at most ``MAX_REFERENCES``, of all classes alike.

    Wide features make fewer: together they take at most 8 MiB in half precision.
    """
    most = min(MAX_REFERENCES, max(_MAX_REFERENCE_BYTES // (2 * num_features), _FEWEST_REFERENCES))
    order = np.random.default_rng(seed).permutation(len(labels))
    num_seen: dict[int, int] = defaultdict(int)
    turns = []
    for label in labels[order].tolist():
        turns.append(num_seen[label])
        num_seen[label] += 1
    return order[np.argsort(turns, kind="stable")][:most]


def held_out_distances(
    clips: Tensor, clip_groups: Sequence[str], references: Tensor, reference_groups: Sequence[str]
) -> NDArray[np.float64]:
    """Return the distance of each clip to the references of other groups.

    Args:
        clips: (N, D) features.
        clip_groups: of each clip.
        references: (R, D) features.
        reference_groups: of each reference.

    Returns:
        (M,), M ≤ N: clips without a reference of another group are left out.
    """
    distances = cosine_distances(clips, references)
    numbers = {group: number for number, group in enumerate({*clip_groups, *reference_groups})}
    rows, columns = (
        torch.tensor([numbers[group] for group in groups], dtype=torch.int64)
        for groups in (clip_groups, reference_groups)
    )
    is_own = rows[:, None] == columns[None, :]
    distances = distances.masked_fill(is_own, math.inf)
    # A group that holds nearly all references leaves fewer neighbours.
    found = distances.topk(min(NUM_NEIGHBOURS, distances.shape[1]), dim=1, largest=False).values
    is_real = found.isfinite()
    means = found.masked_fill(~is_real, 0).sum(dim=1) / is_real.sum(dim=1)
    return means[is_real.any(dim=1)].double().numpy()


def find_threshold(distances: NDArray[np.float64]) -> float:
    """Return the distance that at most ``FLAGGED_SHARE`` of new clips exceed.

    From 99 clips on it is the conformal quantile, which assumes nothing about the distribution.
    Fewer cannot show one clip in a hundred: then it is the prediction limit of a log-normal
    distribution, or the largest distance if that is larger.
    """
    number = len(distances)
    rank = math.ceil((number + 1) * (1 - FLAGGED_SHARE))
    if rank <= number:
        return float(np.sort(distances)[rank - 1])
    largest = float(distances.max())
    if number < 2:
        return min(2 * largest, 2.0)
    logs = np.log(np.maximum(distances, 1e-6))
    deviation = logs.std(ddof=1) * math.sqrt(1 + 1 / number)
    limit = math.exp(logs.mean() + stats.t.ppf(1 - FLAGGED_SHARE, number - 1) * deviation)
    return min(max(limit, largest), 2.0)


Vectors = Callable[[VideoIndex], Tensor]
"""Returns the features (N, D) of the clips of an index, one vector each."""


def measure_distances(
    vectors: Vectors, index: VideoIndex, num_features: int, seed: int, is_blind: bool
) -> NDArray[np.float64]:
    """Return the distances of held-out clips to the training set of ``index``.

    Args:
        vectors: the features of clips, by the classifier that was trained on ``index``.
        index: clips in train and val.
        num_features: D.
        seed: of the choice of clips, where there are many.
        is_blind: whether the backbone has learnt from no clip of the data set, so that training
            clips count as held out where they are compared with other groups.
    """
    references = reference_clips(index, num_features, seed)
    held_out = index.subset("val").rows
    if is_blind:
        held_out = (*index.subset("train").rows, *held_out)
    if len(held_out) > _MAX_HELD_OUT:
        chosen = np.random.default_rng(seed).choice(len(held_out), _MAX_HELD_OUT, replace=False)
        held_out = tuple(held_out[place] for place in chosen)
    clips = replace(index, rows=held_out)
    if not held_out:
        return np.empty(0)
    return held_out_distances(vectors(clips), clips.groups, vectors(references), references.groups)


def reference_clips(index: VideoIndex, num_features: int, seed: int) -> VideoIndex:
    """Return the training clips of ``index`` that are stored for comparison."""
    train = index.subset("train")
    chosen = choose_references(train.labels, num_features, seed)
    return replace(train, rows=tuple(train.rows[place] for place in chosen))


def build_familiarity(references: Tensor, distances: NDArray[np.float64]) -> Familiarity:
    """Return the check that compares with ``references`` (R, D), given held-out ``distances``."""
    spec = FamiliaritySpec(
        num_references=len(references),
        num_neighbours=NUM_NEIGHBOURS,
        threshold=find_threshold(distances),
        num_held_out_clips=len(distances),
    )
    check = Familiarity(spec, references.shape[1])
    check.references.copy_(F.normalize(references.float(), dim=1))
    return check
