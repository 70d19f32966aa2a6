"""A request to a finished run folder: index, split, extract, fit, measure, save."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from filmstrip.dataset.doctor.quarantine import leave_out
from filmstrip.dataset.index import VideoIndex
from filmstrip.dataset.leaks import LeakingPair, write_leaks
from filmstrip.dataset.split import missing_classes
from filmstrip.dataset.split_file import write_splits
from filmstrip.errors import DatasetError
from filmstrip.features.engine import Engine, EngineChoice
from filmstrip.features.extract import Extractor
from filmstrip.features.extraction import Extraction
from filmstrip.features.source import ClipReader
from filmstrip.features.store import FeatureStore
from filmstrip.model.backbone import Backbone, build_backbone
from filmstrip.model.classifier import VideoClassifier, probabilities
from filmstrip.model.head import Network
from filmstrip.model.specs import ClassifierSpec, ResNet50Spec
from filmstrip.model.weights import load_backbone
from filmstrip.recipes.recipe import Recipe
from filmstrip.storage import default_cache, locked
from filmstrip.training.answers import Answers
from filmstrip.training.calibrate import calibrated
from filmstrip.training.data import StoredClip, StoredClips, evaluation_batches, training_batches
from filmstrip.training.division import Division
from filmstrip.training.fit import fit
from filmstrip.training.held_out import ENOUGH_CLIPS, held_out_logits
from filmstrip.training.learner import Learner
from filmstrip.training.passes import all_features, all_logits
from filmstrip.training.pretrain import FrameParts, pretrain
from filmstrip.training.reporter import Reporter
from filmstrip.training.results import publish
from filmstrip.training.run_folder import RunFolder, TrainingRequest


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
        finished = folder.metrics()
        if finished is not None:
            return finished
        reporter = reporter or Reporter()
        cache = cache or default_cache()
        choice = EngineChoice(engine, cache / "engines", reporter.note)
        store = FeatureStore(cache / "features")
        trainer = _Trainer(request, store, choice, resume, reporter, cache)
        return trainer.run(folder)


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What a part is trained from.

    Attributes:
        backbone: with its weights.
        weights_origin: where these came from, in words.
        extraction: features of all clips if the backbone is frozen, else their frames.
    """

    backbone: Backbone
    weights_origin: str
    extraction: Extraction


