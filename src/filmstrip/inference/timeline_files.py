"""Segments as files that other programs read: JSON, CSV, and subtitles (SRT, WebVTT)."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from filmstrip.errors import StorageError
from filmstrip.inference.segments import Segment
from filmstrip.inference.timeline import TimelineStep
from filmstrip.storage import replacing
from filmstrip.text import printable, to_json
from filmstrip.video.timestamps import Gap


@dataclass(frozen=True, slots=True)
class Recording:
    """What segments are from.

    Attributes:
        source: its name.
        missing: what shows that it is not complete, in a few words; None where nothing does.
        gaps: stretches without a frame.
    """

    source: str
    missing: str | None = None
    gaps: Sequence[Gap] = ()


def write_segments(path: Path, segments: Sequence[Segment], recording: Recording) -> None:
    """Write segments to ``path``, whose suffix decides the format; whole or not at all.

    Args:
        path: .json, .csv, .srt or .vtt.
        segments: in order.
        recording: what they are from, for JSON.

    Raises:
        StorageError: another suffix, or the disk is full or cannot be written.
    """
    text = writer_for(path)(segments, recording)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")


def writer_for(path: Path) -> Callable[[Sequence[Segment], Recording], str]:
    """What turns segments into the text of a file with the suffix of ``path``.

    Raises:
        StorageError: there is no such format.
    """
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise StorageError(
            f"{path}: timelines are not written as {path.suffix or 'a file without suffix'}",
            f"a file name that ends in {', '.join(_WRITERS)}",
            "choose one of these endings.",
        )
    return writer


def writing_steps(
    path: Path, steps: Iterable[TimelineStep], class_names: Sequence[str]
) -> Iterator[TimelineStep]:
    """Pass steps on, and write them to the CSV ``path`` as they pass.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["start_seconds", "end_seconds", *(f"prob_{name}" for name in class_names)])
        for step in steps:
            times = (step.start_seconds, step.end_seconds)
            writer.writerow([*(f"{seconds:.3f}" for seconds in times), *map(_short, step.probs)])
            yield step


def clock_time(seconds: float, separator: str = ".") -> str:
    """Seconds as ``HH:MM:SS.mmm``."""
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds, milliseconds = divmod(milliseconds, 1000)
    return f"{hours:02}:{minutes:02}:{seconds:02}{separator}{milliseconds:03}"


def _json(segments: Sequence[Segment], recording: Recording) -> str:
    content = {
        "source": recording.source,
        "complete": recording.missing is None,
        "missing": recording.missing,
        "gaps": [asdict(gap) for gap in recording.gaps],
        "segments": [asdict(segment) for segment in segments],
    }
    return to_json(content, indent=2) + "\n"


def _csv(segments: Sequence[Segment], _recording: Recording) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["start_seconds", "end_seconds", "label", "confidence"])
    for segment in segments:
        times = (segment.start_seconds, segment.end_seconds)
        writer.writerow(
            [*(f"{seconds:.3f}" for seconds in times), segment.label, _short(segment.confidence)]
        )
    return text.getvalue()


def _srt(segments: Sequence[Segment], _recording: Recording) -> str:
    """SubRip: numbered cues, a comma before the milliseconds."""
    return "".join(
        f"{number}\n{_span(segment, ',')}\n{_words(segment)}\n\n"
        for number, segment in enumerate(segments, start=1)
    )


def _vtt(segments: Sequence[Segment], _recording: Recording) -> str:
    """WebVTT, https://www.w3.org/TR/webvtt1/."""
    cues = (
        f"{_span(segment, '.')}\n{html.escape(_words(segment), quote=False)}\n\n"
        for segment in segments
    )
    return "WEBVTT\n\n" + "".join(cues)


def _span(segment: Segment, separator: str) -> str:
    times = (segment.start_seconds, segment.end_seconds)
    return " --> ".join(clock_time(seconds, separator) for seconds in times)


def _words(segment: Segment) -> str:
    """The text of a cue: one line without the arrow that marks the times of a cue."""
    label = printable(segment.label).replace("-->", "→")
    return f"{label} ({segment.confidence:.0%})"


def _short(probability: float) -> str:
    return f"{probability:.6f}"


_WRITERS: dict[str, Callable[[Sequence[Segment], Recording], str]] = {
    ".json": _json,
    ".csv": _csv,
    ".srt": _srt,
    ".vtt": _vtt,
}
