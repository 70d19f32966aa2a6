"""Runs of every rung on the same clips and the same splits, resumable.

OUT/
  runs/NAME/seed-0, …   a run folder for each rung and seed
  left_out.csv          clips that some rung cannot read: they are left out for all
  costs/NAME.json       what a rung's model costs on this machine
  compare.json, compare.md, compare.png
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filmstrip.app.compare.rungs import Rung
from filmstrip.dataset.clip_table import clips_of
from filmstrip.dataset.doctor.quarantine import QUARANTINED, leave_out, write_quarantine
from filmstrip.dataset.index import VideoIndex
from filmstrip.dataset.lost import check_no_class_is_lost
from filmstrip.errors import RunError
from filmstrip.inference.extract import ExtractedVideos, extract_videos
from filmstrip.training.begun import changes_since, check_same_clips
from filmstrip.training.feasibility import check_divisible
from filmstrip.training.reporter import Reporter
from filmstrip.training.run_folder import RunFolder, TrainingRequest
from filmstrip.training.train import train


@dataclass(frozen=True, slots=True)
class Features:
    """What was found when a rung's features were taken.

    Attributes:
        frames_per_clip: how many frames of a clip its model sees, mean.
        unreadable: files that it cannot read, each with the reason.
    """

    frames_per_clip: float
    unreadable: dict[Path, str]


@dataclass(frozen=True, slots=True)
class Ladder:
    """What is compared, on what, and where.

    Attributes:
        request: the training that the rungs vary; its recipe and weights do not count.
        rungs: what is compared.
        num_seeds: the seeds are 0, 1, … of splits, weights and shuffling.
        out: the folder.
        cache: the feature cache.
        engine: how frozen backbones are run.
    """

    request: TrainingRequest
    rungs: Sequence[Rung]
    num_seeds: int
    out: Path
    cache: Path
    engine: str = "auto"

    @property
    def left_out_file(self) -> Path:
        """The clips that are left out for all, because some rung cannot read them."""
        return self.out / "left_out.csv"

    def run(self, rung: Rung, seed: int) -> RunFolder:
        """The run folder of one rung and seed."""
        return RunFolder(self.out / "runs" / rung.name / f"seed-{seed}")

    def runs(self, rung: Rung) -> list[RunFolder]:
        """The run folders of a rung, by seed."""
        return [self.run(rung, seed) for seed in range(self.num_seeds)]

    def request_for(self, rung: Rung, seed: int) -> TrainingRequest:
        """What the run of one rung and seed is asked to do."""
        training = rung.recipe.training.model_copy(update={"seed": seed})
        recipe = rung.recipe.model_copy(update={"training": training})
        # The list holds what the user's own quarantine names, too.
        quarantine = self.left_out_file if self.left_out_file.is_file() else None
        return self.request.model_copy(
            update={
                "recipe": recipe,
                "weights": rung.weights,
                "quarantine": quarantine or self.request.quarantine,
            }
        )

    def clips(self) -> VideoIndex:
        """The clips that every run has, once ``take_features`` has found what to leave out."""
        if self.left_out_file.is_file():
            index = leave_out(self.request.open_index(), self.left_out_file)
            check_no_class_is_lost(index, self.request.allow_missing_classes)
            return index
        return self.request.wanted_index()

    def check(self, index: VideoIndex) -> None:
        """Find out before anything takes long whether it can come to an end.

        Raises:
            FilmstripError: the folder holds something else or runs of other settings; weights
                cannot be reached; there are too few groups for the folds.
        """
        self._check_folder()
        begun = []
        for rung in self.rungs:
            for seed, run in enumerate(self.runs(rung)):
                if run.request_file.is_file():
                    self._check_unchanged(run, self.request_for(rung, seed))
                    begun.append(run)
        self._check_clips(begun)
        for rung in self.rungs:
            rung.check_weights()
        for seed in range(self.num_seeds):
            check_divisible(self.request_for(self.rungs[0], seed), index, needs_test=True)

    def take_features(self, index: VideoIndex, reporter: Reporter) -> dict[str, Features]:
        """Fill the cache for every rung, and leave out for all what one of them cannot read.

        Raises:
            RunError: a file that finished runs have learnt from cannot be read.
        """
        found = {}
        for rung in self.rungs:
            reporter.note(f"{rung.name}: features")
            extracted = extract_videos(
                sorted({row.path for row in index.rows}),
                rung.recipe,
                weights=rung.weights,
                cache=self.cache,
                reporter=reporter,
                engine=self.engine,
                keep_incomplete=self.request.keep_incomplete,
            )
            found[rung.name] = _found(extracted)
        reasons = {
            row.path: each.unreadable[row.path.resolve()]
            for each in found.values()
            for row in index.rows
            if row.path.resolve() in each.unreadable
        }
        self._leave_out(index, reasons)
        return found

    def train(self, reporter: Reporter) -> None:
        """Train what is not finished: all rungs under one seed, then under the next."""
        num_runs = len(self.rungs) * self.num_seeds
        places = [(seed, rung) for seed in range(self.num_seeds) for rung in self.rungs]
        for number, (seed, rung) in enumerate(places, start=1):
            run = self.run(rung, seed)
            state = "finished" if run.metrics_file.is_file() else "training"
            reporter.note(f"Run {number} of {num_runs}: {rung.name}, seed {seed} ({state})")
            request = self.request_for(rung, seed)
            train(request, run.path, True, self.cache, reporter, self.engine)
            check_same_clips([self.run(self.rungs[0], seed), run], "comparison")

    def _check_folder(self) -> None:
        found = {path.name for path in self.out.iterdir() if not path.name.startswith(".")}
        strangers = sorted(found - {"runs", "left_out.csv", "costs"})
        if strangers and "runs" not in found:
            raise RunError(
                f"{self.out}: holds {strangers[0]!r} and is no folder of a comparison",
                "a new or empty folder, or one of a comparison to go on with",
                "give another --out.",
            )

    def _check_unchanged(self, run: RunFolder, request: TrainingRequest) -> None:
        if changed := run.request().changes(request):
            raise RunError(
                f"{run.path}: was begun with another {', '.join(changed)}",
                "the settings that the comparison was begun with; recipes and seeds may be added",
                f"see {run.request_file} and give the same settings, or another --out for the new "
                "ones.",
            )

    def _check_clips(self, begun: Sequence[RunFolder]) -> None:
        """Check that the clips are still those that the comparison was begun with."""
        clips = clips_of(self.clips()) if begun else {}
        for run in begun:
            if changes := changes_since(run, clips):
                raise RunError(
                    f"{run.path}: the data has changed since the comparison was begun: "
                    f"{'; '.join(changes)}",
                    "the same clips and labels for every run of a comparison",
                    "restore them, or compare in another --out. Features are cached, so unchanged "
                    "clips are not decoded again.",
                )

    def _leave_out(self, index: VideoIndex, reasons: dict[Path, str]) -> None:
        """Write the list of what all leave out; what runs have begun with stays.

        Args:
            index: the clips, without those of the user's own list.
            reasons: why a clip cannot be read by some rung.
        """
        if any((self.out / "runs").glob("*/*/run.json")):
            readable = {row.path for row in index.rows} - reasons.keys()
            lost = sorted({row.path for row in self.clips().rows} - readable)
            if lost:
                raise RunError(
                    f"{lost[0]}: the comparison was begun with it, and now it cannot be used "
                    f"({reasons.get(lost[0], '--quarantine names it')}; {len(lost)} such files)",
                    "clips that every recipe of the comparison can read",
                    "repair the file, leave out the recipe that cannot read it, or compare anew "
                    "in another --out.",
                )
        elif reasons:
            own = [file for file in index.skipped if file.reason.startswith(QUARANTINED)]
            all_reasons = {
                file.path: file.reason.removeprefix(QUARANTINED) for file in own
            } | reasons
            write_quarantine(self.left_out_file, all_reasons, index.root)
        else:
            self.left_out_file.unlink(missing_ok=True)


def _found(extracted: ExtractedVideos) -> Features:
    """How long clips are for a model, and what could not be read."""
    extraction, store = extracted.extraction, extracted.store
    entries = [store.entry(clip.keys[0]) for clip in extraction.clips.values()]
    lengths = [entry.shape[0] for entry in entries if entry is not None]
    return Features(
        frames_per_clip=sum(lengths) / max(len(lengths), 1),
        unreadable={file.path.resolve(): file.reason for file in extraction.skipped},
    )
