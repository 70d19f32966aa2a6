"""Teaching a backbone from scratch to classify single frames, before its features are taken.

The ``resnet50-gru`` recipe needs it: its source does not say how its ResNet-50 got its weights.
Only frames of the training part are learnt from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from filmstrip.features.store import FeatureStore
from filmstrip.model.backbone import Backbone, build_backbone
from filmstrip.model.head import Network
from filmstrip.model.specs import ResNet50Spec
from filmstrip.recipes.recipe import TrainingSpec
from filmstrip.storage import replacing
from filmstrip.training.data import (
    StoredClip,
    StoredFrames,
    evaluation_batches,
    training_batches,
)
from filmstrip.training.fit import fit
from filmstrip.training.learner import Learner
from filmstrip.training.reporter import Reporter

FRAMES_PER_CLIP = 4
"""Frames that an epoch sees of each clip, drawn anew each time."""


@dataclass(frozen=True, slots=True)
class FrameParts:
    """Where the frames of the training and the validation part are kept."""

    store: FeatureStore
    train: Sequence[StoredClip]
    val: Sequence[StoredClip]


class FrameClassifier(Network):
    """A backbone and one linear layer: single frames to logits.

    Args:
        backbone: learns, whatever it does later.
        num_classes: K.
    """

    def __init__(self, backbone: Backbone, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.classify = nn.Linear(backbone.num_features, num_classes)

    def forward(self, frames: Tensor, _lengths: Tensor) -> Tensor:
        """Logits (B, K) of uint8 ``frames`` (B, 1, 3, H, W)."""
        normalised = self.backbone.normalise(frames[:, 0])
        logits: Tensor = self.classify(self.backbone(normalised))
        return logits


def pretrain(
    spec: ResNet50Spec,
    input_size: int,
    training: TrainingSpec,
    parts: FrameParts,
    num_classes: int,
    folder: Path,
    resume: bool,
    reporter: Reporter,
) -> dict[str, Tensor]:
    """Train a backbone on single frames.

    Args:
        spec: which backbone, for how long and at what learning rate.
        input_size: side of the frames in pixels.
        training: batch size, seed and precision.
        parts: where the frames are.
        num_classes: K.
        folder: gets checkpoints, history, and ``backbone.safetensors`` at the end.
        resume: take up what ``folder`` holds.
        reporter: hears of each epoch.

    Returns:
        The state of the backbone's trunk.
    """
    finished = folder / "backbone.safetensors"
    if resume and finished.is_file():
        try:
            return load_file(finished)
        except SafetensorError:
            reporter.note(
                f"WARNING: {finished} is damaged. The pretraining goes on from its last checkpoint."
            )
    torch.manual_seed(training.seed)
    whole = spec.model_copy(update={"trainable": -1})
    backbone = build_backbone(whole, input_size)
    frame_training = training.model_copy(
        update={
            "epochs": spec.pretrain_epochs,
            "learning_rate": spec.pretrain_learning_rate,
            "schedule": "cosine",
            "early_stopping": 0,
            "l2": 0.0,
        }
    )
    seen = StoredFrames(parts.store, parts.train, FRAMES_PER_CLIP, training.seed, drawn=True)
    held_out = StoredFrames(parts.store, parts.val, FRAMES_PER_CLIP, training.seed, drawn=False)
    learner = Learner(FrameClassifier(backbone, num_classes), frame_training, num_classes)
    with reporter.phase("Pretraining on frames", spec.pretrain_epochs) as advance:
        fit(
            learner,
            training_batches(seen, training.batch_size),
            evaluation_batches(held_out, training.batch_size),
            frame_training,
            folder,
            resume,
            advance,
            reporter.note,
        )
    trained = backbone.trunk.state_dict()
    state = {name: tensor.contiguous() for name, tensor in trained.items()}
    with replacing(finished) as temporary:
        temporary.write_bytes(to_bytes(state))
    return state
