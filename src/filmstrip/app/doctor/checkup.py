"""One visit of the doctor: every file decoded, compared, and the classes tried for leaks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from filmstrip.cache import Cache
from filmstrip.dataset.doctor.comparison import (
    Copies,
    balance_findings,
    copy_findings,
    find_copies,
)
from filmstrip.dataset.doctor.duplicates import clusters
from filmstrip.dataset.doctor.facts import THUMBNAIL_SIDE, VideoFacts
from filmstrip.dataset.doctor.findings import Finding, Severity, file_findings, in_order
from filmstrip.dataset.doctor.survey import survey
from filmstrip.dataset.index import VideoIndex, VideoRow
from filmstrip.dataset.lost import describe_lost
from filmstrip.dataset.rows import SkippedFile, left_out_summary
from filmstrip.errors import DatasetError
from filmstrip.evaluation.leaks import METADATA, Leak, border_leak, metadata_leak
from filmstrip.features.fitting import evenly_spread
from filmstrip.training.reporter import Reporter
from filmstrip.video.auto_sampling import (
    AutoSampling,
    ClipTimes,
    RecipeSampling,
    describe_sampling,
    fit_sampling,
    sampling_warnings,
)
from filmstrip.video.sampling import RateSampling, Sampling, UniformSampling

_NUM_NAMED = 5


@dataclass(frozen=True)
class Checkup:
    """What the doctor found.

    Attributes:
        index: the labelled clips.
        facts: what is known of each file, clips and files that were left out alike.
        copies: which files show the same.
        findings: what is wrong, errors first.
        metadata: what the files' properties tell about the class; None where it cannot be told.
        border: what the picture's still border tells, likewise.
        sampling: how the recipe looks at these clips.
        sampling_notes: the reason for it where it was chosen from the clips, and where it does not
            fit them.
    """

    index: VideoIndex
    facts: dict[Path, VideoFacts]
    copies: Copies
    findings: tuple[Finding, ...]
    metadata: Leak | None
    border: Leak | None
    sampling: Sampling
    sampling_notes: tuple[str, ...]

    def count(self, severity: Severity) -> int:
        """How many findings are so severe."""
        return sum(finding.severity is severity for finding in self.findings)


def check_up(
    index: VideoIndex,
    sampling: RecipeSampling,
    cache: Cache,
    num_workers: int | None = None,
    reporter: Reporter | None = None,
    allow_missing_classes: bool = False,
) -> Checkup:
    """Examine labelled clips, and the files beside them that were left out.

    Args:
        index: the clips.
        sampling: the recipe's, which decides what is too short; ``auto`` is fitted to the clips.
        cache: keeps the facts of files.
        num_workers: processes that decode; as many as the machine has cores if not given.
        reporter: hears of progress.
        allow_missing_classes: whether a class of which no clip can be used is a warning only.

    Raises:
        DatasetError: the clips are arrays, not video files.
    """
    if any(row.packed_index is not None for row in index.rows):
        raise DatasetError(
            f"{index.rows[0].path}: holds arrays, not video files",
            "videos, which the doctor decodes",
            "give the videos that the file was packed from.",
        )
    reporter = reporter or Reporter()
    rows = {row.path: row for row in index.rows}
    beside = [file.path for file in index.skipped if file.path not in rows and file.path.is_file()]
    paths = list(dict.fromkeys([*rows, *beside]))
    with reporter.phase("Decoding every file", len(paths)) as advance:
        facts = survey(paths, cache, num_workers, advance=advance, warn=reporter.note)
    clips = {path: facts[path] for path in rows}
    chosen, notes = _fitted(sampling, index, facts)
    copies = find_copies(clips)
    found = [
        *(one for path in rows for one in file_findings(path, facts[path], chosen)),
        *_lost_classes(index, facts, allow_missing_classes),
        *_left_out(index, facts),
        *copy_findings(index.rows, copies, index.root),
        *balance_findings(row.label for row in index.rows),
    ]
    readable = [row for row in index.rows if facts[row.path].num_frames]
    groups = _groups(index, copies)
    metadata = _metadata_leak(readable, facts, groups, index)
    border = _border_leak(readable, facts, groups, index)
    found += _leak_findings(metadata, border, index.class_names)
    return Checkup(
        index, facts, copies, tuple(in_order(found)), metadata, border, chosen, tuple(notes)
    )


def _fitted(
    sampling: RecipeSampling, index: VideoIndex, facts: dict[Path, VideoFacts]
) -> tuple[Sampling, list[str]]:
    """The sampling that a training of these clips would choose, with the reason and warnings."""
    known = [facts[row.path] for row in evenly_spread(index.rows)]
    times = ClipTimes.of([f.duration_seconds for f in known], [f.num_frames for f in known])
    chosen = fit_sampling(sampling, times)
    notes = sampling_warnings(chosen, times)
    if isinstance(sampling, AutoSampling) and isinstance(chosen, RateSampling):
        notes.insert(0, describe_sampling(chosen, times))
    return chosen, notes


def _lost_classes(
    index: VideoIndex, facts: dict[Path, VideoFacts], allowed: bool
) -> Iterator[Finding]:
    """The classes that training would lose: already in the index, or because of damaged files."""
    faulty = [
        SkippedFile(row.path, fault.words)
        for row in index.rows
        if (fault := facts[row.path].fault) is not None
    ]
    try:
        left = index.leaving_out(faulty)
    except DatasetError as error:
        yield Finding("lost_class", Severity.error, error.given, error.remedy.removesuffix("."))
        return
    for name, files in left.lost_classes.items():
        yield Finding(
            "lost_class",
            Severity.warning if allowed else Severity.error,
            describe_lost({name: files}),
            "add or repair its clips, two or more; 'filmstrip train' goes on without it only with "
            "--allow-missing-classes",
            tuple(file.path for file in files),
        )


def _left_out(index: VideoIndex, facts: dict[Path, VideoFacts]) -> Iterator[Finding]:
    """What the index could not use: videos under another suffix, and the rest as a note."""
    clips = {row.path for row in index.rows}
    others: list[SkippedFile] = []
    for file in index.skipped:
        known = facts.get(file.path)
        # A lone picture, such as a JPEG, also opens as a video of one frame.
        if known is not None and file.path not in clips and known.num_frames > 1:
            renamed = file_findings(file.path, known, UniformSampling(num_frames=1))
            misnamed = [one for one in renamed if one.kind == "wrong_extension"]
            if misnamed:
                yield from misnamed
                continue
        if not file.is_loss:
            others.append(file)
            continue
        remedy = "add a label, a suffix or clips to have it used"
        yield Finding("left_out", Severity.note, file.reason, remedy, (file.path,))
    if others:
        cause = left_out_summary(others).removeprefix("Left out: ").removesuffix(".")
        remedy = "nothing, if none of them should be a clip"
        paths = tuple(file.path for file in others)
        yield Finding("left_out", Severity.note, cause, remedy, paths)


def _groups(index: VideoIndex, copies: Copies) -> dict[Path, str]:
    """Each clip's group; copies share one, or a forest would know them again."""
    groups = {row.path: group for row, group in zip(index.rows, index.groups, strict=True)}
    joined = clusters(
        (groups[cluster[0]], groups[path]) for cluster in copies.clusters for path in cluster
    )
    names = {group: together[0] for together in joined for group in together}
    return {path: names.get(group, group) for path, group in groups.items()}


