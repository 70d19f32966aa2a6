"""A clip as a few kilobytes of H.264 that any browser plays, whatever the source was."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from filmstrip.dataset.rows import VideoRow
from filmstrip.errors import VideoError
from filmstrip.features.source import ClipReader
from filmstrip.video.decode import read_clip
from filmstrip.video.encode import write_video
from filmstrip.video.picture import Picture
from filmstrip.video.probe import probe
from filmstrip.video.sampling import UniformSampling
from filmstrip.video.transforms import Framing

MOST_BYTES = 300_000
"""How large a small clip may be."""

_LONGEST_SIDE = 224
_MOST_SECONDS = 8.0
_MOST_FRAMES_PER_SECOND = 12
# Rate factors of x264, each about a third of the bytes of the one before.
_QUALITIES = (24, 34, 44, 51)


@dataclass(frozen=True, slots=True)
class SmallClip:
    """A clip to look at.

    Attributes:
        mp4: the file's bytes.
        words: its true size, duration and, where it is shown faster, the pace.
    """

    mp4: bytes
    words: str


def small_clip(row: VideoRow) -> SmallClip:
    """The whole clip, small: at most 224 pixels, 12 frames per second, 8 seconds, 300 kB.

    A longer clip is shown faster, so that nothing of it is left out.

    Raises:
        VideoError: the clip is gone, cannot be read, or does not become so small.
        StorageError: there is no room for a temporary file.
    """
    if row.packed_index is not None:
        return _packed_clip(row)
    info = probe(row.path)
    shown_seconds = min(max(info.duration_seconds, 0.1), _MOST_SECONDS)
    num_frames = math.ceil(_MOST_FRAMES_PER_SECOND * shown_seconds)
    frames = read_clip(row.path, UniformSampling(num_frames=num_frames), _shrunk, True).frames
    words = f"{info.width}×{info.height}, {info.duration_seconds:.2f} s, {info.codec}"
    if info.duration_seconds > _MOST_SECONDS:
        words += f", shown {info.duration_seconds / _MOST_SECONDS:.1f} times as fast"
    return SmallClip(_encoded(row.path, frames, len(frames) / shown_seconds), words)


def _packed_clip(row: VideoRow) -> SmallClip:
    """Frames from an array, whose times nobody knows."""
    reader = ClipReader(UniformSampling(num_frames=96), Framing(size=_LONGEST_SIDE, fit="pad"))
    frames, facts = reader.read(row)
    words = f"{facts.width}×{facts.height}, {facts.num_frames} frames, shown four a second"
    return SmallClip(_encoded(row.path, frames, 4.0), words)


def _shrunk(frame: Picture) -> Picture:
    picture = Image.fromarray(frame)
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    return np.asarray(picture)


def _encoded(path: Path, frames: Picture, frames_per_second: float) -> bytes:
    """``frames`` (T, H, W, 3) uint8 as an MP4, as good as the limit allows."""
    with TemporaryDirectory(prefix="filmstrip-") as folder:
        target = Path(folder, "clip.mp4")
        for quality in _QUALITIES:
            write_video(target, frames, frames_per_second, options={"crf": str(quality)})
            if target.stat().st_size <= MOST_BYTES:
                return target.read_bytes()
    raise VideoError(
        f"{path}: its small copy takes more than {MOST_BYTES // 1000} kB",
        "a clip that can be shown on a page",
        "look at the file itself.",
    )
