"""When each frame of a video is shown, and where decoding can start, from its packets alone.

Headers lie about the number of frames and the frame rate; packets are what can be decoded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from filmstrip.errors import lacks_memory, out_of_memory
from filmstrip.video.failures import check_readable
from filmstrip.video.source import damaged
from filmstrip.video.timestamps import LONGEST_FRAME_SECONDS, ContinuousTimes
from filmstrip.video.transport import is_jump_between_frames

# FFmpeg's parser is a frame behind its demuxer: the mark is one frame before the jump.
_NUM_UNTIL_KEY_FRAME = 2


@dataclass(frozen=True)
class KeyFrame:
    """A frame from which decoding can start.

    Attributes:
        number: its place among the shown frames.
        pts: when it is shown, in the stream's time base.
        seek_timestamp: what to ask the container for to land on it, or before it.
    """

    number: int
    pts: int
    seek_timestamp: int


@dataclass(frozen=True, eq=False)
class Timeline:
    """The shown frames of a video in order.

    Attributes:
        times_seconds: when each frame comes (N,), sorted, the first at 0.
        duration_seconds: how long the video is shown, its last frame included.
        pts: the same times in the stream's time base (N,); ``None`` where the container holds no
            trustworthy times, so that decoded frames must be counted instead.
        key_frames: frames that can be sought, in order; empty where seeking is not safe.
        num_leading_packets: packets before the first key frame, as in a recording cut from a
            broadcast; they cannot be decoded.
        broken: why nothing can be read after these frames, in a few words; ``None`` where the
            packets end without a fault.
        jump_times_seconds: where time stamps restarted or jumped, and were made to continue.
    """

    times_seconds: NDArray[np.float64]
    duration_seconds: float
    pts: NDArray[np.int64] | None
    key_frames: tuple[KeyFrame, ...]
    num_leading_packets: int
    broken: str | None = None
    jump_times_seconds: tuple[float, ...] = ()

    def first(self, num_frames: int) -> Timeline:
        """The same video, found to end after ``num_frames`` frames, fewer than it has here."""
        return replace(
            self,
            times_seconds=self.times_seconds[:num_frames],
            duration_seconds=float(self.times_seconds[num_frames]),
        )


@dataclass(frozen=True)
class _Packet:
    pts: int | None
    dts: int | None
    duration: int
    is_key: bool
    is_discard: bool
    is_jump: bool


def read_timeline(path: Path, container: InputContainer, stream: VideoStream) -> Timeline | None:
    """Walk through all packets of an open video; ``None`` where it shows not one frame.

    Raises:
        DamagedVideoError: it breaks before its first frame.
    """
    packets, broken = _read_packets(path, container, stream)
    num_leading = next((i for i, packet in enumerate(packets) if packet.is_key), 0)
    shown = _shown(packets[num_leading:])
    if not shown:
        if broken is not None:
            raise damaged(path, broken, 0.0, 0)
        return None
    pts, times = _presentation_times(shown, stream)
    # No frame is shown for more than a day: what follows such a gap has no time that can be true.
    far = np.flatnonzero(np.diff(times) > LONGEST_FRAME_SECONDS)
    if len(far):
        num_frames = int(far[0]) + 1
        broken = f"the next frame claims to come {times[num_frames] - times[num_frames - 1]:.0f} s"
        broken += " later, which no recording can mean"
        times, pts = times[:num_frames], None if pts is None else pts[:num_frames]
    jumps = [number for number, packet in enumerate(shown[: len(times)]) if packet.is_jump]
    return Timeline(
        times_seconds=times,
        duration_seconds=float(times[-1]) + _last_frame_seconds(shown, times, stream),
        pts=pts,
        # Time stamps that restart cannot be sought.
        key_frames=() if pts is None or jumps else _key_frames(shown, pts, container),
        num_leading_packets=num_leading,
        broken=broken,
        jump_times_seconds=tuple(times[jumps].tolist()),
    )


def _read_packets(
    path: Path, container: InputContainer, stream: VideoStream
) -> tuple[list[_Packet], str | None]:
    """The packets up to the first that cannot be decoded, and what is wrong with that one."""
    packets: list[_Packet] = []
    times = ContinuousTimes(container, stream)
    marks = CorruptMarks(path, container)
    try:
        for packet in container.demux(stream):
            is_jump = bool(packet.size) and times.mend(packet)
            if marks.tell_damage(packet, times.leaves_out_frame):
                return packets, "a packet is cut short or corrupt"
            if packet.size:
                packets.append(
                    _Packet(
                        packet.pts,
                        packet.dts,
                        packet.duration or 0,
                        packet.is_keyframe,
                        packet.is_discard,
                        is_jump,
                    )
                )
    except av.error.FFmpegError as error:
        if lacks_memory(error):
            raise out_of_memory(path) from error
        if isinstance(error, OSError):
            check_readable(path)
        return packets, error.strerror or "unreadable"
    return packets, None


class CorruptMarks:
    """Judges FFmpeg's marks on corrupt packets, in the order in which packets are read.

    In a transport stream FFmpeg also marks a packet shortly before another recording begins. Then
    nothing is missing: the counter of the stream jumps between two frames, a key frame follows, and
    time goes on without a gap.

    Args:
        path: the file.
        container: the same, open.
    """

    def __init__(self, path: Path, container: InputContainer) -> None:
        self._path = path
        self._is_transport = container.format.name == "mpegts"
        self._num_until_key_frame = 0

    def tell_damage(self, packet: Packet[VideoStream], leaves_out_frame: bool) -> bool:
        """Return whether the packet is damaged, or packets are missing before it.

        Args:
            packet: the next one.
            leaves_out_frame: whether more time than usual passed before it.
        """
        is_damaged = False
        if self._num_until_key_frame and packet.size:
            self._num_until_key_frame = 0 if packet.is_keyframe else self._num_until_key_frame - 1
            is_damaged = leaves_out_frame or not (self._num_until_key_frame or packet.is_keyframe)
        if not packet.is_corrupt:
            return is_damaged
        if not self._is_transport or packet.pos is None:
            return True
        self._num_until_key_frame = _NUM_UNTIL_KEY_FRAME
        stream_id = packet.stream.id
        return is_damaged or not is_jump_between_frames(self._path, stream_id, packet.pos)


def _shown(packets: list[_Packet]) -> list[_Packet]:
    """The packets that come on screen, of those from the first key frame on.

    An edit list may hide some, and an open group of pictures has some behind its key frame that
    are shown before it and lean on what came earlier.
    """
    start = packets[0].pts if packets else None
    return [
        packet
        for packet in packets
        if not packet.is_discard and (start is None or packet.pts is None or packet.pts >= start)
    ]


def _presentation_times(
    packets: list[_Packet], stream: VideoStream
) -> tuple[NDArray[np.int64] | None, NDArray[np.float64]]:
    """Sorted presentation times, as integers where they can be trusted and in seconds."""
    has_pts = all(packet.pts is not None for packet in packets)
    stamps = [packet.pts if has_pts else packet.dts for packet in packets]
    known = [stamp for stamp in stamps if stamp is not None]
    if len(known) < len(packets) or stream.time_base is None:
        # A raw stream carries no times at all.
        rate = stream.average_rate or stream.guessed_rate or 25
        return None, np.arange(len(packets)) / float(rate)
    pts = np.array(known, dtype=np.int64)
    # AVI has no presentation times. Where its codec reorders frames FFmpeg guesses them, and is
    # wrong where DivX or XviD packed two frames into one packet: times of frames run backwards.
    # Elsewhere a guess shows in packets whose times come in decoding order.
    is_avi = stream.container.format.name == "avi"
    reorders = bool(stream.codec_context.has_b_frames)
    guessed = reorders and (is_avi or bool(np.all(np.diff(pts) > 0)))
    pts.sort()
    times = (pts - pts[0]) * stream.time_base.numerator / stream.time_base.denominator
    return (pts if has_pts and not guessed else None), times


def _last_frame_seconds(
    packets: list[_Packet], times: NDArray[np.float64], stream: VideoStream
) -> float:
    last = max(packets, key=lambda packet: packet.pts if packet.pts is not None else 0)
    if last.duration and stream.time_base is not None:
        seconds = float(last.duration * stream.time_base)
        if seconds <= LONGEST_FRAME_SECONDS:
            return seconds
    if len(times) > 1:
        return float(np.median(np.diff(times)))
    return float(1 / stream.average_rate) if stream.average_rate else 0.0


def _key_frames(
    packets: list[_Packet], pts: NDArray[np.int64], container: InputContainer
) -> tuple[KeyFrame, ...]:
    """The key frames whose time no other frame claims."""
    is_sought_by_dts = container.format.name == "mpegts"
    found = []
    for packet in packets:
        if not packet.is_key or packet.pts is None:
            continue
        number, end = (int(np.searchsorted(pts, packet.pts, side)) for side in ("left", "right"))
        if end - number == 1:
            dts = packet.dts if is_sought_by_dts else None
            found.append(KeyFrame(number, packet.pts, packet.pts if dts is None else dts))
    return tuple(sorted(found, key=lambda key: key.number))
