"""What a model is made of, as data: validated, written to YAML and JSON, free of torch.

A recipe composes these; a saved model carries them in its ``config.json``.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from filmstrip.video.sampling import RateSampling, Sampling
from filmstrip.video.transforms import Framing, View

MAX_CLIP_BYTES = 2 * 1024**3
"""Most bytes that the frames of one clip may take in memory, as uint8 RGB."""


class Spec(BaseModel):
    """A frozen setting in which an unknown key, an infinity or a NaN is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, int) else value


Sizes = Annotated[
    tuple[Annotated[int, Field(ge=1, le=65_536)], ...],
    Field(max_length=12),
    BeforeValidator(_as_tuple),
]
"""One size, or a list of at most 12: ``512`` means ``[512]``."""

SomeSizes = Annotated[Sizes, Field(min_length=1)]
"""``Sizes``, at least one."""

Name = Annotated[str, Field(max_length=200)]
"""The name of a network or a recipe."""

Words = Annotated[str, Field(max_length=10_000)]
"""Text for people."""

Views = Annotated[tuple[View, ...], Field(min_length=1, max_length=2)]
"""How a clip is shown, one or two ways."""

Grid = Annotated[int, Field(ge=1, le=7)]
"""Cells along each side of the pooling grid; 1 pools a frame to one vector."""

TrainableUnits = Annotated[int, Field(ge=-1, le=10_000)]
"""How many of a backbone's last units learn: 0 freezes it, -1 trains all of it."""


TemporalCrops = Annotated[int, Field(ge=1, le=100)]
"""How many overlapping runs of a clip's frames are read."""


def check_clip_size(num_frames: int, size: int) -> None:
    """Check that so many frames of ``size`` pixels a side fit into ``MAX_CLIP_BYTES``.

    Raises:
        ValueError: they do not.
    """
    if num_frames * size**2 * 3 > MAX_CLIP_BYTES:
        raise ValueError(
            f"{num_frames} frames of {size} pixels a side take more than "
            f"{MAX_CLIP_BYTES // 1024**3} GiB a clip"
        )


class TimmBackboneSpec(Spec):
    """Any backbone of timm that offers feature maps.

    Attributes:
        name: timm's name, such as ``vgg16`` or ``tf_efficientnet_lite0``.
        stage: which of timm's feature stages to read; -1 is the last.
        grid: cells along each side of the pooling grid.
        weights: ``imagenet``, or ``none`` for random weights.
        trainable: how many of the last units learn; 0 freezes the backbone, -1 trains it whole.
    """

    kind: Literal["timm"] = "timm"
    name: Name
    stage: Annotated[int, Field(ge=-100, le=100)] = -1
    grid: Grid = 1
    weights: Literal["imagenet", "none"] = "imagenet"
    trainable: TrainableUnits = 0


class ConvNetSpec(Spec):
    """Blocks of convolution, batch normalisation, ReLU and max-pooling, trained from scratch.

    Attributes:
        channels: output channels of each block; each block halves the picture.
        grid: cells along each side of the pooling grid.
        trainable: how many of the last blocks learn; -1 is all of them.
    """

    kind: Literal["convnet"] = "convnet"
    channels: SomeSizes = (32, 64, 128, 256)
    grid: Grid = 1
    trainable: TrainableUnits = -1

    @property
    def name(self) -> str:
        """What it is called in tables, beside timm's networks."""
        return "convnet"


class ResNet50Spec(Spec):
    """The ResNet-50 that is written here, with torchvision's parameter names.

    Attributes:
        stride_on: which convolution of a down-sampling block carries the stride: ``conv2`` as in
            torchvision, ``conv1`` as in the paper and in weights converted from Caffe.
        grid: cells along each side of the pooling grid.
        pretrain: ``frames`` trains it first as a frame classifier on the training part;
            ``none`` leaves it random. Given weights (``--weights``) make either unneeded.
        pretrain_epochs: passes over the training part's frames.
        pretrain_learning_rate: of Adam, while it learns single frames.
        trainable: how many of the last units learn with the head; 0 freezes it, -1 trains it whole.
    """

    kind: Literal["resnet50"] = "resnet50"
    stride_on: Literal["conv1", "conv2"] = "conv2"
    grid: Grid = 1
    pretrain: Literal["frames", "none"] = "frames"
    pretrain_epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    pretrain_learning_rate: Annotated[float, Field(gt=0, le=1e6)] = 1e-3
    trainable: TrainableUnits = 0

    @property
    def name(self) -> str:
        """What it is called in tables, beside timm's networks."""
        return "resnet50 from scratch"


BackboneSpec = Annotated[TimmBackboneSpec | ConvNetSpec | ResNet50Spec, Field(discriminator="kind")]


class ScalerSpec(Spec):
    """How features are scaled before the head.

    Attributes:
        kind: ``none``; ``minmax`` to [0, 1] and ``standard`` to mean 0 and deviation 1, each
            dimension by itself; ``pca``, decorrelated and whitened; ``layernorm``, learnt.
            All but ``none`` and ``layernorm`` are fitted on the training part only.
        num_components: dimensions that ``pca`` keeps.
    """

    kind: Literal["none", "minmax", "standard", "pca", "layernorm"] = "none"
    num_components: Annotated[int, Field(ge=1, le=65_536)] = 128


