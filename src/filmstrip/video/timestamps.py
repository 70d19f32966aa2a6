"""Time stamps that restart or jump, as those of joined recordings do, are made to continue.

Recordings of one camera that were joined end to end (``cat a.ts b.ts``) are one video whose time
stamps begin again in the middle. The rules are those of the ``ffmpeg`` program: time never goes
back, and in MPEG streams, which may be cut and joined anywhere, it does not jump ahead either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

LONGEST_FRAME_SECONDS = 30 * 3600.0
"""The longest that a frame can be shown; a later time stamp is wrong (ffmpeg's bound, too)."""

GAP_SECONDS = 10.0
"""A frame that is shown for longer is a gap, unless the others are, too."""

_GAP_INTERVALS = 10
_MAY_BE_JOINED = ("mpegts", "mpeg")
_LONGEST_JUMP_SECONDS = 10.0
_SHORTEST_RETURN_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch without a frame: the one before it stays on screen.

    Attributes:
        start_seconds: when the last frame before it came.
        end_seconds: when the next one came.
    """

    start_seconds: float
    end_seconds: float


def is_gap(seconds: float, usual_seconds: float) -> bool:
    """Return whether so long a time between two frames is a gap.

    Args:
        seconds: between the two.
        usual_seconds: between two frames of the same video.
    """
    return seconds > max(GAP_SECONDS, _GAP_INTERVALS * usual_seconds)


def find_gaps(times_seconds: NDArray[np.float64]) -> list[Gap]:
    """Return the gaps between frames that come at these sorted times (N,)."""
    if len(times_seconds) < 2:
        return []
    between = np.diff(times_seconds)
    usual = float(np.median(between))
    return [
        Gap(float(times_seconds[place]), float(times_seconds[place + 1]))
        for place in np.flatnonzero(between > GAP_SECONDS)
        if is_gap(float(between[place]), usual)
    ]


class ContinuousTimes:
    """Mends the time stamps of a video's packets, in the order in which they are read.

    Args:
        container: the open video, read from its start.
        stream: of the packets.

    Attributes:
        leaves_out_frame: whether more time than usual passed before the last packet.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self.leaves_out_frame = False
        self._time_base = stream.time_base
        self._jumps_ahead = container.format.name in _MAY_BE_JOINED
        self._last_dts: int | None = None
        self._interval = 0
        self._end = 0
        self._offset = 0

    def mend(self, packet: Packet[VideoStream]) -> bool:
        """Shift the times of ``packet`` in place, and return whether a jump was mended there."""
        is_jump = self._is_jump(packet.dts)
        if is_jump:
            first = packet.dts if packet.pts is None else packet.pts
            self._offset = self._end - (first or 0)
        self.leaves_out_frame = False
        if packet.dts is not None:
            if self._last_dts is not None and packet.dts > self._last_dts and not is_jump:
                passed = packet.dts - self._last_dts
                self.leaves_out_frame = 0 < 1.5 * self._interval < passed
                self._interval = passed
            self._last_dts = packet.dts
        if self._offset:
            packet.pts = None if packet.pts is None else packet.pts + self._offset
            packet.dts = None if packet.dts is None else packet.dts + self._offset
        shown = packet.dts if packet.pts is None else packet.pts
        if shown is not None:
            self._end = max(self._end, shown + (packet.duration or self._interval))
        return is_jump

    def _is_jump(self, dts: int | None) -> bool:
        if dts is None or self._last_dts is None or self._time_base is None:
            return False
        seconds = float((dts - self._last_dts) * self._time_base)
        if self._jumps_ahead and seconds > _LONGEST_JUMP_SECONDS:
            return True
        return seconds < -_SHORTEST_RETURN_SECONDS
