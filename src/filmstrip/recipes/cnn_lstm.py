"""A CNN and an LSTM, trained together from scratch.

Source: "Video Classification with CNN and LSTM", a PyTorch project: 2D convolutions with growing
channels, each followed by BatchNorm2d, ReLU and max-pooling; an LSTM of 256 hidden units; one
Linear layer to 10 classes; separate training and evaluation; it ends by reporting validation
accuracy.
"""

from __future__ import annotations

from filmstrip.model.specs import ConvNetSpec, RecurrentHeadSpec
from filmstrip.recipes.recipe import Recipe, TrainingSpec
from filmstrip.video.sampling import UniformSampling
from filmstrip.video.transforms import Augmentation, Framing

RECIPE = Recipe(
    name="cnn-lstm",
    source="Video Classification with CNN and LSTM",
    deviations=(
        "The source gives no sizes but the LSTM's: 12 frames of 64 pixels, four blocks of 16, 32, "
        "64 and 128 channels, pooled to a 2×2 grid, are ours.",
        "Clips are cropped in space and time while it trains, which the source does not mention.",
        "The number of classes is that of the data; on the demo's data set it is the source's 10.",
    ),
    sampling=UniformSampling(num_frames=12),
    framing=Framing(size=64, fit="stretch"),
    backbone=ConvNetSpec(channels=(16, 32, 64, 128), grid=2),
    head=RecurrentHeadSpec(cell="lstm", hidden=(256,), pooling="last"),
    training=TrainingSpec(
        epochs=24,
        batch_size=16,
        optimizer="adamw",
        learning_rate=1e-3,
        backbone_learning_rate=1e-3,
        weight_decay=0.01,
        schedule="cosine",
        gradient_clip=1.0,
        augmentation=Augmentation(crop_scale=0.7, temporal_crop=0.8),
    ),
)
