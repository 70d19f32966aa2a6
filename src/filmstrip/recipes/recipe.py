"""The Recipe: one whole system, from how frames are sampled to how the head is trained."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from filmstrip.model.specs import (
    BackboneSpec,
    HeadSpec,
    Name,
    ScalerSpec,
    Spec,
    TemporalCrops,
    Views,
    Words,
    check_clip_size,
)
from filmstrip.video.auto_sampling import LARGEST_MAX_FRAMES, AutoSampling, RecipeSampling
from filmstrip.video.sampling import Sampling, UniformSampling
from filmstrip.video.transforms import Augmentation, Framing, View


def _no_lone_fold(num_folds: int) -> int:
    if num_folds == 1:
        raise ValueError("0 or at least 2: with one fold there is nothing left to learn from")
    return num_folds


class TrainingSpec(Spec):
    """How the parts that learn are trained.

    Attributes:
        epochs: passes over the training part, at most.
        batch_size: clips a step.
        optimizer: ``adam``, ``adamw`` or ``sgd`` (Nesterov momentum 0.9).
        learning_rate: of head and scaler; of everything, in a network trained from scratch.
        backbone_learning_rate: of the backbone's trainable units.
        schedule: of the learning rates: ``constant``; ``decay``, times ``decay`` after each epoch;
            ``cosine``, to zero at the last epoch; ``plateau``, times ``decay`` whenever the
            validation loss has not fallen for five epochs.
        decay: the factor of ``decay`` and ``plateau``.
        weight_decay: as the optimizer applies it.
        l2: added to the loss, times the sum of squares of the dense layers' kernels.
        label_smoothing: share of each label spread over all classes.
        class_weights: ``balanced`` weighs each class by the inverse of its number of clips.
        gradient_clip: largest norm of the gradient; 0 for none.
        early_stopping: epochs without a better ``monitor`` after which training ends; 0 for never.
        monitor: what decides on the best epoch, whose weights are kept.
        refit: train once more when the validation part has had its say (on the temperature), now
            on training and validation part together, for all epochs. With few clips those of the
            validation part are dear. Validation figures are those of the first training.
        calibration_folds: with ``refit``, find temperature and threshold on held-out answers to all
            clips that the model learns from: so many further trainings, each without one share of
            the groups. Only where the validation part has fewer than 100 clips; 0 to use that part
            alone.
        precision: ``32``; ``bf16`` or ``16`` for mixed precision; ``auto`` for bf16 where a GPU
            has it.
        views: what a frozen backbone sees of each training clip; all are cached, one is drawn at
            each visit. Add ``flip`` only where left and right mean the same.
        augmentation: drawn once a clip; for a frozen backbone only its temporal crop applies.
        gpu_memory_fraction: largest share of the GPU's memory to take.
        seed: of weights, shuffling and augmentation.
    """

    epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 40
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 32
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: Annotated[float, Field(gt=0, le=1e6)] = 1e-3
    backbone_learning_rate: Annotated[float, Field(gt=0, le=1e6)] = 1e-4
    schedule: Literal["constant", "decay", "cosine", "plateau"] = "constant"
    decay: Annotated[float, Field(gt=0, le=1)] = 0.95
    weight_decay: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    l2: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    gradient_clip: Annotated[float, Field(ge=0, le=1e12)] = 0.0
    early_stopping: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    monitor: Literal["val_loss", "val_accuracy"] = "val_loss"
    refit: bool = False
    calibration_folds: Annotated[int, Field(ge=0, le=1_000), AfterValidator(_no_lone_fold)] = 0
    precision: Annotated[Literal["auto", "32", "bf16", "16"], BeforeValidator(str)] = "auto"
    views: Views = ("plain",)
    augmentation: Augmentation = Augmentation()
    gpu_memory_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0

    @model_validator(mode="after")
    def _can_refit(self) -> Self:
        if self.refit and (self.early_stopping or self.schedule == "plateau"):
            raise ValueError(
                "refit=true trains without a validation part: it goes with early_stopping=0 and a "
                "schedule other than plateau"
            )
        return self


class SplitSpec(Spec):
    """How clips are shared out where the data does not say; groups stay whole.

    Attributes:
        val_fraction: share for validation, which chooses the best epoch.
        test_fraction: share for the test, which is read once, at the end; 0 for no test set.
    """

    val_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.15
    test_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.15


class Recipe(Spec):
    """One whole system.

    Attributes:
        name: as given to ``--recipe``.
        source: what it follows.
        deviations: each point in which it differs from its source, and why.
        sampling: which frames of a video are seen; ``auto`` chooses a rate from the clips.
        framing: how a frame becomes a square picture.
        backbone: what sees each frame.
        scaler: how features are scaled.
        head: what reads the sequence.
        training: how it learns.
        split: how clips are shared out.
        views: how each clip is shown when the model answers; the logits are averaged. Add ``flip``
            only where left and right mean the same.
        num_temporal_crops: when the model answers, it reads so many overlapping runs of a clip's
            frames, each of four fifths of them, evenly spread; the logits are averaged. 1 to read
            the clip whole, which a model that streams must.
    """

    name: Name
    source: Words = ""
    deviations: Annotated[tuple[Words, ...], Field(max_length=1_000)] = ()
    sampling: RecipeSampling
    framing: Framing
    backbone: BackboneSpec
    scaler: ScalerSpec = ScalerSpec()
    head: HeadSpec
    training: TrainingSpec = TrainingSpec()
    split: SplitSpec = SplitSpec()
    views: Views = ("plain",)
    num_temporal_crops: TemporalCrops = 1

    @model_validator(mode="after")
    def _fits_memory(self) -> Self:
        sampling = self.sampling
        num_frames = (
            sampling.num_frames if isinstance(sampling, UniformSampling) else sampling.max_frames
        )
        check_clip_size(num_frames or LARGEST_MAX_FRAMES, self.framing.size)
        return self

    @property
    def extracted_views(self) -> tuple[View, ...]:
        """Each view that training or the finished model asks for, once."""
        return tuple(dict.fromkeys((*self.training.views, *self.views)))

    @property
    def fixed_sampling(self) -> Sampling:
        """The sampling of a recipe that was fitted to clips.

        Raises:
            ValueError: it is still ``auto``.
        """
        if isinstance(self.sampling, AutoSampling):
            raise ValueError("sampling: auto has to be fitted to clips first")
        return self.sampling
