"""A request to a finished run folder: index, split, extract, fit, measure, save."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from filmstrip.cache import Cache
from filmstrip.dataset.clip_table import clips_of
from filmstrip.dataset.index import VideoIndex
from filmstrip.dataset.leaks import LeakingPair, write_leaks
from filmstrip.dataset.lost import check_no_class_is_lost
from filmstrip.dataset.rows import left_out_summary
from filmstrip.dataset.split import missing_classes
from filmstrip.features.choice import EngineChoice
from filmstrip.features.engine import Engine
from filmstrip.features.extract import Extractor
from filmstrip.features.extraction import Extraction
from filmstrip.features.fingerprint import fingerprint
from filmstrip.features.fitting import fitted_recipe
from filmstrip.features.source import ClipReader
from filmstrip.features.store import FeatureStore
from filmstrip.model.backbone import Backbone, build_backbone
from filmstrip.model.specs import ClassifierSpec, ResNet50Spec
from filmstrip.model.weights import load_backbone
from filmstrip.recipes.recipe import Recipe
from filmstrip.storage import locked
from filmstrip.training.answers import Answers
from filmstrip.training.begun import (
    check_backbone,
    check_clips,
    check_readable,
    has_splits,
    keep_clips,
    keep_splits,
    note_changes,
)
from filmstrip.training.division import Division
from filmstrip.training.feasibility import check_divisible, check_sides
from filmstrip.training.pretrain import FrameParts, pretrain
from filmstrip.training.reporter import Reporter
from filmstrip.training.results import publish
from filmstrip.training.run_folder import RunFolder, TrainingRequest
from filmstrip.training.split_trainer import Inputs, SplitTrainer


def train(
    request: TrainingRequest,
    out: Path,
    resume: bool = False,
    cache: Path | None = None,
    reporter: Reporter | None = None,
    engine: str = "auto",
) -> dict[str, Any]:
    """Train a classifier, or one for each fold and one for use, into a run folder.

    Args:
        request: data, recipe and how to split.
        out: the run folder.
        resume: go on with a run that was cut short.
        cache: the feature cache; ``default_cache()`` if not given.
        reporter: hears of progress.
        engine: how a frozen backbone is run; ``auto`` measures what is fastest.

    Returns:
        The content of ``metrics.json``.

    Raises:
        FilmstripError: bad data, recipe, weights or folder; what was finished is kept.
        KeyboardInterrupt: Ctrl-C; likewise.
    """
    with locked(out):
        folder = RunFolder(out)
        folder.check(request, resume)
        reporter = reporter or Reporter()
        finished = folder.metrics()
        if finished is not None:
            note_changes(folder, request, reporter)
            return finished
        run = _Run(request, Cache.at(cache), engine, resume, reporter)
        return run.fill(folder)


class _Run:
    """One run of ``train``: what its parts share."""

    def __init__(
        self,
        request: TrainingRequest,
        cache: Cache,
        engine: str,
        resume: bool,
        reporter: Reporter,
    ) -> None:
        self.request = request
        self.cache = cache
        self.recipe = request.recipe  # ``fill`` fits its sampling to the clips
        self.store = FeatureStore(cache.features)
        self.engine_choice = EngineChoice(engine, cache.engines, reporter.note, reporter.note)
        self.resume = resume
        self.reporter = reporter

    def fill(self, folder: RunFolder) -> dict[str, Any]:
        """Index, split, extract, fit, measure, save."""
        _limit_gpu_memory(self.recipe.training.gpu_memory_fraction)
        index = self.request.wanted_index()
        for sentence in index.summary():
            self.reporter.note(sentence)
        clips = clips_of(index)
        check_clips(folder, clips, self.reporter)
        # All that can be known without decoding is checked first: the comparison takes long.
        check_divisible(self.request, index)
        backbone, origin = self._load_backbone()
        # A backbone that still has to learn from the training part has no features to give yet.
        is_ready = backbone.is_frozen and not self._must_pretrain
        engine = Engine(backbone, choice=self.engine_choice) if is_ready else None
        refused = folder.refused_leaks_file
        division = Division(self.request, index, self.cache, self.reporter, refused)
        self.recipe = self._fitted_recipe(folder, index)
        self.trainer = SplitTrainer(self.recipe, self.store, self.resume, self.reporter)
        # Not before: a mistyped path or name leaves no run behind that bars the next attempt.
        folder.start(self.request, self.recipe.fixed_sampling)
        check_backbone(folder, fingerprint(backbone))
        keep_clips(folder, clips, division.take_fingerprints())
        extraction = self._extract(index, engine)
        inputs = Inputs(backbone, origin, extraction)
        index = self._leave_out_unreadable(folder, index, extraction)
        folds = division.folds(index) if self.request.num_folds else []
        whole = division.all_but_val(index) if folds else division.split(index)
        # All splits are written or compared before anything is trained.
        for number, part in enumerate(folds, start=1):
            self._keep_splits(folder.fold(number), part)
        self._keep_splits(folder, whole)
        answers = []
        for number, part in enumerate(folds, start=1):
            self.reporter.note(f"Fold {number} of {len(folds)}")
            fold = folder.fold(number)
            answers.append(self._run_part(fold, part, inputs))
            self._publish(fold, answers[-1:], answers[-1].spec, division)
        if folds:
            self.reporter.note("All clips, for the model to use")
        used = self._run_part(folder, whole, inputs)
        return self._publish(folder, answers or [used], used.spec, division)

    def _leave_out_unreadable(
        self, folder: RunFolder, index: VideoIndex, extraction: Extraction
    ) -> VideoIndex:
        """Return the clips that are trained on; a run that has begun leaves out what it left out.

        Raises:
            RunError: a clip that the run was begun with cannot be read now.
            DatasetError: a class is lost, and that is not allowed.
        """
        if has_splits(folder):
            index = folder.without_skipped(index)
            check_readable(folder, index, extraction.skipped)
            if left_out := folder.names_left_out():
                self.reporter.note(
                    f"{len(left_out)} files were left out when the run was begun; "
                    f"{folder.skipped_file} names each file."
                )
            return index
        index = index.leaving_out(extraction.skipped)
        check_no_class_is_lost(index, self.request.allow_missing_classes)
        folder.write_skipped(index.root, index.skipped)
        if index.skipped:
            self.reporter.note(
                f"{left_out_summary(index.skipped)} {folder.skipped_file} names each file."
            )
        unavailable = extraction.unavailable
        if unavailable:
            self.reporter.note(
                f"WARNING: {len(unavailable)} of these files may be sound: this machine could not "
                "read them now (not enough memory, or a failing disk). To train on them too, "
                "start a new run; the features of the other files are kept. "
                f"First: {unavailable[0].reason.splitlines()[0]}"
            )
        return index

    def _publish(
        self, folder: RunFolder, answers: list[Answers], spec: ClassifierSpec, division: Division
    ) -> dict[str, Any]:
        """Write the figures with the leaks of the splits that they come from."""
        leaks: list[LeakingPair] = [pair for a in answers for pair in division.leaks(a.index)]
        if leaks:
            write_leaks(folder.leaks_file, leaks)
        request = self.request.model_copy(update={"recipe": self.recipe})
        return publish(folder, request, answers, spec, division.record(leaks))

    def _fitted_recipe(self, folder: RunFolder, index: VideoIndex) -> Recipe:
        """The recipe with the sampling that fits the clips; a resumed run keeps the one it has."""
        stored = folder.sampling()
        if stored is not None:
            return self.recipe.model_copy(update={"sampling": stored})
        return fitted_recipe(self.recipe, index.rows, self.reporter.note)

    @property
    def _must_pretrain(self) -> bool:
        spec = self.recipe.backbone
        return (
            isinstance(spec, ResNet50Spec)
            and spec.pretrain == "frames"
            and self.request.weights is None
        )

    def _load_backbone(self) -> tuple[Backbone, str]:
        recipe, weights = self.recipe, self.request.weights
        backbone, origin = load_backbone(
            recipe.backbone, recipe.framing.size, weights, recipe.training.seed
        )
        if origin == "random":
            self.reporter.note(
                "WARNING: the backbone's weights are RANDOM. It sees no more than noise can; the "
                "figures say nothing about this recipe with trained weights."
            )
        return backbone, origin

    def _extract(self, index: VideoIndex, engine: Engine | None) -> Extraction:
        """Features of all clips, or their frames where there is no backbone yet to see them."""
        recipe = self.recipe
        reader = ClipReader(recipe.fixed_sampling, recipe.framing)
        extractor = Extractor(
            self.store,
            reader,
            engine,
            recipe.extracted_views,
            recipe.backbone.name,
            self.request.keep_incomplete,
        )
        title = "Extracting features" if engine else "Reading frames"
        with self.reporter.phase(title, len(index)) as advance:
            return extractor.run(index.rows, advance)

    def _keep_splits(self, folder: RunFolder, index: VideoIndex) -> None:
        """Check that a split can be learnt from, and write it or compare it with the run's own."""
        check_sides(index)
        keep_splits(folder, index)

    def _run_part(self, folder: RunFolder, index: VideoIndex, inputs: Inputs) -> Answers:
        """Train on one split."""
        for split, classes in missing_classes(index).items():
            self.reporter.note(f"{split} has no clip of {', '.join(classes[:5])}.")
        if self._must_pretrain:
            inputs = self._pretrained(folder, index, inputs)
        return self.trainer.run(folder, index, inputs)

    def _pretrained(self, folder: RunFolder, index: VideoIndex, inputs: Inputs) -> Inputs:
        """The backbone taught on this part's training frames, and the features it then gives."""
        spec = self.recipe.backbone
        if not isinstance(spec, ResNet50Spec):
            return inputs
        parts = FrameParts(
            self.store,
            self.trainer.clips(index.subset("train"), inputs.extraction).clips,
            self.trainer.clips(index.subset("val"), inputs.extraction).clips,
        )
        state = pretrain(
            spec,
            self.recipe.framing.size,
            self.recipe.training,
            parts,
            len(index.class_names),
            folder.path / "pretraining",
            self.resume,
            self.reporter,
        )
        backbone = build_backbone(spec, self.recipe.framing.size)
        backbone.trunk.load_state_dict(state)
        if not backbone.is_frozen:
            return Inputs(backbone, inputs.weights_origin, inputs.extraction)
        features = self._extract(index, Engine(backbone, choice=self.engine_choice))
        return Inputs(backbone, inputs.weights_origin, features, is_pretrained_here=True)


def _limit_gpu_memory(fraction: float) -> None:
    if fraction < 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(fraction)
