"""What an extraction found and did: which clips are in the store, and which could not be read."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from filmstrip.dataset.rows import SkippedFile, VideoRow
from filmstrip.features.entry import ClipFacts


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
        unavailable: those of them that may be sound: the machine could not read them now.
        num_hits: clips that the store held already, so that nothing was decoded.
        num_computed: clips that were decoded now.
        num_frames: frames of those, counted once for each view.
        started: when the first of those was begun, on the monotonic clock; None before.
    """

    clips: dict[tuple[Path, int | None], Extracted] = field(default_factory=dict)
    skipped: list[SkippedFile] = field(default_factory=list)
    unavailable: list[SkippedFile] = field(default_factory=list)
    num_hits: int = 0
    num_computed: int = 0
    num_frames: int = 0
    started: float | None = None

    def __contains__(self, row: VideoRow) -> bool:
        return (row.path, row.packed_index) in self.clips

    def __getitem__(self, row: VideoRow) -> Extracted:
        return self.clips[row.path, row.packed_index]

    @property
    def incomplete(self) -> dict[Path, str]:
        """The clips that are not complete, and what is missing."""
        found = {path: clip.facts.missing for (path, _), clip in self.clips.items()}
        return {path: missing for path, missing in found.items() if missing is not None}

    def start(self) -> None:
        """Note that the first clip is about to be computed."""
        if self.started is None:
            self.started = time.monotonic()

    def summary(self) -> str:
        """How it went so far, in a few words."""
        words = f"{self.num_hits} cached, {len(self.skipped)} unreadable"
        if not self.num_computed or self.started is None:
            return words
        seconds = time.monotonic() - self.started
        speeds = f"{self.num_computed / seconds:.1f} videos/s, {self.num_frames / seconds:.0f}"
        return f"{words}, {speeds} frames/s"

    def add(self, row: VideoRow, extracted: Extracted) -> None:
        """Note that ``row`` is in the store, whatever split it may belong to."""
        self.clips[row.path, row.packed_index] = extracted
