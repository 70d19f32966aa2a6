"""Several GRUs that read both ways answer together, to a clip in parts and mirrored.

Ours. For where nothing has to be streamed: as ``lite-gru``, but five heads read the sequence from
both ends, and the answers to three overlapping parts of a clip and of its mirror image are
averaged. Where left and right are classes of their own, switch mirroring off:
``--set views=[plain] --set training.views=[plain]``.
"""

from __future__ import annotations

from filmstrip.model.specs import RecurrentHeadSpec, ScalerSpec, TimmBackboneSpec
from filmstrip.recipes.recipe import Recipe, TrainingSpec
from filmstrip.video.sampling import RateSampling
from filmstrip.video.transforms import Augmentation, Framing

RECIPE = Recipe(
    name="lite-bigru",
    source="Filmstrip",
    sampling=RateSampling(frames_per_second=10, max_frames=64),
    framing=Framing(size=224, fit="stretch"),
    backbone=TimmBackboneSpec(name="tf_efficientnet_lite0", stage=3, grid=4),
    scaler=ScalerSpec(kind="pca", num_components=128),
    head=RecurrentHeadSpec(
        cell="gru",
        hidden=(128,),
        bidirectional=True,
        pooling="mean-max",
        differences=(2,),
        magnitudes=True,
        departures=True,
        input_norm=True,
        input_dropout=0.3,
        dropout=0.5,
        members=5,
    ),
    training=TrainingSpec(
        epochs=30,
        batch_size=16,
        optimizer="adamw",
        learning_rate=2e-3,
        weight_decay=0.01,
        schedule="cosine",
        label_smoothing=0.1,
        gradient_clip=1.0,
        refit=True,
        views=("plain", "flip"),
        augmentation=Augmentation(temporal_crop=0.7),
    ),
    views=("plain", "flip"),
    num_temporal_crops=3,
)