class RecurrentHeadSpec(Spec):
    """LSTM or GRU layers over the features, pooled over time, then dense layers.

    Attributes:
        cell: ``lstm`` or ``gru``.
        hidden: units of each recurrent layer; two numbers make two layers.
        bidirectional: read the sequence both ways; such a head cannot be streamed.
        pooling: what of the outputs is classified: ``last`` (the final state of each direction),
            ``mean``, ``max``, ``mean-max`` (both, side by side) or ``attention`` (learnt weights).
        differences: lags, in frames; for each, the features minus those so many frames earlier
            stand beside the features.
        magnitudes: the absolute values of the differences stand beside them, too: how much has
            changed, whichever way. Signed changes cancel out over time; these do not.
        departures: the features minus their mean over the clip so far stand beside them, too; in
            a head that reads both ways, minus their mean over the whole clip.
        projection: width of a linear layer between features and recurrent layers; 0 for none.
        input_norm: batch-normalise what the first recurrent layer reads, over all real frames.
            Magnitudes have a mean, which would drown what varies.
        input_dropout: on what the first recurrent layer reads.
        layer_dropout: between recurrent layers.
        dropout: after the pooling over time.
        dense: widths of the layers between pooling and logits, each followed by ReLU.
        members: heads of this kind in one model, trained side by side from their own random
            weights; their logits are averaged.
    """

    kind: Literal["recurrent"] = "recurrent"
    cell: Literal["lstm", "gru"] = "gru"
    hidden: SomeSizes = (256,)
    bidirectional: bool = False
    pooling: Literal["last", "mean", "max", "mean-max", "attention"] = "last"
    differences: Sizes = ()
    magnitudes: bool = False
    departures: bool = False
    projection: Annotated[int, Field(ge=0, le=65_536)] = 0
    input_norm: bool = False
    input_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    layer_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    dense: Sizes = ()
    members: Annotated[int, Field(ge=1, le=32)] = 1


class MeanLinearHeadSpec(Spec):
    """The mean over frames and one linear layer: logistic regression, blind to order."""

    kind: Literal["mean-linear"] = "mean-linear"


HeadSpec = Annotated[RecurrentHeadSpec | MeanLinearHeadSpec, Field(discriminator="kind")]


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    blank = [place for place, name in enumerate(names) if not name.strip()]
    if blank:
        raise ValueError(f"the class at index {blank[0]} has no name")
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise ValueError(f"{count} classes have the name {name[:50]!r}")
    return names


ClassNames = Annotated[
    tuple[Annotated[str, Field(max_length=1_000)], ...],
    Field(min_length=1, max_length=100_000),
    AfterValidator(_distinct),
]
"""Distinct names, none of them blank."""

_Measure = Annotated[float, Field(ge=0, le=1e9)]


class Range(Spec):
    """What one property of many clips is like."""

    minimum: _Measure
    median: _Measure
    maximum: _Measure


class TrainingClips(Spec):
    """What the clips were like that a model learnt from.

    Attributes:
        num_clips: how many there were.
        duration_seconds: how long they last.
        frames_per_second: average frame rate of each.
        width: in pixels, as shown.
        height: in pixels, as shown.
    """

    num_clips: Annotated[int, Field(ge=1, le=10**12)]
    duration_seconds: Range
    frames_per_second: Range
    width: Range
    height: Range


class FamiliaritySpec(Spec):
    """When a clip counts as unlike everything in the training set.

    Attributes:
        num_references: training clips whose features are stored for comparison.
        num_neighbours: the distance of a clip is the mean distance to so many nearest references.
        threshold: a larger distance is unfamiliar; cosine distances lie in [0, 2].
        num_held_out_clips: how many clips the threshold rests on.
    """

    num_references: Annotated[int, Field(ge=1, le=100_000)]
    num_neighbours: Annotated[int, Field(ge=1, le=1_000)]
    threshold: Annotated[float, Field(ge=0, le=2)]
    num_held_out_clips: Annotated[int, Field(ge=1, le=10**12)]


class ClassifierSpec(Spec):
    """Everything a classifier needs to answer from a path, but its weights.

    Attributes:
        class_names: in the order of the logits.
        sampling: which frames of a video are seen.
        framing: how a frame becomes a square picture.
        backbone: what sees each frame.
        scaler: how features are scaled.
        head: what reads the sequence.
        recipe: name of the recipe that it was trained with.
        weights_origin: where the backbone's weights came from, in words.
        views: how each clip is shown when it answers; the logits are averaged.
        num_temporal_crops: into how many runs of frames it is cut when it answers, likewise.
        temperature: what the logits are divided by before the softmax; found on held-out clips.
        threshold: the confidence below which it would rather not answer; None to answer always.
        num_calibration_clips: how many held-out clips these two rest on; 0 where that is unknown.
        familiarity: when a clip counts as unlike the training set; None where that is not checked.
        training_clips: what the training clips were like; None for packed clips, whose durations
            are not known, and for models of older versions.
    """

    class_names: ClassNames
    sampling: Sampling
    framing: Framing
    backbone: BackboneSpec
    scaler: ScalerSpec
    head: HeadSpec
    recipe: Name = ""
    weights_origin: Words = ""
    views: Views = ("plain",)
    num_temporal_crops: TemporalCrops = 1
    temperature: Annotated[float, Field(ge=1e-3, le=1e3)] = 1.0
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    num_calibration_clips: Annotated[int, Field(ge=0, le=10**12)] = 0
    familiarity: FamiliaritySpec | None = None
    training_clips: TrainingClips | None = None

    @model_validator(mode="after")
    def _fits_memory(self) -> Self:
        sampling = self.sampling
        num_frames = (
            sampling.max_frames if isinstance(sampling, RateSampling) else sampling.num_frames
        )
        check_clip_size(num_frames, self.framing.size)
        return self
