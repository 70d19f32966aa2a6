"""One split of the clips to one classifier: fit, calibrate, save, answer every clip."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from filmstrip.dataset.index import VideoIndex
from filmstrip.features.entry import ClipFacts
from filmstrip.features.extraction import Extraction
from filmstrip.features.store import FeatureStore
from filmstrip.model.backbone import Backbone
from filmstrip.model.classifier import VideoClassifier, probabilities
from filmstrip.model.familiarity import Familiarity
from filmstrip.model.head import Network
from filmstrip.model.specs import ClassifierSpec, Range, TrainingClips
from filmstrip.recipes.recipe import Recipe
from filmstrip.training.answers import Answers
from filmstrip.training.calibrate import calibrated
from filmstrip.training.data import StoredClip, StoredClips, evaluation_batches, training_batches
from filmstrip.training.familiarity import (
    Vectors,
    build_familiarity,
    measure_distances,
    reference_clips,
)
from filmstrip.training.fit import fit
from filmstrip.training.held_out import ENOUGH_CLIPS, held_out_logits
from filmstrip.training.learner import Learner
from filmstrip.training.passes import all_features, all_logits, mean_features
from filmstrip.training.reporter import Reporter
from filmstrip.training.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a classifier is trained from.

    Attributes:
        backbone: with its weights.
        weights_origin: where these came from, in words.
        extraction: features of all clips if the backbone is frozen, else their frames.
        is_pretrained_here: whether the backbone, now frozen, has learnt from the training part.
    """

    backbone: Backbone
    weights_origin: str
    extraction: Extraction
    is_pretrained_here: bool = False

    @property
    def is_blind(self) -> bool:
        """Whether the backbone has learnt from no clip of the data set and never will."""
        return self.backbone.is_frozen and not self.is_pretrained_here


