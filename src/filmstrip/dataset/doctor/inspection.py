"""One file, decoded whole and once, becomes the facts about it.

Each frame is looked at in a small size; what is kept is a few thumbnails a second, so that memory
stays flat however long the video is.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from PIL import Image

from filmstrip.dataset.doctor.facts import (
    THUMBNAIL_SIDE,
    Complaint,
    Fault,
    FaultKind,
    Intervals,
    Stretch,
    VideoFacts,
)
from filmstrip.dataset.doctor.stretches import StretchFinder
from filmstrip.dataset.doctor.thumbnails import GREY_SIDE, Pace, small_picture, thumbnail
from filmstrip.dataset.doctor.truncation import find_truncation
from filmstrip.errors import DamagedVideoError, NoVideoError, ResourceError, VideoError
from filmstrip.video.decode import decode_frames
from filmstrip.video.failures import machine_failures
from filmstrip.video.probe import VideoInfo, probe_timeline
from filmstrip.video.timestamps import find_gaps

_NUM_COLOUR_SAMPLES = 8
_PREVIEW_SHARES = (1 / 6, 1 / 2, 5 / 6)
_PREVIEW_HEIGHT, _PREVIEW_LARGEST_WIDTH = 72, 128
# Matroska rounds a frame's time to milliseconds, GIF to hundredths of a second.
_ROUNDING_SECONDS = 0.0021
_GIF_ROUNDING_SECONDS = 0.0101
_IRREGULAR_SHARE = 0.2


def inspect_video(path: Path, beat: Callable[[], None] = lambda: None) -> VideoFacts:
    """Decode all of ``path``; whatever is wrong with it becomes its ``fault``.

    A failure of the machine, such as a lack of memory, is a fault of the kind ``unchecked``.

    Args:
        path: the file.
        beat: called at each frame, so that who watches knows a long video from a stuck decoder.
    """
    size_bytes = path.stat().st_size if path.is_file() else 0
    findings = _Findings()
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as logged:
            fault = _fault_of(path, findings, logged, beat)
        if fault is not None and fault.kind == "unchecked":
            return VideoFacts(size_bytes=size_bytes, fault=fault)
        with machine_failures(path):
            return findings.facts(size_bytes, fault)
    except ResourceError as error:
        words = _without_name(error, path)
        return VideoFacts(size_bytes=size_bytes, fault=Fault(kind="unchecked", words=words))
    finally:
        av.logging.set_level(level)


def _fault_of(
    path: Path, findings: _Findings, logged: list[Any], beat: Callable[[], None]
) -> Fault | None:
    try:
        with machine_failures(path):
            info, timeline = probe_timeline(path)
            findings.begin(info)
            for seconds, frame in decode_frames(path, timeline):
                beat()
                findings.hear(seconds, frame)
                findings.hear_decoder(seconds, logged)
            findings.hear_decoder(findings.last_seconds, logged)
            return find_truncation(info, findings.num_decoded, findings.last_seconds)
    except ResourceError as error:
        return Fault(kind="unchecked", words=_without_name(error, path))
    except DamagedVideoError as error:
        return Fault(
            kind="corrupt",
            words=_without_name(error, path),
            at_seconds=error.usable_seconds,
            num_usable_frames=error.num_usable_frames,
        )
    except NoVideoError as error:
        # FFmpeg failed on what it took for a video, or found whole but without a picture.
        could_not_open = isinstance(error.__cause__, av.error.FFmpegError)
        kind: FaultKind = "corrupt" if could_not_open else "no_video"
        return Fault(kind=kind, words=_without_name(error, path))
    except VideoError as error:
        return Fault(kind="unreadable", words=_without_name(error, path))


def _without_name(error: VideoError, path: Path) -> str:
    return error.given.removeprefix(f"{path}: ")


class _Findings:
    """What has been seen of one video so far."""

    def __init__(self) -> None:
        self._info: VideoInfo | None = None
        self._stretches = StretchFinder()
        self._complaint: Complaint | None = None
        self._to_grey, self._to_colours, self._to_preview = (VideoReformatter() for _ in range(3))
        self._pace = Pace(0.0)
        self._thumbnails: list[tuple[float, NDArray[np.uint8]]] = []
        self._last_grey: NDArray[np.uint8] | None = None
        self._colours: list[NDArray[np.uint8]] = []
        self._previews: list[NDArray[np.uint8]] = []
        self.num_decoded = 0
        self.last_seconds = 0.0

    def begin(self, info: VideoInfo) -> None:
        """Hear what the packets promise."""
        self._info = info
        self._pace = Pace(info.duration_seconds)

    def hear(self, seconds: float, frame: VideoFrame) -> None:
        """Look at the next frame."""
        if self._info is None:
            raise ValueError("begin() comes first")
        self.num_decoded += 1
        self.last_seconds = seconds
        grey = small_picture(self._to_grey, frame, GREY_SIDE, GREY_SIDE, "gray")
        self._stretches.hear(seconds, grey)
        self._last_grey = grey
        if self._pace.takes(seconds):
            self._thumbnails.append((seconds, thumbnail(grey)))
        progress = seconds / max(self._info.duration_seconds, 1e-3)
        if progress * _NUM_COLOUR_SAMPLES >= len(self._colours):
            side = THUMBNAIL_SIDE
            self._colours.append(small_picture(self._to_colours, frame, side, side, "rgb24"))
        shown = len(self._previews)
        if shown < len(_PREVIEW_SHARES) and (progress >= _PREVIEW_SHARES[shown] or not shown):
            preview = self._preview(frame)
            self._previews.append(preview)

    def hear_decoder(self, seconds: float, logged: list[Any]) -> None:
        """Keep the first error that the decoder logged, and the time at which it did."""
        if self._complaint is None:
            for level, _, words in logged:
                if level <= av.logging.ERROR:
                    self._complaint = Complaint(at_seconds=seconds, words=words.strip())
                    break
        logged.clear()

    def facts(self, size_bytes: int, fault: Fault | None) -> VideoFacts:
        """All that was found."""
        info = self._info
        if info is None or self._last_grey is None:
            return VideoFacts(size_bytes=size_bytes, fault=fault)
        if self.last_seconds > self._thumbnails[-1][0]:
            self._thumbnails.append((self.last_seconds, thumbnail(self._last_grey)))
        colours = np.stack(self._colours).astype(np.float32)
        usable = None if fault is None else fault.at_seconds
        duration = info.duration_seconds if usable is None else usable
        return VideoFacts(
            size_bytes=size_bytes,
            fault=fault,
            container=info.container,
            codec=info.codec,
            width=info.width,
            height=info.height,
            duration_seconds=duration,
            num_frames=info.num_frames if fault is None else fault.num_usable_frames,
            intervals=_intervals(info),
            complaint=self._complaint,
            gaps=tuple(
                Stretch(start_seconds=gap.start_seconds, end_seconds=gap.end_seconds)
                for gap in find_gaps(info.frame_times_seconds)
            ),
            jump_times_seconds=info.jump_times_seconds,
            black=self._stretches.black(duration),
            frozen=self._stretches.frozen(duration),
            sample_times_seconds=tuple(seconds for seconds, _ in self._thumbnails),
            thumbnails=b"".join(picture.tobytes() for _, picture in self._thumbnails),
            mean_colours=np.rint(colours.mean(0)).astype(np.uint8).tobytes(),
            colour_spread=np.rint(colours.std(0).max(-1)).astype(np.uint8).tobytes(),
            preview=_jpeg(self._previews),
        )

    def _preview(self, frame: VideoFrame) -> NDArray[np.uint8]:
        info = self._info
        if info is None:
            raise ValueError("begin() comes first")
        width = round(_PREVIEW_HEIGHT * info.width / info.height)
        width = min(max(width, 16), _PREVIEW_LARGEST_WIDTH)
        stored = (
            (_PREVIEW_HEIGHT, width) if info.rotation_degrees % 180 else (width, _PREVIEW_HEIGHT)
        )
        return small_picture(self._to_preview, frame, *stored, "rgb24")


def _intervals(info: VideoInfo) -> Intervals | None:
    between = np.diff(info.frame_times_seconds)
    if len(between) < 2:
        return None
    median = float(np.median(between))
    rounding = _GIF_ROUNDING_SECONDS if info.container == "gif" else _ROUNDING_SECONDS
    tolerance = max(_IRREGULAR_SHARE * median, rounding)
    return Intervals(
        shortest_seconds=float(between.min()),
        median_seconds=median,
        longest_seconds=float(between.max()),
        num_irregular=int(np.count_nonzero(np.abs(between - median) > tolerance)),
    )


def _jpeg(pictures: list[NDArray[np.uint8]]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.concatenate(pictures, axis=1)).save(file, "JPEG", quality=70)
    return file.getvalue()
