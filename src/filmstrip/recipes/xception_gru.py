"""Xception frozen, then the masked GRU network of the well-known Keras example.

Source: "Video Classification Pipeline", a notebook on UCF101 that extracts features with Xception
and trains the recurrent network of Sayak Paul's Keras example "Video Classification with a
CNN-RNN Architecture" (keras.io, 2021): GRU 16, GRU 8, dropout 0.4, dense 8 with ReLU, softmax;
masks for short clips; Adam; 10 epochs; the weights of the lowest validation loss. On UCF101, give
its official lists with ``--lists``.
"""

from __future__ import annotations

from filmstrip.model.specs import RecurrentHeadSpec, TimmBackboneSpec
from filmstrip.recipes.recipe import Recipe, TrainingSpec
from filmstrip.video.sampling import UniformSampling
from filmstrip.video.transforms import Framing

RECIPE = Recipe(
    name="xception-gru",
    source="Video Classification Pipeline, after keras.io 'Video Classification with a CNN-RNN "
    "Architecture'",
    deviations=(
        "Its 20 frames are spread over the whole clip; the Keras example takes the first 20.",
        "Frames have 299 pixels, Xception's own size; the Keras example uses 224 with Inception.",
        "Masks are exact: the example pads with zeros and leaves the masked steps to Keras.",
    ),
    sampling=UniformSampling(num_frames=20),
    framing=Framing(size=299, fit="crop"),
    # timm's current name for the network that Chollet's paper and Keras call Xception.
    backbone=TimmBackboneSpec(name="legacy_xception"),
    head=RecurrentHeadSpec(cell="gru", hidden=(16, 8), pooling="last", dropout=0.4, dense=(8,)),
    training=TrainingSpec(epochs=10, batch_size=32, learning_rate=1e-3),
)
