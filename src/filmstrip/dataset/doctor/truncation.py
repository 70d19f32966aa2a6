"""Files that end too early, as a finding of the doctor."""

from __future__ import annotations

from filmstrip.dataset.doctor.facts import Fault
from filmstrip.video.completeness import is_much_missing
from filmstrip.video.probe import VideoInfo


def find_truncation(info: VideoInfo, num_decoded: int, last_seconds: float) -> Fault | None:
    """Return the fault of a file that decoded without an error but is not complete, or None.

    Args:
        info: what its packets say.
        num_decoded: how many frames came out of the decoder.
        last_seconds: when the last of them comes.
    """
    seconds_a_frame = info.duration_seconds / max(info.num_frames, 1)
    end_seconds = min(last_seconds + seconds_a_frame, info.duration_seconds)
    words = info.missing
    if is_much_missing(info.duration_seconds, end_seconds, seconds_a_frame):
        words = (
            f"the picture ends at {end_seconds:.2f} s, but packets go on until "
            f"{info.duration_seconds:.2f} s"
        )
    if words is None:
        return None
    return Fault(
        kind="truncated", words=words, at_seconds=end_seconds, num_usable_frames=num_decoded
    )
