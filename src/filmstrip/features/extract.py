"""Extraction: every clip of an index through the backbone once, results in the store.

Clips are decoded in threads while the network runs; frames of several clips fill one batch; what
the store holds already is not even opened. A file that cannot be read is named and left out, and
the rest goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from filmstrip.dataset.rows import SkippedFile, VideoRow
from filmstrip.errors import VideoError
from filmstrip.features.engine import Engine
from filmstrip.features.entry import ClipFacts
from filmstrip.features.source import ClipReader, content_hash
from filmstrip.features.store import FeatureStore


@dataclass(frozen=True, slots=True)
class Extracted:
    """A clip in the store.

    Attributes:
        keys: its entry's key for each view.
        facts: what is known of the clip besides its picture.
    """

    keys: tuple[str, ...]
    facts: ClipFacts


@dataclass(slots=True)
class Extraction:
    """What an extraction found and did; ``extraction[row]`` is a row's clip in the store.

    Attributes:
        clips: each clip that could be read, by its place on the disk.
        skipped: files that could not be read, and why.
        num_hits: clips that the store held already, so that nothing was decoded.
        num_computed: clips that were decoded now.
    """

    clips: dict[tuple[Path, int | None], Extracted] = field(default_factory=dict)
    skipped: list[SkippedFile] = field(default_factory=list)
    num_hits: int = 0
    num_computed: int = 0

    def __contains__(self, row: VideoRow) -> bool:
        return (row.path, row.packed_index) in self.clips

    def __getitem__(self, row: VideoRow) -> Extracted:
        return self.clips[row.path, row.packed_index]

    def summary(self) -> str:
        """How it went so far, in a few words."""
        return f"{self.num_hits} cached, {len(self.skipped)} unreadable"

    def add(self, row: VideoRow, extracted: Extracted) -> None:
        """Note that ``row`` is in the store, whatever split it may belong to."""
        self.clips[row.path, row.packed_index] = extracted


@dataclass(slots=True)
class _Clip:
    """A row on its way through the pipeline; ``frames`` is None on a hit."""

    row: VideoRow
    extracted: Extracted
    frames: NDArray[np.uint8] | None


class Extractor:
    """Turns rows into entries of a store.

    Args:
        store: where entries are kept.
        reader: how a row becomes frames.
        engine: the backbone; None keeps the frames themselves (for networks trained end to end).
        views: how each clip is shown to the backbone: ``plain``, ``flip``.
        num_decoders: threads that decode.
    """

    def __init__(
        self,
        store: FeatureStore,
        reader: ClipReader,
        engine: Engine | None,
        views: Sequence[str] = ("plain",),
        num_decoders: int = 2,
    ) -> None:
        self.store = store
        self.reader = reader
        self.engine = engine
        self.views = tuple(views)
        self.num_decoders = num_decoders
        self._recipe_parts = (
            engine.fingerprint() if engine else "frames",
            reader.sampling.model_dump_json(),
            reader.framing.model_dump_json(),
        )

    def run(
        self, rows: Iterable[VideoRow], on_clip: Callable[[str], None] = lambda _words: None
    ) -> Extraction:
        """Extract all ``rows``; ``on_clip`` hears after each how many were found and failed.

        Raises:
            StorageError: the store cannot be written; what was finished is kept.
        """
        extraction = Extraction()
        batch: list[_Clip] = []
        for row, outcome in self._prepare(rows):
            if isinstance(outcome, VideoError):
                extraction.skipped.append(SkippedFile(row.path, str(outcome)))
            elif outcome.frames is None:
                extraction.num_hits += 1
                extraction.add(row, outcome.extracted)
            else:
                batch.append(outcome)
                if self._is_full(batch):
                    self._finish(batch, extraction)
                    batch = []
            on_clip(extraction.summary())
        self._finish(batch, extraction)
        return extraction

    def _prepare(self, rows: Iterable[VideoRow]) -> Iterator[tuple[VideoRow, _Clip | VideoError]]:
        """Rows with their frames or their error, in order, decoded a few clips ahead."""
        waiting: deque[tuple[VideoRow, Future[_Clip | VideoError]]] = deque()
        pool = ThreadPoolExecutor(self.num_decoders, thread_name_prefix="decode")
        try:
            for row in rows:
                waiting.append((row, pool.submit(self._read, row)))
                if len(waiting) > 2 * self.num_decoders:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _read(self, row: VideoRow) -> _Clip | VideoError:
        try:
            content = content_hash(row)
            keys = tuple(self.store.key(content, *self._recipe_parts, view) for view in self.views)
            known = [self.store.entry(key) for key in keys]
            if known[0] is not None and None not in known:
                return _Clip(row, Extracted(keys, known[0].facts), None)
            frames, facts = self.reader.read(row)
        except VideoError as error:
            return error
        return _Clip(row, Extracted(keys, facts), frames)

    def _is_full(self, batch: list[_Clip]) -> bool:
        size = self.engine.batch_size if self.engine else 1
        return sum(len(clip.frames) for clip in batch if clip.frames is not None) >= size

    def _finish(self, batch: list[_Clip], extraction: Extraction) -> None:
        """Run the backbone over the clips' frames together, then write each clip's entries."""
        if not batch:
            return
        frames = np.concatenate([clip.frames for clip in batch if clip.frames is not None])
        ends = np.cumsum([len(clip.frames) for clip in batch if clip.frames is not None])
        for index, view in enumerate(self.views):
            shown = np.ascontiguousarray(frames[:, :, ::-1]) if view == "flip" else frames
            whole = self.engine.embed(shown) if self.engine else torch.from_numpy(shown)
            parts = torch.tensor_split(whole, torch.from_numpy(ends[:-1]))
            for clip, part in zip(batch, parts, strict=True):
                self.store.write(clip.extracted.keys[index], part, clip.extracted.facts)
        for clip in batch:
            extraction.num_computed += 1
            extraction.add(clip.row, clip.extracted)
