"""What is wrong between the files of a data set: copies, labels that disagree, leaking splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filmstrip.dataset.doctor.duplicates import NearDuplicate, clusters, find_near_duplicates
from filmstrip.dataset.doctor.facts import VideoFacts
from filmstrip.dataset.doctor.findings import Finding, Severity
from filmstrip.dataset.doctor.fingerprints import Fingerprint
from filmstrip.dataset.rows import VideoRow

# The side whose copy is kept: figures on an untouched test part stay comparable.
_SIDES = ("test", "val", "train", "")
_IMBALANCE_WARNED_OF = 10.0
_IMBALANCE_NOTED = 3.0
_NUM_NAMED = 3


@dataclass(frozen=True, slots=True)
class Copies:
    """Which files of a data set show the same.

    Attributes:
        exact: files whose bytes are equal, each set sorted.
        near: pairs that show the same moments; of equal files only the first is compared.
    """

    exact: tuple[tuple[Path, ...], ...]
    near: tuple[NearDuplicate, ...]

    @property
    def clusters(self) -> list[tuple[Path, ...]]:
        """Files that hang together as copies of any kind: groups for a split."""
        pairs = [(pair.first, pair.second) for pair in self.near]
        pairs += [(files[0], other) for files in self.exact for other in files[1:]]
        return clusters(pairs)


def find_copies(facts: Mapping[Path, VideoFacts]) -> Copies:
    """The copies among files that can be read."""
    by_content: dict[str, list[Path]] = {}
    for path, known in facts.items():
        if known.fault is None and known.num_frames:
            by_content.setdefault(known.content_hash, []).append(path)
    firsts = {min(files): Fingerprint.of(facts[files[0]]) for files in by_content.values()}
    exact = [tuple(sorted(files)) for files in by_content.values() if len(files) > 1]
    return Copies(tuple(exact), tuple(find_near_duplicates(firsts)))


def copy_findings(rows: Sequence[VideoRow], copies: Copies, root: Path) -> list[Finding]:
    """What the copies among labelled clips mean for training.

    Args:
        rows: the clips, with their splits where these are given.
        copies: among them.
        root: what names in the words are relative to.
    """
    by_path = {row.path: row for row in rows}
    found: list[Finding] = []
    for files in copies.exact:
        found += _exact([by_path[file] for file in files], root)
    near = clusters((pair.first, pair.second) for pair in copies.near)
    exact = {files[0]: files for files in copies.exact}
    by_first: dict[Path, list[NearDuplicate]] = {}
    for pair in copies.near:
        by_first.setdefault(pair.first, []).append(pair)
    for cluster in near:
        files = tuple(sorted(copy for path in cluster for copy in exact.get(path, (path,))))
        pairs = [pair for path in cluster for pair in by_first.get(path, [])]
        found += _near([by_path[file] for file in files], pairs, root)
    return found


def balance_findings(labels: Iterable[str]) -> Iterator[Finding]:
    """Whether some class has many times the clips of another."""
    counts = Counter(labels).most_common()
    (most, num_most), (least, num_least) = counts[0], counts[-1]
    ratio = num_most / num_least
    if ratio >= _IMBALANCE_NOTED:
        yield Finding(
            "class_imbalance",
            Severity.warning if ratio >= _IMBALANCE_WARNED_OF else Severity.note,
            f"{most} has {num_most} clips and {least} has {num_least}, {ratio:.1f} times fewer",
            "add clips to the rare classes, or train with --set training.class_weights=balanced, "
            "and go by macro F1 instead of accuracy",
            figures={"ratio": ratio},
        )


def _exact(rows: list[VideoRow], root: Path) -> Iterator[Finding]:
    paths = tuple(row.path for row in rows)
    labels = sorted({row.label for row in rows})
    kept = min(rows, key=lambda row: (_SIDES.index(row.split), row.path))
    extra = tuple(path for path in paths if path != kept.path)
    if len(labels) > 1:
        yield Finding(
            "two_labels",
            Severity.error,
            f"the same bytes are labelled {' and '.join(labels)}",
            "keep the copy whose label is right; until then none is of use",
            paths,
            set_aside=paths,
        )
    yield from _leak(rows, "the same bytes", extra)
    yield Finding(
        "exact_duplicates",
        Severity.error,
        f"{len(rows)} files have the same bytes",
        f"keep one, such as {kept.name(root)}",
        paths,
        set_aside=extra,
    )


def _near(rows: list[VideoRow], pairs: list[NearDuplicate], root: Path) -> Iterator[Finding]:
    paths = tuple(row.path for row in rows)
    by_path = {row.path: row for row in rows}
    labels = sorted({row.label for row in rows})
    told = "; ".join(_told(pair, by_path, root) for pair in pairs[:_NUM_NAMED])
    more = f"; {len(pairs) - _NUM_NAMED} pairs more" if len(pairs) > _NUM_NAMED else ""
    if len(labels) > 1:
        yield Finding(
            "two_labels",
            Severity.warning,
            f"{len(rows)} clips that show the same moments are labelled {' and '.join(labels)}: "
            f"{told}{more}",
            "look at them, and correct the label that is wrong or leave a clip out",
            paths,
        )
    kept_side = min((row.split for row in rows), key=_SIDES.index)
    extra = tuple(row.path for row in rows if row.split != kept_side)
    yield from _leak(rows, "the same moments", extra)
    yield Finding(
        "near_duplicates",
        Severity.warning,
        f"{len(rows)} clips show the same moments: {told}{more}",
        "keep them on one side of a split, or leave all but one out",
        paths,
        figures={"frames_alike": min(pair.likeness.frames for pair in pairs)},
    )


def _leak(rows: list[VideoRow], what: str, extra: tuple[Path, ...]) -> Iterator[Finding]:
    splits = sorted({row.split for row in rows if row.split}, key=_SIDES.index)
    if len(splits) > 1:
        yield Finding(
            "split_leak",
            Severity.error,
            f"{what} stand in {' and in '.join(splits)}",
            f"keep the copy in {splits[0]}; else the figures are higher than on new videos",
            tuple(row.path for row in rows),
            set_aside=extra,
        )


def _told(pair: NearDuplicate, rows: Mapping[Path, VideoRow], root: Path) -> str:
    first, second = rows[pair.first].name(root), rows[pair.second].name(root)
    offset = pair.offset_seconds
    if offset < 0:
        first, second, offset = second, first, -offset
    where = f" from {offset:.2f} s on" if offset >= 0.1 else ""
    mirrored = ", mirrored" if pair.is_mirrored else ""
    return f"{second} is {first}{where}{mirrored} ({pair.likeness.frames:.2f} alike)"
