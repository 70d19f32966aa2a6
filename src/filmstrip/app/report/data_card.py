"""The data that a run was trained and measured on: how many clips, how long, how large, how coded.

Files are looked at anew. Of many, evenly spread ones stand for the rest, and the card says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from filmstrip.app.report.record import Record, Rows
from filmstrip.errors import VideoError
from filmstrip.training.reporter import Advance
from filmstrip.video.probe import VideoInfo, probe

MOST_FILES = 500
_MOST_KINDS = 6


@dataclass(frozen=True, slots=True)
class ClassCard:
    """The clips of a class; ``median_seconds`` is None where no file of it was looked at."""

    name: str
    num_clips: int
    num_groups: int
    median_seconds: float | None


@dataclass(frozen=True, slots=True)
class DataCard:
    """What the clips of a run are.

    Attributes:
        num_clips: how many.
        num_groups: in how many groups.
        num_looked_at: how many files the facts are from.
        facts: what and how, in words.
        classes: in the model's order.
        gone: the files that could not be read any more, with the cause.
    """

    num_clips: int
    num_groups: int
    num_looked_at: int
    facts: list[tuple[str, str]]
    classes: list[ClassCard]
    gone: list[str]


def spread(clips: Rows) -> Rows:
    """At most ``MOST_FILES`` of the clips, evenly spread over the table."""
    num_chosen = min(len(clips), MOST_FILES)
    return [clips[place * len(clips) // num_chosen] for place in range(num_chosen)]


def make_data_card(record: Record, advance: Advance) -> DataCard:
    """Look at the files of the run's clips.

    Args:
        record: the run.
        advance: called after each file of ``spread(record.splits)``.
    """
    infos: list[tuple[str, VideoInfo]] = []
    gone = []
    for clip in spread(record.splits):
        row = record.row(clip["path"])
        if row.packed_index is None:
            try:
                infos.append((clip["label"], probe(row.path)))
            except VideoError as error:
                gone.append(error.given)
        advance(clip["path"])
    counts = Counter(clip["label"] for clip in record.splits)
    groups = {(clip["label"], clip["group"]) for clip in record.splits}
    groups_of = Counter(label for label, _ in groups)
    return DataCard(
        num_clips=len(record.splits),
        num_groups=len({group for _, group in groups}),
        num_looked_at=len(infos),
        facts=_facts([info for _, info in infos], is_whole=len(infos) == len(record.splits)),
        classes=[
            ClassCard(name, counts[name], groups_of[name], _median_seconds(name, infos))
            for name in record.class_names
        ],
        gone=gone,
    )


def _median_seconds(name: str, infos: Sequence[tuple[str, VideoInfo]]) -> float | None:
    seconds = [info.duration_seconds for label, info in infos if label == name]
    return median(seconds) if seconds else None


def _facts(infos: Sequence[VideoInfo], is_whole: bool) -> list[tuple[str, str]]:
    if not infos:
        return []
    seconds = [info.duration_seconds for info in infos]
    together = f"; {sum(seconds) / 60:.1f} min in all" if is_whole else ""
    return [
        ("Duration", _range(seconds, "s") + together),
        ("Frames", _range([info.num_frames for info in infos], "")),
        ("Frames per second", _range([info.average_fps for info in infos], "")),
        *_sizes(infos),
        ("Codec", _kinds(info.codec for info in infos)),
        ("Container", _kinds(info.container for info in infos)),
        ("Pixel format", _kinds(info.pixel_format for info in infos)),
        ("File size", _range([info.size_bytes / 1000 for info in infos], "kB")),
    ]


def _sizes(infos: Sequence[VideoInfo]) -> list[tuple[str, str]]:
    """The sizes of the pictures by name where they are few."""
    if len({(info.width, info.height) for info in infos}) <= _MOST_KINDS:
        return [("Picture", _kinds(f"{info.width}×{info.height}" for info in infos))]
    return [
        ("Picture width", _range([info.width for info in infos], "pixels")),
        ("Picture height", _range([info.height for info in infos], "pixels")),
    ]


def _range(values: Sequence[float], unit: str) -> str:
    low, middle, high = (f"{value:.4g}" for value in (min(values), median(values), max(values)))
    unit = f" {unit}" if unit else ""
    if low == high:
        return f"all {low}{unit}"
    return f"median {middle}{unit}, from {low} to {high}{unit}"


def _kinds(values: Iterable[str]) -> str:
    """The commonest values with their counts: ``128×96 (40), 64×64 (2)``."""
    counts = Counter(values)
    if len(counts) == 1:
        return f"all {next(iter(counts))}"
    told = [f"{value} ({count:,})" for value, count in counts.most_common(_MOST_KINDS)]
    num_more = len(counts) - len(told)
    return ", ".join(told) + (f", and {num_more:,} others" if num_more else "")