class _Trainer:
    """One run of ``train``: what every part of it shares."""

    def __init__(
        self,
        request: TrainingRequest,
        store: FeatureStore,
        engine_choice: EngineChoice,
        resume: bool,
        reporter: Reporter,
        cache: Path,
    ) -> None:
        self.request = request
        self.cache = cache
        self.recipe: Recipe = request.recipe
        self.store = store
        self.engine_choice = engine_choice
        self.resume = resume
        self.reporter = reporter
        self.reader = ClipReader(self.recipe.sampling, self.recipe.framing)

    def run(self, folder: RunFolder) -> dict[str, Any]:
        """Index, split, extract, fit, measure, save."""
        _limit_gpu_memory(self.recipe.training.gpu_memory_fraction)
        index = self.request.open_index()
        if self.request.quarantine is not None:
            index = leave_out(index, self.request.quarantine)
        refused = folder.refused_leaks_file
        division = Division(self.request, index, self.cache, self.reporter, refused)
        backbone, origin = self._load_backbone()
        # Not before: a mistyped path or name leaves no run behind that bars the next attempt.
        folder.start(self.request)
        # A backbone that still has to learn from the training part has no features to give yet.
        is_ready = backbone.is_frozen and not self._must_pretrain
        extraction = self._extract(index, backbone if is_ready else None)
        inputs = _Inputs(backbone, origin, extraction)
        unreadable = inputs.extraction.skipped
        index = index.without(file.path for file in unreadable)
        skipped = (*index.skipped, *unreadable)
        folder.write_skipped(index.root, skipped)
        if skipped:
            self.reporter.note(
                f"{len(skipped)} files were left out; {folder.path / 'skipped.csv'} says why."
            )
        if self.request.num_folds:
            answers, used = self._run_folds(folder, index, inputs, division)
        else:
            used = self._run_part(folder, division.split(index), inputs)
            answers = [used]
        return self._publish(folder, answers, used.spec, division)

    def _publish(
        self, folder: RunFolder, answers: list[Answers], spec: ClassifierSpec, division: Division
    ) -> dict[str, Any]:
        """Write the figures with the leaks of the splits that they come from."""
        leaks: list[LeakingPair] = [pair for a in answers for pair in division.leaks(a.index)]
        if leaks:
            write_leaks(folder.leaks_file, leaks)
        return publish(folder, self.request, answers, spec, division.record(leaks))

    def _run_folds(
        self, folder: RunFolder, index: VideoIndex, inputs: _Inputs, division: Division
    ) -> tuple[list[Answers], Answers]:
        """A classifier for each fold, which give the figures, and one from all clips, for use."""
        folds = division.folds(index)
        answers = []
        for number, part in enumerate(folds, start=1):
            self.reporter.note(f"Fold {number} of {len(folds)}")
            fold = folder.fold(number)
            answers.append(self._run_part(fold, part, inputs))
            self._publish(fold, answers[-1:], answers[-1].spec, division)
        self.reporter.note("All clips, for the model to use")
        used = self._run_part(folder, division.all_but_val(index), inputs)
        return answers, used

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

    def _extract(self, index: VideoIndex, backbone: Backbone | None) -> Extraction:
        """Features of all clips, or their frames where there is no backbone yet to see them."""
        engine = Engine(backbone, choice=self.engine_choice) if backbone else None
        views = self.recipe.extracted_views if engine else ("plain",)
        origin = self.recipe.backbone.name if engine else "frames"
        extractor = Extractor(self.store, self.reader, engine, views, origin)
        title = "Extracting features" if engine else "Reading frames"
        with self.reporter.phase(title, len(index)) as advance:
            return extractor.run(index.rows, advance)

    def _run_part(self, folder: RunFolder, index: VideoIndex, inputs: _Inputs) -> Answers:
        """Train on one split, calibrate and save the classifier; answer every clip with it."""
        self._check_sides(index)
        write_splits(index, folder.splits_file)
        if self._must_pretrain:
            inputs = self._pretrained(folder, index, inputs)
        spec = ClassifierSpec(
            class_names=index.class_names,
            sampling=self.recipe.sampling,
            framing=self.recipe.framing,
            backbone=self.recipe.backbone,
            scaler=self.recipe.scaler,
            head=self.recipe.head,
            recipe=self.recipe.name,
            weights_origin=inputs.weights_origin,
            views=self.recipe.views,
            num_temporal_crops=self.recipe.num_temporal_crops,
        )
        classifier, logits = self._learn(folder.path, spec, index, inputs)
        is_val = torch.tensor([row.split == "val" for row in index.rows])
        held_out, clips = logits[is_val], index.subset("val")
        if self.recipe.training.refit:
            splits = ["train" if row.split == "val" else row.split for row in index.rows]
            everything = index.with_splits(splits)
            crossed = self._cross_validated(folder.path, spec, everything, inputs, len(clips))
            if crossed is not None:
                held_out, clips = crossed, everything.subset("train")
            classifier, refitted = self._learn(folder.path / "refit", spec, everything, inputs)
            # Of the validation part count the answers of the classifier that never learnt from it.
            logits = torch.where(is_val[:, None], logits, refitted)
        spec = calibrated(spec, held_out, clips.labels)
        classifier.spec = spec
        classifier.save(folder.model)
        probs = probabilities(logits, spec.temperature).numpy()
        facts = [inputs.extraction[row].facts for row in index.rows]
        return Answers(index, probs, facts, spec)

    def _learn(
        self, path: Path, spec: ClassifierSpec, index: VideoIndex, inputs: _Inputs
    ) -> tuple[VideoClassifier, Tensor]:
        """A classifier that learnt from the training part, and its logits (N, K) of every clip."""
        torch.manual_seed(self.recipe.training.seed)
        is_frozen = inputs.backbone.is_frozen
        # Parts that train the backbone must each start from the same weights.
        backbone = inputs.backbone if is_frozen else copy.deepcopy(inputs.backbone)
        classifier = VideoClassifier(spec, backbone)
        network: Network = classifier.sequence if is_frozen else classifier
        self._fit(network, classifier, path, index, inputs.extraction)
        return classifier, all_logits(network, self._clips(index, inputs.extraction))

    def _cross_validated(
        self, path: Path, spec: ClassifierSpec, index: VideoIndex, inputs: _Inputs, num_val: int
    ) -> Tensor | None:
        """Held-out logits (N, K) of the training part, where the recipe asks and ``val`` is small.

        Not where the backbone learns, too: what it has learnt it has seen of all these clips.
        """
        num_folds = self.recipe.training.calibration_folds
        is_ready = inputs.backbone.is_frozen and not self._must_pretrain
        if not num_folds or num_val >= ENOUGH_CLIPS or not is_ready:
            return None
        return held_out_logits(
            index.subset("train"),
            num_folds,
            self.recipe.training.seed,
            path / "calibration",
            lambda place, part: self._learn(place, spec, part, inputs)[1],
            self.reporter,
        )

    def _check_sides(self, index: VideoIndex) -> None:
        """Refuse what cannot be learnt from, and tell of what makes the figures doubtful."""
        missing = missing_classes(index)
        empty = [split for split in ("train", "val") if not index.subset(split).rows]
        if empty or "train" in missing:
            fault = f"{empty[0]} is empty" if empty else f"train has no {missing['train'][0]!r}"
            raise DatasetError(
                f"{index.root}: by its splits, and without unreadable files, {fault}",
                "clips of every class in train, and some clips in val to choose the best epoch by",
                "add clips to that split, or leave the splits to Filmstrip.",
            )
        for split, classes in missing.items():
            self.reporter.note(f"{split} has no clip of {', '.join(classes[:5])}.")

    def _pretrained(self, folder: RunFolder, index: VideoIndex, inputs: _Inputs) -> _Inputs:
        """The backbone taught on this part's training frames, and the features it then gives."""
        spec = self.recipe.backbone
        if not isinstance(spec, ResNet50Spec):
            return inputs
        parts = FrameParts(
            self.store,
            self._clips(index.subset("train"), inputs.extraction).clips,
            self._clips(index.subset("val"), inputs.extraction).clips,
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
            return _Inputs(backbone, inputs.weights_origin, inputs.extraction)
        features = self._extract(index, backbone)
        return _Inputs(backbone, inputs.weights_origin, features)

    def _clips(
        self, index: VideoIndex, extraction: Extraction, is_training: bool = False
    ) -> StoredClips:
        recipe, training = self.recipe, self.recipe.training
        shown = training.views if is_training else recipe.views
        places = [recipe.extracted_views.index(view) for view in shown]
        clips = []
        for row, label in zip(index.rows, index.labels, strict=True):
            keys = extraction[row].keys
            if len(keys) > 1:  # frames, for a network that is trained on these, are kept once
                keys = tuple(keys[place] for place in places)
            clips.append(StoredClip(keys, int(label)))
        augmentation = training.augmentation if is_training else None
        return StoredClips(self.store, clips, augmentation, training.seed)

    def _fit(
        self,
        network: Network,
        classifier: VideoClassifier,
        path: Path,
        index: VideoIndex,
        extraction: Extraction,
    ) -> None:
        training = self.recipe.training
        seen = self._clips(index.subset("train"), extraction, is_training=True)
        held_out = self._clips(index.subset("val"), extraction)
        scaler = classifier.sequence.scaler
        if scaler.needs_fit:
            scaler.fit(all_features(classifier, seen))
        learner = Learner(
            network,
            training,
            len(index.class_names),
            self._class_weights(index),
            classifier.sequence.head.regularised_weights(),
            [p for p in classifier.backbone.parameters() if p.requires_grad],
        )
        has_val = bool(len(held_out))
        title = "Training" if has_val else "Training on all but the test part"
        with self.reporter.phase(title, training.epochs) as advance:
            fit(
                learner,
                training_batches(seen, training.batch_size),
                evaluation_batches(held_out, training.batch_size) if has_val else None,
                training,
                path,
                self.resume,
                advance,
            )

    def _class_weights(self, index: VideoIndex) -> Tensor | None:
        if self.recipe.training.class_weights == "none":
            return None
        labels = index.subset("train").labels
        classes = np.arange(len(index.class_names))
        weights = compute_class_weight("balanced", classes=classes, y=labels)
        return torch.tensor(weights, dtype=torch.float32)


def _limit_gpu_memory(fraction: float) -> None:
    if fraction < 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(fraction)
