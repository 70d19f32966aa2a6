"""What is known of a video file once all of it was decoded: a few kilobytes, kept as JSON."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

THUMBNAIL_SIDE = 16
"""Width and height of the grey thumbnails by which videos are compared, in pixels."""

FaultKind = Literal["corrupt", "truncated", "no_video", "unreadable", "unchecked"]


class _Facts(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64"
    )


class Fault(_Facts):
    """Why a file cannot be read whole.

    Attributes:
        kind: ``corrupt`` where the decoder failed; ``truncated`` where the file ends cleanly, but
            before the end that it states itself; ``no_video`` where there is no picture at all;
            ``unreadable`` for all else, such as a decoder that crashed; ``unchecked`` where the
            machine failed, which says nothing about the file and is never kept.
        words: what was found, without the file's name.
        at_seconds: where in the video; None where nothing of it can be read.
        num_usable_frames: how many frames come before.
    """

    kind: FaultKind
    words: str
    at_seconds: float | None = None
    num_usable_frames: int = 0


class Stretch(_Facts):
    """A part of a video, ``[start_seconds, end_seconds)``."""

    start_seconds: float
    end_seconds: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end_seconds - self.start_seconds


class Complaint(_Facts):
    """What the decoder said while it went on: an error that it could conceal."""

    at_seconds: float
    words: str


class Intervals(_Facts):
    """The times between one frame and the next.

    Attributes:
        shortest_seconds: of all.
        median_seconds: of all.
        longest_seconds: of all.
        num_irregular: how many differ from the median by more than rounding explains.
    """

    shortest_seconds: float
    median_seconds: float
    longest_seconds: float
    num_irregular: int


class VideoFacts(_Facts):
    """One file, decoded whole.

    A file that breaks off has what was found before the fault; a file without a readable picture
    has nothing but its fault.

    Attributes:
        content_hash: of the file's bytes.
        size_bytes: of the file.
        fault: why it cannot be read whole; None for a sound file.
        container: FFmpeg's name of the format found, whatever the suffix.
        codec: FFmpeg's name of the codec.
        width: pixels across, as shown.
        height: pixels down, as shown.
        duration_seconds: how long it is shown, its last frame included.
        num_frames: frames of the video stream.
        intervals: between frames; None for fewer than three frames.
        complaint: the first error that the decoder concealed.
        gaps: stretches without a frame, in which the one before stays on screen.
        jump_times_seconds: where time stamps restarted or jumped, as in joined recordings.
        black: stretches of black picture.
        frozen: stretches in which nothing moves, but the black ones.
        sample_times_seconds: when each thumbnail is shown.
        thumbnails: grey pictures (N, 16, 16) uint8, as bytes.
        mean_colours: the clip's mean picture (16, 16, 3) uint8 RGB, as bytes.
        colour_spread: how far each cell (16, 16) uint8 departs from its mean in time, as bytes.
        preview: three frames side by side, a JPEG; empty where there is no picture.
    """

    content_hash: str = ""
    size_bytes: int = 0
    fault: Fault | None = None
    container: str = ""
    codec: str = ""
    width: int = 0
    height: int = 0
    duration_seconds: float = 0.0
    num_frames: int = 0
    intervals: Intervals | None = None
    complaint: Complaint | None = None
    gaps: tuple[Stretch, ...] = ()
    jump_times_seconds: tuple[float, ...] = ()
    black: tuple[Stretch, ...] = ()
    frozen: tuple[Stretch, ...] = ()
    sample_times_seconds: tuple[float, ...] = ()
    thumbnails: bytes = b""
    mean_colours: bytes = b""
    colour_spread: bytes = b""
    preview: bytes = b""

    @property
    def average_fps(self) -> float:
        """Frames per second of duration; 0 for a picture that is shown for no time."""
        return self.num_frames / self.duration_seconds if self.duration_seconds else 0.0

    def thumbnail_array(self) -> NDArray[np.uint8]:
        """The thumbnails as an array (N, 16, 16)."""
        cells = np.frombuffer(self.thumbnails, dtype=np.uint8)
        return cells.reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
