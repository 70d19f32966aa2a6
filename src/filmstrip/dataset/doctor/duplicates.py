"""Videos that show the same moments: shifted, encoded again, resized or mirrored.

Not all pairs are compared. Moments whose hashes agree in some drawn bits fall into one bucket
(locality-sensitive hashing; Indyk and Motwani, 1998), pairs that meet in buckets at one offset in
time are candidates, and only these are compared picture by picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from filmstrip.dataset.doctor.fingerprints import Fingerprint, Likeness, compare, mirrored_hashes

Node = TypeVar("Node", Path, str)

# Bits drawn for each table: enough that 10,000 clips seldom meet by chance, few enough that a
# copy, a tenth of whose bits have turned, meets its original at some moment in some table.
_BITS_A_TABLE = 26
_NUM_TABLES = 16
_FEWEST_MEETINGS = 2
# A bucket that more videos share says that they look alike, not that they are one.
_MOST_VIDEOS_A_BUCKET = 32
_OFFSET_BINS_A_SECOND = 8
_OFFSETS_TRIED = 3
# At an offset that is a sixteenth of a second out, copies are less alike.
_WORTH_A_CLOSER_LOOK = 0.6
# Measured at the best offset of each pair, on 220 copies of rendered and of UT-Interaction clips
# (shifted, encoded again, resized, darkened, mirrored) and on clips that share no moment, some of
# one recording: the copies were alike by at least 0.97 and 0.84, the others by at most 0.81 and
# 0.69.
_ALIKE_FRAMES = 0.9
_ALIKE_CHANGES = 0.75
# Where next to nothing moves, the frames alone must tell.
_STILL_MOVEMENT = 1.0
_ALIKE_STILLS = 0.995


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """Two videos that show the same moments.

    Attributes:
        first: one of them.
        second: the other.
        offset_seconds: where in the first one the second begins.
        is_mirrored: whether left and right are exchanged.
        likeness: how alike they are.
    """

    first: Path
    second: Path
    offset_seconds: float
    is_mirrored: bool
    likeness: Likeness


def find_near_duplicates(fingerprints: Mapping[Path, Fingerprint]) -> list[NearDuplicate]:
    """All pairs that show the same moments, in the order of the mapping.

    Copies whose bytes are equal are better left out but for one: they are found by their hash.
    """
    paths = list(fingerprints)
    prints = list(fingerprints.values())
    found = []
    for first, second, is_mirrored, offsets in _candidates(prints):
        best = _best_offset(prints[first], prints[second], is_mirrored, offsets)
        if best is not None:
            found.append(NearDuplicate(paths[first], paths[second], best[0], is_mirrored, best[1]))
    return _once_each(found)


def clusters(pairs: Iterable[tuple[Node, Node]]) -> list[tuple[Node, ...]]:
    """What hangs together by ``pairs``, such as paths of videos; each cluster is sorted."""
    edges = list(pairs)
    nodes = sorted({node for edge in edges for node in edge})
    places = {node: place for place, node in enumerate(nodes)}
    rows, columns = [places[a] for a, _ in edges], [places[b] for _, b in edges]
    graph = coo_array((np.ones(len(edges)), (rows, columns)), shape=(len(nodes), len(nodes)))
    _, numbers = connected_components(graph, directed=False)
    members: dict[int, list[Node]] = {}
    for node, number in zip(nodes, numbers.tolist(), strict=True):
        members.setdefault(number, []).append(node)
    return [tuple(cluster) for cluster in members.values()]


def _once_each(found: Iterable[NearDuplicate]) -> list[NearDuplicate]:
    """Of a pair that is alike both mirrored and not, the better match."""
    best: dict[tuple[Path, Path], NearDuplicate] = {}
    for pair in found:
        known = best.get((pair.first, pair.second))
        if known is None or pair.likeness.frames > known.likeness.frames:
            best[pair.first, pair.second] = pair
    return list(best.values())


def _best_offset(
    first: Fingerprint, second: Fingerprint, is_mirrored: bool, offsets: Sequence[float]
) -> tuple[float, Likeness] | None:
    """The offset near one of ``offsets`` at which the two are most alike, if they are."""
    glances = [compare(first, second, offset, is_mirrored) for offset in offsets]
    if all(glance is None or glance.frames < _WORTH_A_CLOSER_LOOK for glance in glances):
        return None
    near = np.arange(-3, 4) / (2 * _OFFSET_BINS_A_SECOND)
    best: tuple[float, Likeness] | None = None
    for offset in np.unique(np.add.outer(np.array(offsets), near)):
        likeness = compare(first, second, float(offset), is_mirrored)
        if likeness is None or not _is_same(likeness):
            continue
        if best is None or likeness.frames + likeness.changes > best[1].frames + best[1].changes:
            best = float(offset), likeness
    return best


def _is_same(likeness: Likeness) -> bool:
    if likeness.movement < _STILL_MOVEMENT:
        return likeness.frames >= _ALIKE_STILLS
    return likeness.frames >= _ALIKE_FRAMES and likeness.changes >= _ALIKE_CHANGES


@dataclass(frozen=True, eq=False)
class _Moments:
    """Hashed moments of many videos.

    Attributes:
        owners: which video each is of (M,).
        times_seconds: when it comes (M,).
        is_mirrored: whether the hash is the mirrored picture's (M,).
        hashes: (M, 63).
    """

    owners: NDArray[np.int64]
    times_seconds: NDArray[np.float64]
    is_mirrored: NDArray[np.bool_]
    hashes: NDArray[np.bool_]

    @classmethod
    def of(cls, moments: Sequence[tuple[NDArray[np.float64], NDArray[np.bool_]]]) -> _Moments:
        owners = np.repeat(np.arange(len(moments)), [len(times) for times, _ in moments])
        times = np.concatenate([times for times, _ in moments])
        hashes = np.concatenate([hashes for _, hashes in moments])
        return cls(
            np.tile(owners, 2),
            np.tile(times, 2),
            np.repeat([False, True], len(owners)),
            np.concatenate([hashes, mirrored_hashes(hashes)]),
        )


def _candidates(prints: list[Fingerprint]) -> Iterator[tuple[int, int, bool, list[float]]]:
    """Pairs of videos worth comparing: (first, second, is_mirrored, offsets in seconds)."""
    if not prints:
        return
    meetings = [
        _meetings(_Moments.of([hashed(one) for one in prints]), kind)
        for kind, hashed in enumerate((Fingerprint.frame_hashes, Fingerprint.change_hashes))
    ]
    # (P, 4): first, second, is_mirrored, offset in bins
    met, votes = np.unique(np.concatenate(meetings), axis=0, return_counts=True)
    met, votes = met[votes >= _FEWEST_MEETINGS], votes[votes >= _FEWEST_MEETINGS]
    if not len(met):
        return
    met = met[np.lexsort((-votes, met[:, 2], met[:, 1], met[:, 0]))]
    starts = np.flatnonzero(np.any(np.diff(met[:, :3], axis=0, prepend=-1), axis=1))
    for start, end in zip(starts, [*starts[1:], len(met)], strict=True):
        first, second, mirrored = met[start, :3].tolist()
        bins = met[start : min(end, start + _OFFSETS_TRIED), 3]
        yield first, second, bool(mirrored), (bins / _OFFSET_BINS_A_SECOND).tolist()


def _meetings(moments: _Moments, seed: int) -> NDArray[np.int64]:
    """Each time that two videos fall into one bucket: (P, 4) first, second, is_mirrored, offset."""
    rng = np.random.default_rng(seed)
    weights = 2 ** np.arange(_BITS_A_TABLE, dtype=np.int64)
    found = [np.zeros((0, 4), dtype=np.int64)]
    for _ in range(_NUM_TABLES):
        bits = rng.choice(moments.hashes.shape[1], _BITS_A_TABLE, replace=False)
        found.append(_pairs_in_buckets(moments, moments.hashes[:, bits] @ weights))
    return np.concatenate(found)


def _pairs_in_buckets(moments: _Moments, keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """As ``_meetings``, for one table in which the moments have these keys (M,)."""
    num_owners = int(moments.owners.max(initial=0)) + 1
    # One number says all three; it fits in 64 bits for up to 2 ** 36 videos.
    identity = (keys * num_owners + moments.owners) * 2 + moments.is_mirrored
    # A video that stands still fills a bucket only once.
    _, places = np.unique(identity, return_index=True)
    keys = keys[places]
    _, which, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    fits = sizes[which] <= _MOST_VIDEOS_A_BUCKET
    keys, places = keys[fits], places[fits]
    found = [np.zeros((0, 4), dtype=np.int64)]
    for distance in range(1, _MOST_VIDEOS_A_BUCKET):
        same = np.flatnonzero(keys[distance:] == keys[:-distance])
        if not same.size:
            break
        found.append(_described(moments, places[same], places[same + distance]))
    return np.concatenate(found)


def _described(
    moments: _Moments, one: NDArray[np.int64], other: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(P, 4) of pairs of moments: the earlier video first."""
    swap = moments.owners[one] > moments.owners[other]
    one, other = np.where(swap, other, one), np.where(swap, one, other)
    # Where the first is mirrored, the same pair meets once more with the other side mirrored.
    is_new = ~moments.is_mirrored[one] & (moments.owners[one] != moments.owners[other])
    one, other = one[is_new], other[is_new]
    offsets = moments.times_seconds[one] - moments.times_seconds[other]
    return np.column_stack(
        [
            moments.owners[one],
            moments.owners[other],
            moments.is_mirrored[one] ^ moments.is_mirrored[other],
            np.rint(offsets * _OFFSET_BINS_A_SECOND).astype(np.int64),
        ]
    )
