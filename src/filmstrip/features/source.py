"""One clip of an index, read as a model sees it: sampled, framed, uint8."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from filmstrip.dataset.content import packed_clips
from filmstrip.dataset.rows import VideoRow
from filmstrip.features.entry import ClipFacts
from filmstrip.video.decode import read_clip
from filmstrip.video.failures import machine_failures
from filmstrip.video.sampling import Sampling, sample_indices
from filmstrip.video.transforms import Framing

READING = "3"
"""Part of each key of the store: another number where the same file and settings give other frames.

2: frames of AVI files whose codec reorders them are counted.
3: the best video track is read, joined recordings are one video, and incomplete ones are marked.
"""


@dataclass(frozen=True, slots=True)
class ClipReader:
    """Reads the frames of a row, from a video file or from a packed array.

    Attributes:
        sampling: which frames.
        framing: how each becomes a square picture.
        keep_incomplete: read what there is of a file that is not complete; its facts then state
            what is missing.
    """

    sampling: Sampling
    framing: Framing
    keep_incomplete: bool = True

    def read(self, row: VideoRow) -> tuple[NDArray[np.uint8], ClipFacts]:
        """Frames (T, S, S, 3) uint8 and the facts of the clip.

        Raises:
            VideoError: the file cannot be read.
        ResourceError: it cannot be read now, for example for lack of memory.
        """
        with machine_failures(row.path):
            return self._read(row)

    def _read(self, row: VideoRow) -> tuple[NDArray[np.uint8], ClipFacts]:
        if row.packed_index is not None:
            return self._read_packed(row)
        clip = read_clip(row.path, self.sampling, self.framing, self.keep_incomplete)
        info = clip.info
        facts = ClipFacts(
            info.width, info.height, info.duration_seconds, info.num_frames, info.missing
        )
        return clip.frames, facts

    def _read_packed(self, row: VideoRow) -> tuple[NDArray[np.uint8], ClipFacts]:
        """A packed clip was sampled when it was packed: its frames count as one second apart."""
        frames = packed_clips(row.path)[row.packed_index or 0]
        facts = ClipFacts(frames.shape[2], frames.shape[1], float("nan"), len(frames))
        if self.sampling.kind == "uniform":
            times = np.arange(len(frames), dtype=np.float64)
            frames = frames[sample_indices(self.sampling, times, float(len(frames)))]
        return np.stack([self.framing(frame) for frame in frames]), facts
