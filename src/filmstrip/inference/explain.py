"""Which frames of a clip, and which places in them, an answer rests on.

The trunk's feature maps are the last stage at which a place in a picture is still a place. What is
explained is the margin of a class: its logit less the mean of all logits, since a softmax does not
see what is added to all of them. Captum computes one of two things:

``integrated-gradients`` (Sundararajan et al., 2017, https://arxiv.org/abs/1703.01365) follows the
margin from a clip of plain frames, in the clip's mean colour, to the clip itself. What all places
of all frames are given adds up to the difference of the two margins, so shares can be compared.

``grad-cam`` (Selvaraju et al., 2017, https://arxiv.org/abs/1610.02391) weights each map by its mean
gradient. It averages over places what a head that reads a grid of cells keeps apart, so it is the
coarser of the two; it is here since it is what many know.

A model that answers by several views, such as a clip and its mirror image, is explained by the
plain one: a place is the same place in one view only. Temporal crops and the members of an ensemble
read that view, and are part of what is explained.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from filmstrip.errors import FilmstripError, RecipeError, nearest
from filmstrip.inference.misfit import misfits
from filmstrip.inference.prediction import Prediction
from filmstrip.model.classifier import VideoClassifier
from filmstrip.video.decode import read_clip
from filmstrip.video.failures import machine_failures
from filmstrip.video.transforms import View

Method = Literal["integrated-gradients", "grad-cam"]

_NUM_STEPS = 32
_BATCH_SIZE = 16
# How many numbers of feature maps are worked on at once, of several steps together.
_MOST_NUMBERS = 1 << 24


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """What one answer rests on.

    Attributes:
        answer: the model's to the plain view of the whole clip; what ``filmstrip predict`` says,
            unless the model averages views.
        views: by which the model answers when it is not explained.
        label: the class that is explained.
        method: how.
        times_seconds: (T,) when each frame that the model looked at comes.
        contributions: (T, h, w) what each place of each frame adds to the margin; below 0 where it
            speaks against the class. Of ``grad-cam`` only the proportions mean something.
        margin: by how much the logit of the class exceeds the mean of all, for this clip.
        plain_margin: likewise for plain frames in the clip's mean colour.
    """

    answer: Prediction
    views: tuple[View, ...]
    label: str
    method: Method
    times_seconds: NDArray[np.float64]
    contributions: NDArray[np.float64]
    margin: float
    plain_margin: float

    @property
    def averages_views(self) -> bool:
        """Whether what the model says by itself is more than the answer that is explained."""
        return self.views != ("plain",)

    @property
    def frame_contributions(self) -> NDArray[np.float64]:
        """(T,) what each frame adds."""
        return np.asarray(self.contributions.sum(axis=(1, 2)))


def explain(
    classifier: VideoClassifier,
    path: Path,
    label: str | None = None,
    method: Method = "integrated-gradients",
) -> Explanation:
    """Explain the answer to one video.

    Args:
        classifier: as ``load_classifier`` gives it, on the CPU.
        path: the video.
        label: the class to explain; the most probable one if not given.
        method: how.

    Raises:
        VideoError: the file cannot be read.
        RecipeError: the model knows no such class.
        FilmstripError: captum is not installed.
    """
    check_installed()
    spec = classifier.spec
    if label is not None and label not in spec.class_names:
        raise RecipeError(
            f"--label {label}: not a class of this model",
            "one of its classes",
            nearest(label, spec.class_names),
        )
    with machine_failures(path):
        clip = read_clip(path, spec.sampling, spec.framing, keep_incomplete=True)
    frames = torch.from_numpy(clip.frames).permute(0, 3, 1, 2)  # (T, 3, S, S)
    plain_frame = frames.float().mean(dim=(0, 2, 3)).round().to(torch.uint8)
    model = _FromMaps(classifier)
    with torch.no_grad():
        maps = _maps(classifier, frames)[None]  # (1, T, C, h, w)
        plain = _maps(classifier, plain_frame[None, :, None, None].expand_as(frames[:1]))
        plain_maps = plain[None].expand_as(maps).contiguous()
        logits = model.logits(maps)[0]
        plain_logits = model.logits(plain_maps)[0]
    info = clip.info
    answer = replace(
        Prediction.of_logits(logits, spec, path),
        missing=info.missing,
        misfits=misfits(
            spec,
            duration_seconds=info.duration_seconds,
            frames_per_second=info.average_fps,
            width=info.width,
            height=info.height,
        ),
    )
    label = label or answer.label
    place = spec.class_names.index(label)
    attribute = _integrated_gradients if method == "integrated-gradients" else _grad_cam
    contributions = attribute(model, maps, plain_maps, place).double().numpy()
    margins = [float(each[place] - each.mean()) for each in (logits, plain_logits)]
    times = clip.times_seconds
    return Explanation(answer, spec.views, label, method, times, contributions, *margins)


def check_installed() -> None:
    """Raise a ``FilmstripError`` if captum is not installed."""
    try:
        import captum.attr  # noqa: F401
    except ImportError as error:
        raise FilmstripError(
            "explaining an answer: the package captum is not installed",
            "captum, PyTorch's own library for it",
            "install it with: pip install 'filmstrip[explain]'.",
        ) from error


class _FromMaps(nn.Module):
    """The classifier from the trunk's maps (B, T, C, h, w) on, to margins (B, K)."""

    def __init__(self, classifier: VideoClassifier) -> None:
        super().__init__()
        self.backbone = classifier.backbone
        self.sequence = classifier.sequence
        self.frame_maps = nn.Identity()  # the layer that Grad-CAM looks at
        self.eval()

    def forward(self, maps: Tensor) -> Tensor:
        logits = self.logits(maps)
        return logits - logits.mean(dim=1, keepdim=True)

    def logits(self, maps: Tensor) -> Tensor:
        pooled = self.backbone.pool(self.frame_maps(maps.flatten(0, 1)))  # (B · T, D)
        features = pooled.view(len(maps), -1, pooled.shape[1])  # (B, T, D)
        logits: Tensor = self.sequence(features, torch.full((len(maps),), maps.shape[1]))
        return logits


def _maps(classifier: VideoClassifier, frames: Tensor) -> Tensor:
    """Maps (T, C, h, w) of uint8 frames (T, 3, S, S)."""
    backbone = classifier.backbone
    return torch.cat(
        [backbone.maps(backbone.normalise(each)) for each in torch.split(frames, _BATCH_SIZE)]
    )


def _integrated_gradients(model: _FromMaps, maps: Tensor, plain: Tensor, place: int) -> Tensor:
    from captum.attr import IntegratedGradients

    attributions: Tensor = IntegratedGradients(model).attribute(
        maps,
        plain,
        target=place,
        n_steps=_NUM_STEPS,
        internal_batch_size=max(_MOST_NUMBERS // maps.numel(), 1),
    )
    return attributions[0].sum(dim=1)  # over channels: (T, h, w)


def _grad_cam(model: _FromMaps, maps: Tensor, _plain: Tensor, place: int) -> Tensor:
    from captum.attr import LayerGradCam

    attributions: Tensor = LayerGradCam(model, model.frame_maps).attribute(maps, target=place)
    return attributions[:, 0].detach()  # (T, 1, h, w) to (T, h, w)
