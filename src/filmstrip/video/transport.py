"""Whether bytes of a frame are missing from an MPEG transport stream.

Every packet of a transport stream carries a counter of four bits. FFmpeg marks a frame as corrupt
where the counter jumps, which happens where packets were lost and where recordings were joined. At
a join the frame before the jump is whole: the next packet begins a frame of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_SYNC = 0x47
# Sizes of a packet, and where in it the 188 bytes of the stream begin.
_LAYOUTS = ((188, 0), (192, 0), (192, 4), (204, 0))
_SCANNED_BYTES = 2**25  # a few frames of the highest bit rate
_PACKET_BYTES = 188


def is_jump_between_frames(path: Path, stream_id: int, start: int) -> bool:
    """Return whether the next jump of the counter lies between two frames, not within one.

    Args:
        path: the transport stream.
        stream_id: the packet identifier (PID) of the video.
        start: where to begin in the file: a byte at which a packet begins.
    """
    counter: int | None = None
    for packet in _packets(path, start):
        if ((packet[1] & 0x1F) << 8 | packet[2]) != stream_id or not packet[3] & 0x10:
            continue  # of another stream, or without a payload
        if packet[1] & 0x80:
            return False  # the receiver marked it as damaged
        expected = packet[3] & 0x0F if counter is None else (counter + 1) & 0x0F
        if packet[3] & 0x0F not in (counter, expected):  # a packet may be sent twice
            return bool(packet[1] & 0x40)
        counter = packet[3] & 0x0F
    return False


def _packets(path: Path, start: int) -> Iterator[bytes]:
    """The packets from byte ``start`` on, 188 bytes each, for the length of a few frames."""
    with path.open("rb") as file:
        file.seek(start)
        content = file.read(_SCANNED_BYTES)
    for size, lead in _LAYOUTS:
        if all(content[place] == _SYNC for place in range(lead, min(len(content), 8 * size), size)):
            for place in range(lead, len(content) - _PACKET_BYTES + 1, size):
                yield content[place : place + _PACKET_BYTES]
            return
