"""VGG16 frozen on frame snapshots, then an LSTM.

Source: "Video Classification using VGG16 and LSTM" (2024), a learning project around the gates of
the LSTM. It names the two networks and the frozen ImageNet weights, and no sizes. Its list of
ideas is options here: other backbones (``backbone.name``), two directions
(``head.bidirectional``), augmentation (``training.views``, ``training.augmentation``) and the
length of the sequence (``sampling.num_frames``).
"""

from __future__ import annotations

from filmstrip.model.specs import RecurrentHeadSpec, TimmBackboneSpec
from filmstrip.recipes.recipe import Recipe, TrainingSpec
from filmstrip.video.sampling import UniformSampling
from filmstrip.video.transforms import Framing

RECIPE = Recipe(
    name="vgg16-lstm",
    source="Video Classification using VGG16 and LSTM (2024)",
    deviations=(
        "The source gives no sizes: 20 frames, 256 LSTM units and 40 epochs are ours.",
        "Features are the last stage's 512 channels (pooled), averaged over the frame: the fully "
        "connected layers hold 90 % of VGG16's weights and were trained to name objects.",
        "Training stops when the validation loss has not fallen for 10 epochs.",
    ),
    sampling=UniformSampling(num_frames=20),
    framing=Framing(size=224, fit="stretch"),
    backbone=TimmBackboneSpec(name="vgg16"),
    head=RecurrentHeadSpec(cell="lstm", hidden=(256,), pooling="last"),
    training=TrainingSpec(epochs=40, batch_size=16, learning_rate=1e-3, early_stopping=10),
)