class SplitTrainer:
    """Trains a recipe's classifier on one split after another.

    Args:
        recipe: what is trained, and how.
        store: holds the features or frames of all clips.
        resume: go on from checkpoints where there are some.
        reporter: hears of each epoch.
    """

    def __init__(
        self, recipe: Recipe, store: FeatureStore, resume: bool, reporter: Reporter
    ) -> None:
        self.recipe = recipe
        self.store = store
        self.resume = resume
        self.reporter = reporter

    def run(self, folder: RunFolder, index: VideoIndex, inputs: Inputs) -> Answers:
        """Train on the split of ``index``, leave the classifier in ``folder``, ask it all clips."""
        spec = ClassifierSpec(
            class_names=index.class_names,
            sampling=self.recipe.fixed_sampling,
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
        # Now, while the validation clips are still held out.
        distances = measure_distances(
            self._vectors(classifier, inputs),
            index,
            inputs.backbone.num_features,
            self.recipe.training.seed,
            inputs.is_blind,
        )
        learnt = index
        is_val = torch.tensor([row.split == "val" for row in index.rows])
        held_out, clips = logits[is_val], index.subset("val")
        if self.recipe.training.refit:
            splits = ["train" if row.split == "val" else row.split for row in index.rows]
            everything = learnt = index.with_splits(splits)
            crossed = self._cross_validated(folder.path, spec, everything, inputs, len(clips))
            if crossed is not None:
                held_out, clips = crossed, everything.subset("train")
            classifier, refitted = self._learn(folder.path / "refit", spec, everything, inputs)
            # Of the validation part count the answers of the classifier that never learnt from it.
            logits = torch.where(is_val[:, None], logits, refitted)
        is_refitted = self.recipe.training.refit
        seen = [row for row in index.rows if row.split in ("train", "val")[: 1 + is_refitted]]
        spec = calibrated(spec, held_out, clips.labels).model_copy(
            update={"training_clips": _described([inputs.extraction[row].facts for row in seen])}
        )
        check = self._familiarity(classifier, learnt, inputs, distances)
        if check is not None:
            spec = spec.model_copy(update={"familiarity": check.spec})
        classifier.spec, classifier.familiarity = spec, check
        classifier.save(folder.model)
        probs = probabilities(logits, spec.temperature).numpy()
        facts = [inputs.extraction[row].facts for row in index.rows]
        return Answers(index, probs, facts, spec)

    def _vectors(self, classifier: VideoClassifier, inputs: Inputs) -> Vectors:
        return lambda index: mean_features(classifier, self.clips(index, inputs.extraction))

    def _familiarity(
        self,
        classifier: VideoClassifier,
        index: VideoIndex,
        inputs: Inputs,
        distances: NDArray[np.float64],
    ) -> Familiarity | None:
        """The check for clips unlike the training set of ``index``."""
        if not len(distances):
            self.reporter.note(
                "All clips are of one group: nothing is held out to tell how distant an unfamiliar "
                "clip is, so the model has no such check."
            )
            return None
        seed = self.recipe.training.seed
        references = reference_clips(index, inputs.backbone.num_features, seed)
        return build_familiarity(self._vectors(classifier, inputs)(references), distances)

    def clips(
        self, index: VideoIndex, extraction: Extraction, is_training: bool = False
    ) -> StoredClips:
        """The clips of ``index`` in the store, as training or as evaluation sees them."""
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

    def _learn(
        self, path: Path, spec: ClassifierSpec, index: VideoIndex, inputs: Inputs
    ) -> tuple[VideoClassifier, Tensor]:
        """A classifier that learnt from the training part, and its logits (N, K) of every clip."""
        torch.manual_seed(self.recipe.training.seed)
        is_frozen = inputs.backbone.is_frozen
        # Splits that train the backbone must each start from the same weights.
        backbone = inputs.backbone if is_frozen else copy.deepcopy(inputs.backbone)
        classifier = VideoClassifier(spec, backbone)
        network: Network = classifier.sequence if is_frozen else classifier
        self._fit(network, classifier, path, index, inputs.extraction)
        return classifier, all_logits(network, self.clips(index, inputs.extraction))

    def _cross_validated(
        self, path: Path, spec: ClassifierSpec, index: VideoIndex, inputs: Inputs, num_val: int
    ) -> Tensor | None:
        """Held-out logits (N, K) of the training part, where the recipe asks and ``val`` is small.

        Not where the backbone learnt, too: it has seen all these clips.
        """
        num_folds = self.recipe.training.calibration_folds
        if not num_folds or num_val >= ENOUGH_CLIPS or not inputs.is_blind:
            return None
        return held_out_logits(
            index.subset("train"),
            num_folds,
            self.recipe.training.seed,
            path / "calibration",
            lambda place, part: self._learn(place, spec, part, inputs)[1],
            self.reporter,
        )

    def _fit(
        self,
        network: Network,
        classifier: VideoClassifier,
        path: Path,
        index: VideoIndex,
        extraction: Extraction,
    ) -> None:
        training = self.recipe.training
        seen = self.clips(index.subset("train"), extraction, is_training=True)
        held_out = self.clips(index.subset("val"), extraction)
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
                self.reporter.note,
            )

    def _class_weights(self, index: VideoIndex) -> Tensor | None:
        if self.recipe.training.class_weights == "none":
            return None
        labels = index.subset("train").labels
        classes = np.arange(len(index.class_names))
        weights = compute_class_weight("balanced", classes=classes, y=labels)
        return torch.tensor(weights, dtype=torch.float32)


def _described(facts: Sequence[ClipFacts]) -> TrainingClips | None:
    """What clips are like; None where no duration is known."""
    known = [clip for clip in facts if clip.duration_seconds > 0]  # a NaN is not
    if not known:
        return None
    return TrainingClips(
        num_clips=len(known),
        duration_seconds=_range([clip.duration_seconds for clip in known]),
        frames_per_second=_range([clip.num_frames / clip.duration_seconds for clip in known]),
        width=_range([clip.width for clip in known]),
        height=_range([clip.height for clip in known]),
    )


def _range(values: Sequence[float]) -> Range:
    low, middle, high = np.percentile(values, [0, 50, 100]).tolist()
    return Range(minimum=low, median=middle, maximum=high)
