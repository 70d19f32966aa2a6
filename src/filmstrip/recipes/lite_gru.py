"""The default: EfficientNet-Lite0 from the embedded weights, sampled by rate, and a GRU.

Ours. Small and quick, it works with no network, and it can be streamed: frames come at a fixed
rate, the GRU reads one way, and changes are taken against the past alone. The backbone is read at
a middle stage on a grid, because pooling a frame to one vector throws away where things are.
Training shows each clip mirrored, too. Where left and right are classes of their own, switch that
off: ``--set training.views=[plain]``.

``sampling: auto`` chooses the frame rate from the durations and frame rates of the clips: 10 frames
per second, or more or fewer so that the median clip gives 16 to 48 frames, and never more than the
videos have. ``--set sampling.frames_per_second=25`` fixes the rate.
"""

from __future__ import annotations

from filmstrip.model.specs import RecurrentHeadSpec, ScalerSpec, TimmBackboneSpec
from filmstrip.recipes.recipe import Recipe, TrainingSpec
from filmstrip.video.auto_sampling import AutoSampling
from filmstrip.video.transforms import Augmentation, Framing

RECIPE = Recipe(
    name="lite-gru",
    source="Filmstrip",
    sampling=AutoSampling(),
    framing=Framing(size=224, fit="stretch"),
    backbone=TimmBackboneSpec(name="tf_efficientnet_lite0", stage=3, grid=4),
    scaler=ScalerSpec(kind="pca", num_components=128),
    head=RecurrentHeadSpec(
        cell="gru",
        hidden=(128,),
        pooling="mean-max",
        differences=(2,),
        magnitudes=True,
        departures=True,
        input_norm=True,
        input_dropout=0.3,
        dropout=0.5,
        members=3,
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
)
