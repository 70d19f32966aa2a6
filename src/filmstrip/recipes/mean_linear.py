"""The honest baseline: the mean over frames and logistic regression, blind to order.

Ours. On many data sets a recurrent head gains little over it, so every comparison shows it. It
takes any backbone: ``--set backbone.name=resnet50``.
"""

from __future__ import annotations

from filmstrip.model.specs import MeanLinearHeadSpec, ScalerSpec, TimmBackboneSpec
from filmstrip.recipes.recipe import Recipe, TrainingSpec
from filmstrip.video.sampling import UniformSampling
from filmstrip.video.transforms import Framing

RECIPE = Recipe(
    name="mean-linear",
    source="Filmstrip",
    sampling=UniformSampling(num_frames=16),
    framing=Framing(size=224, fit="stretch"),
    backbone=TimmBackboneSpec(name="tf_efficientnet_lite0"),
    scaler=ScalerSpec(kind="standard"),
    head=MeanLinearHeadSpec(),
    training=TrainingSpec(
        epochs=60,
        batch_size=32,
        optimizer="adamw",
        learning_rate=1e-3,
        weight_decay=0.01,
        schedule="cosine",
    ),
)
