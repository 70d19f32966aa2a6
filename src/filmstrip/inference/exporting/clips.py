"""The clips on which an export is checked, measured and calibrated: the run's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import PrivateAttr

from filmstrip.dataset.index import VideoIndex
from filmstrip.dataset.rows import VideoRow
from filmstrip.dataset.split_file import read_splits
from filmstrip.dataset.synthetic import FRAMES_PER_SECOND, MOTIONS, render_clip
from filmstrip.errors import FilmstripError, VideoError
from filmstrip.features.source import ClipReader
from filmstrip.inference.exporting.formats import Run
from filmstrip.model.specs import ClassifierSpec
from filmstrip.training.run_folder import RunFolder
from filmstrip.video.encode import write_video
from filmstrip.video.transforms import Framing

_NUM_SYNTHETIC = 6
_SYNTHETIC_SIZE, _SYNTHETIC_FRAMES = 160, (5, 40)


class ComparedFraming(Framing):
    """Frames a picture twice, by torch and by the exported graph, one behind the other."""

    _graph: Run = PrivateAttr()

    @classmethod
    def of(cls, framing: Framing, graph: Run) -> ComparedFraming:
        """As ``framing``, beside ``graph``."""
        both = cls(size=framing.size, fit=framing.fit)
        both._graph = graph
        return both

    def __call__(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A frame (H, W, 3) uint8 as (size, size, 6): torch's square, then the graph's."""
        (by_graph,) = self._graph([torch.from_numpy(np.ascontiguousarray(frame))])
        return np.concatenate([super().__call__(frame), by_graph.numpy()], axis=2)


def own_clips(run: Path) -> VideoIndex:
    """The clips that a run learnt from, with its splits.

    Raises:
        FilmstripError: this is no run folder, or its data are not where they were.
    """
    folder = RunFolder(run)
    index = folder.without_skipped(folder.request().open_index())
    return read_splits(folder.splits_file, index)


@contextmanager
def clips_to_check(run: Path, most: int) -> Iterator[tuple[Sequence[VideoRow], str]]:
    """At most so many clips, real ones if they can be had, and a sentence on what they are."""
    try:
        index = own_clips(run)
    except FilmstripError as error:
        with TemporaryDirectory() as folder:
            why = error.given.rstrip(".")
            yield _rendered(Path(folder)), f"{_NUM_SYNTHETIC} clips rendered for it ({why})"
        return
    part = next(split for split in ("val", "test", "train") if index.subset(split).rows)
    rows = spread(index.subset(part).rows, most)
    yield rows, f"{len(rows)} clips of the run's {part} part"


def spread(rows: Sequence[VideoRow], most: int) -> list[VideoRow]:
    """At most so many rows from all over the list, and so of all classes."""
    places = np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int)
    return [rows[place] for place in places]


def read_all(
    rows: Sequence[VideoRow], spec: ClassifierSpec, framing: Framing | None = None
) -> Iterator[tuple[VideoRow, NDArray[np.uint8]]]:
    """The framed frames of each row that can be read; what has gone since is left out."""
    reader = ClipReader(spec.sampling, framing or spec.framing)
    for row in rows:
        try:
            yield row, reader.read(row)[0]
        except VideoError:
            continue


def _rendered(folder: Path) -> list[VideoRow]:
    rng = np.random.default_rng(0)
    rows = []
    for motion in list(MOTIONS)[:_NUM_SYNTHETIC]:
        num_frames = int(rng.integers(*_SYNTHETIC_FRAMES))
        path = folder / f"{motion}.mp4"
        frames = render_clip(motion, rng, num_frames, _SYNTHETIC_SIZE)
        write_video(path, frames, FRAMES_PER_SECOND)
        rows.append(VideoRow(path, motion))
    return rows
