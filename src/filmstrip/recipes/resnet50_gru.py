"""A ResNet-50 written from scratch, MinMax scaling, then a GRU.

Source: "Video Classification Using GRU with Custom ResNet-50 Feature Extraction": a ResNet-50 that
is not pretrained gives 2048 features a frame, which are scaled to [0, 1] and read by a GRU;
cross-entropy, Adam, a learning rate that decays; it reports 96.3 % validation and 91.8 % test
accuracy on data that it does not name.
"""

from __future__ import annotations

from filmstrip.model.specs import RecurrentHeadSpec, ResNet50Spec, ScalerSpec
from filmstrip.recipes.recipe import Recipe, TrainingSpec
from filmstrip.video.sampling import UniformSampling
from filmstrip.video.transforms import Framing

RECIPE = Recipe(
    name="resnet50-gru",
    source="Video Classification Using GRU with Custom ResNet-50 Feature Extraction",
    deviations=(
        "The source does not say how its ResNet-50 got its weights: here it first learns to "
        "classify single frames of the training part, then is frozen "
        "(--set backbone.pretrain=none leaves it random; --weights FILE loads weights).",
        "The source gives no sizes: 20 frames of 224 pixels, 256 GRU units, a decay of 0.95 an "
        "epoch are ours.",
        "The scaler is fitted on the training part only; the source does not say on what.",
    ),
    sampling=UniformSampling(num_frames=20),
    framing=Framing(size=224, fit="stretch"),
    backbone=ResNet50Spec(pretrain="frames"),
    scaler=ScalerSpec(kind="minmax"),
    head=RecurrentHeadSpec(cell="gru", hidden=(256,), pooling="last"),
    training=TrainingSpec(
        epochs=40,
        batch_size=16,
        learning_rate=1e-3,
        schedule="decay",
        decay=0.95,
        early_stopping=10,
    ),
)
