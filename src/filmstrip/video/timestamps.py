"""Time stamps that restart or jump, as those of joined recordings do, are made to continue.

Recordings of one camera that were joined end to end (``cat a.ts b.ts``) are one video whose time
stamps begin again in the middle. The rules are those of the ``ffmpeg`` program: time never goes
back, and in MPEG streams, which may be cut and joined anywhere, it does not jump ahead either.
"""

from __future__ import annotations

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

LONGEST_FRAME_SECONDS = 30 * 3600.0
"""The longest that a frame can be shown; a later time stamp is wrong (ffmpeg's bound, too)."""

_MAY_BE_JOINED = ("mpegts", "mpeg")
_LONGEST_JUMP_SECONDS = 10.0
_SHORTEST_RETURN_SECONDS = 0.1


class ContinuousTimes:
    """Mends the time stamps of a video's packets, in the order in which they are read.

    Args:
        container: the open video, read from its start.
        stream: of the packets.

    Attributes:
        num_jumps: how many jumps were mended so far.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self.num_jumps = 0
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
            self.num_jumps += 1
        if packet.dts is not None:
            if self._last_dts is not None and packet.dts > self._last_dts and not is_jump:
                self._interval = packet.dts - self._last_dts
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
