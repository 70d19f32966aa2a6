"""Files that end cleanly but too early: what they state about themselves shows it.

Most containers are read packet by packet, so a file that was cut between two packets decodes
without an error. This module is the only one that judges whether a file was cut short. It compares
the file with what its container states:

- Matroska and WebM, MP4 and MOV, AVI, ASF and MPEG program streams state the length of their parts
  in bytes.
- Matroska, fragmented MP4, FLV and others state how long the video is in seconds.
- A GIF ends with a semicolon, and an Ogg file with a page that is marked as the last one.
- A transport stream consists of packets of 188 bytes (or 192, or 204).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from filmstrip.video.failures import unreadable
from filmstrip.video.source import open_video

_GIF_TRAILER = b";"
_TRANSPORT_PACKETS = ((188, 0), (192, 4), (192, 0), (204, 0))  # length, and where the sync byte is
_TAIL_BYTES = 2**17  # more than the longest Ogg page or MPEG packet, 65,307 and 65,541 bytes
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
# A header may be a few frames out, for instance by the length of sound that follows the picture.
_LEAST_MISSING_SECONDS = 0.2
_LEAST_MISSING_SHARE = 0.01
_LEAST_MISSING_FRAMES = 3
_RIFF_UNKNOWN = (0, 2**32 - 1)
# Containers whose stated duration was written down, and is no estimate of FFmpeg's. An MP4 without
# fragments has an index of every frame, and its edit list may shorten what is shown.
_STATE_DURATION = ("matroska,webm", "flv", "nut", "mxf", "ivf")


def find_missing(
    path: Path,
    container: str,
    duration_seconds: float,
    num_frames: int,
    claimed_seconds: float | None,
    start_seconds: float,
) -> str | None:
    """Return in a few words what shows that the file was cut short, or None.

    Args:
        path: the file.
        container: FFmpeg's name of its format.
        duration_seconds: how long its frames are shown.
        num_frames: how many frames there are.
        claimed_seconds: the duration that its header states, if any.
        start_seconds: the time stamp of its first frame, which the header's duration may include.

    Raises:
        VideoError: the system does not let us read the file.
    """
    ends = f"it was cut short: it ends at {duration_seconds:.2f} s"
    try:
        with path.open("rb") as file:
            structure = _Structure(file, path.stat().st_size)
            find = _BY_CONTAINER.get(container)
            words = find(structure) if find else None
    except OSError as error:
        raise unreadable(path, error) from error
    if words is not None:
        return f"{ends}, {words}"
    states_duration = container in _STATE_DURATION or structure.is_fragmented
    if claimed_seconds is None or not states_duration:
        return None
    claimed = claimed_seconds - max(start_seconds, 0.0)
    seconds_a_frame = duration_seconds / max(num_frames, 1)

    def is_missing(until_seconds: float) -> bool:
        return is_much_missing(until_seconds, duration_seconds, seconds_a_frame)

    if is_missing(claimed) and is_missing(claimed - _sound_after(path, duration_seconds)):
        return f"{ends}, its header states {claimed_seconds:.2f} s"
    return None


def is_much_missing(until_seconds: float, end_seconds: float, seconds_a_frame: float) -> bool:
    """Return whether a video that ends at ``end_seconds`` ends well before ``until_seconds``."""
    least = max(
        _LEAST_MISSING_SECONDS,
        _LEAST_MISSING_FRAMES * seconds_a_frame,
        _LEAST_MISSING_SHARE * until_seconds,
    )
    return until_seconds - end_seconds > least


def _sound_after(path: Path, duration_seconds: float) -> float:
    """How long other streams, such as sound, go on after the picture has ended."""
    ends = [0.0]
    with open_video(path) as (container, stream):
        starts = []
        for packet in container.demux():
            if packet.pts is None or packet.time_base is None:
                continue
            starts.append(float(packet.pts * packet.time_base))
            if packet.stream is not stream:
                ends.append(float((packet.pts + (packet.duration or 0)) * packet.time_base))
    start = min(starts, default=0.0)
    return max(max(ends) - start - duration_seconds, 0.0)


class _Structure:
    """The parts of an open file, and where they should end."""

    def __init__(self, file: BinaryIO, num_bytes: int) -> None:
        self._file = file
        self._num_bytes = num_bytes
        self.is_fragmented = False

    def matroska(self) -> str | None:
        """Segments, and the parts of those whose length is not stated."""
        place = 0
        while place < self._num_bytes:
            head = self._at(place, 12)
            name_width = 9 - head[0].bit_length()
            if name_width > 4:
                return None  # no element: padding, or something else
            length, width = _ebml_length(head[name_width:])
            if len(head) < name_width + max(width, 1):
                return self._said(place + name_width + max(width, 1))
            if not width:
                return None
            start = place + name_width + width
            if length is None:  # recorded live: its parts may still state their length
                place = start
                continue
            if start + length > self._num_bytes:
                return self._said(start + length)
            place = start + length
        return None

    def boxes(self) -> str | None:
        """The boxes of MP4 and MOV."""
        place = 0
        while place + 8 <= self._num_bytes:
            length, name = struct.unpack(">I4s", self._at(place, 8))
            self.is_fragmented |= name == b"moof"
            if length == 1 and place + 16 <= self._num_bytes:
                (length,) = struct.unpack(">Q", self._at(place + 8, 8))
            if length < 8 or not name.isascii():
                return None  # the last box, or padding
            if place + length > self._num_bytes:
                return self._said(place + length)
            place += length
        is_padding = not any(self._at(place, 8))
        return None if is_padding else self._said(place + 8)

    def riff(self) -> str | None:
        """The chunks of AVI: RIFF, and more of them in large files."""
        place = 0
        while place + 12 <= self._num_bytes:
            name, length, kind = struct.unpack("<4sI4s", self._at(place, 12))
            if name != b"RIFF" or kind not in (b"AVI ", b"AVIX"):
                return None
            if length in _RIFF_UNKNOWN:
                return None  # the recorder never completed its header
            end = place + 8 + length
            if end > self._num_bytes:
                return self._said(end)
            place = end + length % 2
        return None

    def gif(self) -> str | None:
        """The mark that ends a GIF (GIF89a specification, section 27)."""
        start = max(self._num_bytes - 64, 0)
        if self._at(start, 64).rstrip(b"\0").endswith(_GIF_TRAILER):
            return None
        return "without the mark that ends a GIF"

    def transport(self) -> str | None:
        """Whole packets."""
        start = self._at(0, 2 * 204)
        for length, sync in _TRANSPORT_PACKETS:
            if start[sync::length][:2] == b"\x47\x47":
                is_whole = self._num_bytes % length == 0
                return None if is_whole else "within a packet of its stream"
        return None

    def ogg(self) -> str | None:
        """The page that is marked as the last one of a stream (RFC 3533, section 6)."""
        tail = self._tail()
        place = tail.find(b"OggS")
        while 0 <= place < len(tail) - 27:
            num_segments = tail[place + 26]
            start = place + 27 + num_segments
            is_whole = start + sum(tail[place + 27 : start]) <= len(tail)
            if is_whole and tail[place + 5] & 4:
                return None
            place = tail.find(b"OggS", place + 4)
        return "without the page that ends an Ogg stream"

    def program(self) -> str | None:
        """The last packet of an MPEG program stream (ISO 13818-1, section 2.5)."""
        tail = self._tail()
        place = len(tail)
        while (place := tail.rfind(b"\0\0\1", 0, place)) >= 0:
            # Codes below 0xBC belong to the picture, and packs and the end have no length.
            if place + 6 <= len(tail) and tail[place + 3] >= 0xBC:
                end = place + 6 + int.from_bytes(tail[place + 4 : place + 6], "big")
                missing = end - len(tail)
                return self._said(self._num_bytes + missing) if missing > 0 else None
        return None

    def asf(self) -> str | None:
        """The length of the file in its properties (ASF specification, section 3.2)."""
        head = self._at(0, _TAIL_BYTES)
        place = head.find(_ASF_PROPERTIES)
        if place < 0 or place + 92 > len(head):
            return None
        length, flags = struct.unpack_from("<40xQ40xI", head, place)
        is_broadcast = flags & 1  # its length was not known yet
        return self._said(length) if length > self._num_bytes and not is_broadcast else None

    def _tail(self) -> bytes:
        return self._at(max(self._num_bytes - _TAIL_BYTES, 0), _TAIL_BYTES)

    def _at(self, place: int, num_bytes: int) -> bytes:
        self._file.seek(place)
        return self._file.read(num_bytes)

    def _said(self, end: int) -> str:
        return f"its container states {end:,} bytes and the file has {self._num_bytes:,}"


_BY_CONTAINER: dict[str, Callable[[_Structure], str | None]] = {
    "asf": _Structure.asf,
    "avi": _Structure.riff,
    "gif": _Structure.gif,
    "matroska,webm": _Structure.matroska,
    "mov,mp4,m4a,3gp,3g2,mj2": _Structure.boxes,
    "mpeg": _Structure.program,
    "mpegts": _Structure.transport,
    "ogg": _Structure.ogg,
}


def _ebml_length(content: bytes) -> tuple[int | None, int]:
    """A length in EBML (RFC 8794, section 4), None if it is unknown, and its width in bytes."""
    if not content or not content[0]:
        return None, 0
    width = 9 - content[0].bit_length()
    value = int.from_bytes(content[:width], "big") & (1 << 7 * width) - 1
    return (None if value == (1 << 7 * width) - 1 else value), width
