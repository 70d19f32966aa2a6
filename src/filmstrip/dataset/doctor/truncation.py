"""Files that end cleanly but too early: what they state of themselves betrays them.

MKV, WebM, GIF and MPEG-TS are read packet by packet: one that was cut between two packets decodes
without an error. Matroska states its duration, MP4 and AVI also their number of frames, a GIF ends
with a semicolon (GIF89a specification, section 27), a transport stream is made of packets of 188
bytes (or 192, or 204).
"""

from __future__ import annotations

from pathlib import Path

from filmstrip.dataset.doctor.facts import Fault
from filmstrip.video.probe import VideoInfo
from filmstrip.video.source import open_video

_GIF_TRAILER = b";"
_TRANSPORT_PACKET_BYTES = (188, 192, 204)
# A header may be a few frames out, for instance by the length of sound that stands behind.
_LEAST_MISSING_SECONDS = 0.2
_LEAST_MISSING_SHARE = 0.01
_LEAST_MISSING_FRAMES = 3


def find_truncation(info: VideoInfo, num_decoded: int, last_seconds: float) -> Fault | None:
    """The fault of a file that decoded without an error and yet is not whole, or None.

    Args:
        info: what its packets say.
        num_decoded: how many frames came out of the decoder.
        last_seconds: when the last of them comes.
    """
    seconds_a_frame = info.duration_seconds / max(info.num_frames, 1)
    end_seconds = min(last_seconds + seconds_a_frame, info.duration_seconds)

    def truncated(words: str) -> Fault:
        return Fault(
            kind="truncated", words=words, at_seconds=end_seconds, num_usable_frames=num_decoded
        )

    def is_missing(until_seconds: float) -> bool:
        least = max(
            _LEAST_MISSING_SECONDS,
            _LEAST_MISSING_FRAMES * seconds_a_frame,
            _LEAST_MISSING_SHARE * until_seconds,
        )
        return until_seconds - end_seconds > least

    if is_missing(info.duration_seconds):
        return truncated(
            f"the picture ends at {end_seconds:.2f} s, but packets go on until "
            f"{info.duration_seconds:.2f} s"
        )
    claimed = info.claimed_duration_seconds
    if claimed is not None and is_missing(claimed) and is_missing(claimed - _sound_after(info)):
        return truncated(
            f"it was cut short: it ends at {end_seconds:.2f} s, its header states {claimed:.2f} s"
        )
    if info.container == "gif" and not _ends_with_trailer(info.path):
        return truncated(f"it breaks off at {end_seconds:.2f} s, without the mark that ends a GIF")
    if info.container == "mpegts" and all(
        info.size_bytes % packet for packet in _TRANSPORT_PACKET_BYTES
    ):
        return truncated(f"it breaks off at {end_seconds:.2f} s, within a packet of its stream")
    return None


def _sound_after(info: VideoInfo) -> float:
    """How long other streams, such as sound, go on after the picture has ended."""
    ends = [0.0]
    with open_video(info.path) as (container, stream):
        starts = []
        for packet in container.demux():
            if packet.pts is None or packet.time_base is None:
                continue
            starts.append(float(packet.pts * packet.time_base))
            if packet.stream is not stream:
                ends.append(float((packet.pts + (packet.duration or 0)) * packet.time_base))
    start = min(starts, default=0.0)
    return max(max(ends) - start - info.duration_seconds, 0.0)


def _ends_with_trailer(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 64, 0))
        return file.read().rstrip(b"\0").endswith(_GIF_TRAILER)
