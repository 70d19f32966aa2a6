"""Extraction: every clip of an index through the backbone once, results in the store.

Clips are decoded in threads while the network runs; frames of several clips fill one batch; what
the store holds already is not even opened, and what another process computes is waited for. A file
that cannot be read is named and left out, and the rest goes on.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from filmstrip.dataset.content import content_hash
from filmstrip.dataset.rows import UNREADABLE, SkippedFile, VideoRow
from filmstrip.errors import ResourceError, VideoError
from filmstrip.features.claims import Claim
from filmstrip.features.engine import Engine
from filmstrip.features.entry import ClipFacts
from filmstrip.features.extraction import Extracted, Extraction
from filmstrip.features.fingerprint import fingerprint
from filmstrip.features.readers import Readers
from filmstrip.features.source import READING, ClipReader
from filmstrip.features.store import FeatureStore
from filmstrip.video.transforms import View, show


@dataclass(frozen=True, slots=True)
class _Clip:
    """A clip to compute, with its frames (T, S, S, 3) uint8."""

    row: VideoRow
    extracted: Extracted
    frames: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Claimed:
    """A clip that is being computed by another process, or further ahead by this one."""

    row: VideoRow
    key: str


# Ranges of activations settle after about a hundred frames.
_NUM_SAMPLED_CLIPS = 32
_NUM_SAMPLED_FRAMES = 4

# Starting a process takes as long as decoding some clips.
_FEWEST_CLIPS_A_PROCESS = 16

_Outcome = Extracted | _Clip | _Claimed | VideoError
_View = tuple[_Clip, int]


class Extractor:
    """Turns rows into entries of a store.

    Args:
        store: where entries are kept.
        reader: how a row becomes frames.
        engine: the backbone; None keeps the frames themselves (for networks trained end to end).
        views: how each clip is shown to the backbone: ``plain``, ``flip``. Frames are kept plain.
        backbone_name: what the features are of, for those who look into the store.
        keep_incomplete: take what there is of clips that are not complete, instead of leaving them
            out.
    """

    def __init__(
        self,
        store: FeatureStore,
        reader: ClipReader,
        engine: Engine | None,
        views: Sequence[View] = ("plain",),
        backbone_name: str = "",
        keep_incomplete: bool = False,
    ) -> None:
        self.store = store
        self.reader = reader
        self.engine = engine
        self.keep_incomplete = keep_incomplete
        self.views: tuple[View, ...] = tuple(views) if engine else ("plain",)
        self.origin = backbone_name if engine else "frames"
        num_cores = os.cpu_count() or 2
        if engine is not None and engine.device.type == "cpu":
            num_cores //= 4  # the network fills the processor by itself
        self.num_decoders = max(2, num_cores)
        self._recipe_parts = (
            fingerprint(engine.backbone) if engine else "frames",
            READING,
            reader.sampling.model_dump_json(),
            reader.framing.model_dump_json(),
        )

    def run(
        self, rows: Iterable[VideoRow], on_clip: Callable[[str], None] = lambda _words: None
    ) -> Extraction:
        """Extract all ``rows``; ``on_clip`` hears after each how the work goes.

        Raises:
            StorageError: the store cannot be written; what was finished is kept.
        """
        extraction = Extraction()
        pending = list(rows)
        while pending:
            claimed = _Pass(self, pending, extraction, on_clip).run()
            if claimed:
                self.store.wait(claimed[0].key)
            pending = [clip.row for clip in claimed]
        return extraction

    def keys(self, row: VideoRow) -> tuple[str, ...]:
        """The keys of a row's entries, one for each view.

        Raises:
            NoVideoError: the file is gone or cannot be read.
        """
        content = content_hash(row)
        return tuple(self.store.key(content, *self._recipe_parts, view) for view in self.views)

    def look_up(self, keys: tuple[str, ...]) -> Extracted | None:
        """The clip of these keys, if all of it is there in a precision that will do."""
        entries = [self.store.entry(key) for key in keys]
        for entry in entries:
            if entry is None or (self.engine and not self.engine.accepts(entry.precision)):
                return None
        return Extracted(keys, entries[0].facts) if entries[0] else None


class _Pass:
    """One walk over rows, which leaves aside those that another process is computing."""

    def __init__(
        self,
        extractor: Extractor,
        rows: Sequence[VideoRow],
        extraction: Extraction,
        on_clip: Callable[[str], None],
    ) -> None:
        self.extractor = extractor
        self.store = extractor.store
        self.rows = rows
        self.extraction = extraction
        self.on_clip = on_clip
        self.claims: dict[str, Claim] = {}
        self.claimed_elsewhere: list[_Claimed] = []
        self.num_prepared = 0
        self.num_frames_prepared = 0
        reader, num_decoders = extractor.reader, extractor.num_decoders
        is_worth_processes = num_decoders > 2 and len(rows) > _FEWEST_CLIPS_A_PROCESS * num_decoders
        self.readers = Readers(reader, num_decoders if is_worth_processes else 0)

    def run(self) -> list[_Claimed]:
        """Compute what is missing; returns the clips that are left aside."""
        try:
            for view, features in self._embedded(self._to_compute()):
                self._write(view, features)
        finally:
            self.readers.close()
            for claim in self.claims.values():
                claim.release()
        return self.claimed_elsewhere

    def _to_compute(self) -> Iterator[tuple[_View, NDArray[np.uint8]]]:
        """Each view of each clip that has to be computed; the others are done with here."""
        for row, outcome in self._prepare():
            self.num_prepared += 1
            if isinstance(outcome, _Claimed):
                self.claimed_elsewhere.append(outcome)
            elif isinstance(outcome, _Clip):
                self.num_frames_prepared += len(outcome.frames) * len(self.extractor.views)
                self.extraction.start()
                for number, view in enumerate(self.extractor.views):
                    yield (outcome, number), show(outcome.frames, view)
            else:
                if isinstance(outcome, VideoError):
                    file = SkippedFile(row.path, str(outcome), kind=UNREADABLE)
                    self.extraction.skipped.append(file)
                    if isinstance(outcome, ResourceError):
                        self.extraction.unavailable.append(file)
                else:
                    self.extraction.num_hits += 1
                    self.extraction.add(row, outcome)
                self.on_clip(self.extraction.summary())

    def _prepare(self) -> Iterator[tuple[VideoRow, _Outcome]]:
        """Rows with what became of them, in order, decoded a few clips ahead."""
        num_decoders = self.extractor.num_decoders
        waiting: deque[tuple[VideoRow, Future[_Outcome]]] = deque()
        pool = ThreadPoolExecutor(num_decoders, thread_name_prefix="decode")
        try:
            for row in self.rows:
                waiting.append((row, pool.submit(self._read, row)))
                if len(waiting) > 2 * num_decoders:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _read(self, row: VideoRow) -> _Outcome:
        try:
            keys = self.extractor.keys(row)
        except VideoError as error:
            return error
        known = self.extractor.look_up(keys)
        if known is not None:
            return self._refused(row, known.facts) or known
        claim = self.store.claim(keys[0])
        if claim is None:
            return _Claimed(row, keys[0])
        self.claims[keys[0]] = claim
        outcome: _Outcome | None = self.extractor.look_up(keys)  # finished by another meanwhile?
        if outcome is None:
            try:
                frames, facts = self.readers.read(row)
                outcome = self._refused(row, facts)
                if outcome is None:
                    return _Clip(row, Extracted(keys, facts), frames)
            except VideoError as error:
                outcome = error
        self.claims.pop(keys[0]).release()
        return outcome

    def _refused(self, row: VideoRow, facts: ClipFacts) -> VideoError | None:
        """The error for a clip that is not complete, if such clips are left out."""
        if facts.missing is None or self.extractor.keep_incomplete:
            return None
        return VideoError(
            f"{row.path}: is not complete ({facts.missing}); its first {facts.num_frames} frames "
            "can be read",
            "a complete video",
            "copy it again from its source; or take what there is with --keep-incomplete.",
        )

    def _embedded(
        self, views: Iterator[tuple[_View, NDArray[np.uint8]]]
    ) -> Iterator[tuple[_View, Tensor]]:
        if self.extractor.engine is None:
            return ((view, torch.from_numpy(frames)) for view, frames in views)
        engine = self.extractor.engine
        return engine.embed_clips(views, self._num_frames_in_all, self._sample)

    def _num_frames_in_all(self) -> int:
        """Frames to compute in this pass, if the rows to come are like those seen so far."""
        return self.num_frames_prepared * len(self.rows) // max(self.num_prepared, 1)

    def _sample(self) -> NDArray[np.uint8]:
        """Frames (N, S, S, 3) of clips from the first to the last, one class after the other."""
        frames = []
        for row in self.rows[:: -(-len(self.rows) // _NUM_SAMPLED_CLIPS)]:
            with suppress(VideoError):  # it is told of when its turn comes
                clip, _ = self.extractor.reader.read(row)
                frames.append(clip[:: -(-len(clip) // _NUM_SAMPLED_FRAMES)])
        return np.concatenate(frames) if frames else np.empty((0, 0, 0, 3), np.uint8)

    def _write(self, view: _View, features: Tensor) -> None:
        """Add one entry; with the last of its views a clip is finished."""
        clip, number = view
        engine = self.extractor.engine
        precision = engine.runtime.precision if engine else "frames"
        keys, facts = clip.extracted.keys, clip.extracted.facts
        self.store.write(keys[number], features, facts, precision, self.extractor.origin)
        self.extraction.num_frames += len(features)
        if number == len(keys) - 1:
            self.claims.pop(keys[0]).release()
            self.extraction.num_computed += 1
            self.extraction.add(clip.row, clip.extracted)
            self.on_clip(self.extraction.summary())
