"""A long timeline is wrapped, as a text is: strips of equal length, one below the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from filmstrip.inference.segments import Segment

_ROUND_SECONDS = (60, 120, 300, 600, 900, 1800, 3600)


@dataclass(frozen=True, slots=True)
class Piece:
    """The part of a segment that falls in one strip.

    Attributes:
        number: place of its segment in the order of all.
        start_seconds: after the first frame of the recording.
        end_seconds: likewise; half-open.
    """

    number: int
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, slots=True)
class Strip:
    """One line of a wrapped timeline.

    Attributes:
        start_seconds: after the first frame.
        end_seconds: likewise; beyond the recording's end in the last one.
        pieces: of the segments in it, in order.
    """

    start_seconds: float
    end_seconds: float
    pieces: tuple[Piece, ...]


def wrap(segments: Sequence[Segment], end_seconds: float, max_strips: int) -> list[Strip]:
    """Strips that hold a recording: at most so many, each a round length unless there is but one.

    Args:
        segments: in order.
        end_seconds: where the recording ends.
        max_strips: most strips.
    """
    length = _strip_seconds(end_seconds, max_strips)
    num_strips = max(math.ceil(end_seconds / length), 1) if length else 1
    starts = [number * length for number in range(num_strips)]
    return [
        Strip(start, start + length, _pieces(segments, start, start + length)) for start in starts
    ]


def _strip_seconds(end_seconds: float, max_strips: int) -> float:
    if end_seconds <= _ROUND_SECONDS[0] or max_strips == 1:
        return end_seconds
    fitting = (length for length in _ROUND_SECONDS if end_seconds <= length * max_strips)
    hours = math.ceil(end_seconds / max_strips / 3600)
    return next(fitting, hours * 3600)


def _pieces(segments: Sequence[Segment], start: float, end: float) -> tuple[Piece, ...]:
    return tuple(
        Piece(number, max(one.start_seconds, start), min(one.end_seconds, end))
        for number, one in enumerate(segments)
        if one.start_seconds < end and one.end_seconds > start
    )
