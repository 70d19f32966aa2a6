"""Other data without the clips that the model has learnt from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filmstrip.cache import Cache
from filmstrip.dataset.clip_table import counted_clips, first_of
from filmstrip.dataset.index import VideoIndex
from filmstrip.dataset.leaks import LeakingPair, leak_record
from filmstrip.dataset.overlap import Learnt, Overlap, find_overlap
from filmstrip.dataset.relations import KINDS
from filmstrip.errors import DatasetError
from filmstrip.inference.learnt import learnt_by
from filmstrip.training.division import MOST_PAIRS_RECORDED
from filmstrip.training.reporter import Reporter
from filmstrip.training.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class LeakCheck:
    """Recognise clips of other data that the model has learnt from.

    Attributes:
        run: the folder of the model.
        data: where the clips are.
        split: how the measured part is called.
        allow_leak: measure such clips too, and mark the metrics.
        near_duplicates: also compare what the clips show.
    """

    run: Path
    data: Path
    split: str
    allow_leak: bool
    near_duplicates: bool

    def apply(
        self, index: VideoIndex, cache: Cache, reporter: Reporter
    ) -> tuple[VideoIndex, dict[str, Any]]:
        """Return the clips to measure, and what ``leaks`` says of them.

        Raises:
            DatasetError: the model has learnt from all of them.
        """
        learnt = learnt_by(self.run, reporter)
        if learnt is None:
            reporter.note(
                f"WARNING: {self.run} is a model folder without its run, so clips that the model "
                f"has learnt from cannot be recognised. If {self.data} holds any, the metrics are "
                "too high."
            )
            return index, self._record([], [], ())
        with reporter.phase("Comparing with the training clips", len(index)) as advance:
            overlap = find_overlap(index, learnt, cache, self.near_duplicates, advance)
        pairs = [
            LeakingPair(other, name, kind, learnt.sides[other], self.split)
            for name, (other, kind) in overlap.found.items()
        ]
        self._note_unchecked(overlap, len(learnt.clips), reporter)
        if self.allow_leak:
            return index, self._record(pairs, [], overlap.checked)
        chosen = zip(index.rows, index.names, strict=True)
        kept = replace(index, rows=tuple(row for row, name in chosen if name not in overlap.found))
        if not kept.rows:
            raise DatasetError(
                f"{self.data}: the model has learnt from all of its {_told(pairs)}",
                "labelled videos that the model was neither trained nor calibrated on",
                f"give other videos{self._own_test_set()}; or give --allow-leak, and the metrics "
                "are marked as leaky.",
            )
        if pairs:
            reporter.note(
                f"Left out, because the model has learnt from them: {_told(pairs)}: "
                f"{first_of(pair.second for pair in pairs)}. {counted_clips(kept.names)} of "
                f"{len(index)} are measured. (--allow-leak measures all.)"
            )
        self._note_groups(kept, learnt, reporter)
        return kept, self._record([], pairs, overlap.checked)

    def _own_test_set(self) -> str:
        """How to measure on clips of the run that were held out, if its folder was given."""
        run = RunFolder(self.run)
        if not run.request_file.is_file():
            return ""
        if run.request().data.exists():
            return f"; or measure the run's own test set: filmstrip evaluate {self.run}"
        if run.folds:
            fold = run.folds[0].path
            return f"; or measure the model of each fold: filmstrip evaluate {fold} {self.data}"
        return ""

    def _note_unchecked(self, overlap: Overlap, num_learnt: int, reporter: Reporter) -> None:
        """Say what was not compared."""
        if overlap.num_unread:
            reporter.note(
                f"WARNING: {overlap.num_unread} of {num_learnt} training clips could not be "
                "compared, because the run does not know their contents and they are not where "
                f"they were. If {self.data} holds any of them, the metrics are too high."
            )
        if "near" not in overlap.checked:
            reporter.note(
                "NOT looked for: copies of training clips that were encoded again, and pieces of "
                "their recordings. Only equal files are recognised."
            )
        elif overlap.num_unseen:
            reporter.note(f"{overlap.num_unseen} clips could not be compared by what they show.")

    def _note_groups(self, index: VideoIndex, learnt: Learnt, reporter: Reporter) -> None:
        """Warn of clips whose group has the name of a training group: it may be one recording."""
        groups = {clip.group for name, clip in learnt.clips.items() if clip.group != name}
        pairs = zip(index.names, index.groups, strict=True)
        shared = [name for name, group in pairs if group in groups and group != name]
        if shared:
            reporter.note(
                f"WARNING: {counted_clips(shared)} have the group of a training clip: "
                f"{first_of(shared)}. If they are of the same recordings, the metrics are too high."
            )

    def _record(
        self, counted: list[LeakingPair], left_out: list[LeakingPair], checked: tuple[str, ...]
    ) -> dict[str, Any]:
        return {
            **leak_record(counted, checked, self.allow_leak, MOST_PAIRS_RECORDED),
            "num_left_out": len(left_out),
            "left_out": [pair.as_json() for pair in left_out[:MOST_PAIRS_RECORDED]],
        }


def _told(pairs: Sequence[LeakingPair]) -> str:
    """``3 clips (2 by the same bytes, 1 by the same moments)``."""
    counts = Counter(pair.kind for pair in pairs)
    kinds = ", ".join(f"{counts[kind]} by {words}" for kind, words in KINDS.items() if counts[kind])
    return f"{counted_clips(pair.second for pair in pairs)} ({kinds})"
