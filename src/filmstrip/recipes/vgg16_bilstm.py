"""VGG16 frozen, global average pooling, LayerNorm, BiLSTM, dropout, dense with L2.

Source: "Action-Recognition-Model: Video Classification Using VGG16 and BiLSTM", a Keras script. It
reads preprocessed arrays from one file (here: ``filmstrip pack``), configures the GPU's memory
(``training.gpu_memory_fraction``), stops early, logs to TensorBoard, saves the model, prints test
loss and accuracy, plots the history, and suggests grid and random search (``filmstrip tune``).
"""

from __future__ import annotations

from filmstrip.model.specs import RecurrentHeadSpec, ScalerSpec, TimmBackboneSpec
from filmstrip.recipes.recipe import Recipe, TrainingSpec
from filmstrip.video.sampling import UniformSampling
from filmstrip.video.transforms import Framing

RECIPE = Recipe(
    name="vgg16-bilstm",
    source="Action-Recognition-Model: Video Classification Using VGG16 and BiLSTM",
    deviations=(
        "The source gives no sizes: 20 frames, 128 units each way, a dense layer of 128 and an L2 "
        "of 0.001 are ours.",
        "VGG16 is frozen whole (the source: 'its top layers are frozen'), so that its features "
        "can be cached; --set backbone.trainable=N lets the last N layers learn.",
        "The model is saved as safetensors and JSON, not as .h5, and the data file is read "
        "without unpickling code.",
    ),
    sampling=UniformSampling(num_frames=20),
    framing=Framing(size=224, fit="stretch"),
    backbone=TimmBackboneSpec(name="vgg16"),
    scaler=ScalerSpec(kind="layernorm"),
    head=RecurrentHeadSpec(
        cell="lstm", hidden=(128,), bidirectional=True, pooling="last", dropout=0.5, dense=(128,)
    ),
    training=TrainingSpec(epochs=50, batch_size=16, learning_rate=1e-3, l2=1e-3, early_stopping=10),
)