def _labels(
    rows: Sequence[VideoRow], index: VideoIndex
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    places = {name: place for place, name in enumerate(index.class_names)}
    return np.array([places[row.label] for row in rows], dtype=np.int64)


def _metadata_leak(
    rows: Sequence[VideoRow],
    facts: dict[Path, VideoFacts],
    groups: dict[Path, str],
    index: VideoIndex,
) -> Leak | None:
    known = [facts[row.path] for row in rows]
    codecs = {
        codec: float(number) for number, codec in enumerate(sorted({one.codec for one in known}))
    }
    values = np.array(
        [
            [
                one.width,
                one.height,
                round(one.average_fps, 2),
                one.duration_seconds,
                codecs[one.codec],
            ]
            for one in known
        ]
    ).reshape(-1, len(METADATA))
    return metadata_leak(values, _labels(rows, index), [groups[row.path] for row in rows])


def _border_leak(
    rows: Sequence[VideoRow],
    facts: dict[Path, VideoFacts],
    groups: dict[Path, str],
    index: VideoIndex,
) -> Leak | None:
    known = [facts[row.path] for row in rows]
    side = THUMBNAIL_SIDE
    colours = np.frombuffer(b"".join(one.mean_colours for one in known), dtype=np.uint8)
    spread = np.frombuffer(b"".join(one.colour_spread for one in known), dtype=np.uint8)
    return border_leak(
        colours.reshape(-1, side, side, 3),
        spread.reshape(-1, side, side),
        _labels(rows, index),
        [groups[row.path] for row in rows],
    )


def _leak_findings(
    metadata: Leak | None, border: Leak | None, class_names: Sequence[str]
) -> Iterator[Finding]:
    if metadata is not None and metadata.is_clear:
        alone = ", ".join(f"{name} {accuracy:.2f}" for name, accuracy in metadata.parts.items())
        yield Finding(
            "metadata_leak",
            Severity.warning,
            f"{_listed(metadata.columns)} alone {_reach(metadata, class_names)}"
            + (f"; one by one: {alone}" if alone else ""),
            "quote this figure beside any accuracy; cut and scale the clips of all classes alike",
            figures=_figures(metadata),
        )
    if border is not None and border.is_clear:
        yield Finding(
            "border_leak",
            Severity.warning,
            f"the picture's {border.columns[0]}, in the {border.num_clips} clips where it stands "
            f"still, alone {_reach(border, class_names)}",
            "look there for a logo, a date, bars, or one scene for each class; crop it away, or "
            "record all classes in the same places",
            figures=_figures(border),
        )


def _reach(leak: Leak, class_names: Sequence[str]) -> str:
    """What a leak gives: an accuracy, or some classes where accuracy over all hides them."""
    best = sorted(leak.classes.items(), key=lambda item: -item[1])[:_NUM_NAMED]
    told = ", ".join(f"{class_names[label]} (F1 {f1:.2f})" for label, f1 in best)
    figures = (
        f"accuracy {leak.accuracy:.2f}, {leak.num_folds} folds; commonest class {leak.chance:.2f}"
    )
    if not leak.is_above_chance:
        return f"can tell {told} from all other classes ({figures})"
    return f"can tell the class: {figures}" + (f"; best told: {told}" if told else "")


def _figures(leak: Leak) -> dict[str, float]:
    return {"accuracy": leak.accuracy, "chance": leak.chance, **leak.parts}


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
