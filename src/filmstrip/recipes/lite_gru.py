"""The default: EfficientNet-Lite0 from the embedded weights, sampled by rate, and a GRU.

Ours. Small and quick, it works with no network, and it can be streamed: frames come at a fixed
rate, the GRU reads one way, and differences between frames look back only. The backbone is read
at a middle stage on a grid, because pooling a frame to one vector throws away where things are.
"""

from __future__ import annotations

from filmstrip.model.specs import RecurrentHeadSpec, ScalerSpec, TimmBackboneSpec
from filmstrip.recipes.recipe import Recipe, TrainingSpec
from filmstrip.video.sampling import RateSampling
from filmstrip.video.transforms import Augmentation, Framing

RECIPE = Recipe(
    name="lite-gru",
    source="Filmstrip",
    sampling=RateSampling(frames_per_second=8, max_frames=64),
    framing=Framing(size=128, fit="stretch"),
    backbone=TimmBackboneSpec(name="tf_efficientnet_lite0", stage=2, grid=4),
    scaler=ScalerSpec(kind="standard"),
    head=RecurrentHeadSpec(
        cell="gru",
        hidden=(256,),
        pooling="mean",
        differences=(1,),
        projection=256,
        dropout=0.3,
    ),
    training=TrainingSpec(
        epochs=30,
        batch_size=32,
        optimizer="adamw",
        learning_rate=2e-3,
        weight_decay=0.01,
        schedule="cosine",
        label_smoothing=0.1,
        gradient_clip=1.0,
        augmentation=Augmentation(temporal_crop=0.8),
    ),
)
