"""The classifier: backbone, scaler and head, with all that is needed to answer from a video.

A model folder holds ``model.safetensors`` (every weight, the backbone's too), ``config.json``
(a ``ClassifierSpec``) and ``README.md`` (the model card). It answers on another machine with
nothing else, and nothing in it is unpickled.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor

from filmstrip.errors import RunError, WeightsError
from filmstrip.model.backbone import Backbone, build_backbone
from filmstrip.model.familiarity import Familiarity
from filmstrip.model.head import Head, Network, build_head
from filmstrip.model.packing import embed_real, temporal_crops
from filmstrip.model.scaler import Scaler
from filmstrip.model.specs import ClassifierSpec
from filmstrip.model.stored import check_header, check_values, read_config
from filmstrip.storage import replacing

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
CARD_FILE = "README.md"


class SequenceClassifier(Network):
    """A scaler and a head: the backbone's features to one logit a class.

    Args:
        spec: what it is made of.
        num_features: width D of the features that come in.
    """

    def __init__(self, spec: ClassifierSpec, num_features: int) -> None:
        super().__init__()
        self.num_temporal_crops = spec.num_temporal_crops
        self.scaler = Scaler(spec.scaler, num_features)
        self.head: Head = build_head(spec.head, self.scaler.num_features, len(spec.class_names))

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, K) of ``features`` (B, T, D) with ``lengths`` (B,), over temporal crops."""
        scaled = self.scaler(features)
        if self.num_temporal_crops == 1:
            logits: Tensor = self.head(scaled, lengths)
            return logits
        runs, kept = temporal_crops(scaled, lengths, self.num_temporal_crops)
        of_runs: Tensor = self.head(runs, kept)
        # (B · crops, K) to (B, crops, K)
        return of_runs.reshape(-1, self.num_temporal_crops, of_runs.shape[1]).mean(dim=1)

    def member_logits(self, sequences: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, M, K) of features (B, T, D)."""
        return self.head.member_logits(self.scaler(sequences), lengths)

    def answer(self, views: Tensor) -> Tensor:
        """Logits (K,) of one clip whose ``views`` have features (V, T, D): the views' average."""
        num_views, num_frames, _ = views.shape
        logits: Tensor = self(views, torch.full((num_views,), num_frames))
        return logits.mean(dim=0)


class VideoClassifier(Network):
    """Frames of a clip to one logit a class.

    Args:
        spec: what it is made of.
        backbone: a network that is at hand already; built from ``spec`` if not given.
    """

    def __init__(self, spec: ClassifierSpec, backbone: Backbone | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.backbone = backbone or build_backbone(spec.backbone, spec.framing.size)
        self.sequence = SequenceClassifier(spec, self.backbone.num_features)
        self.familiarity: Familiarity | None = None
        if spec.familiarity is not None:
            self.familiarity = Familiarity(spec.familiarity, self.backbone.num_features)

    def forward(self, clips: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, K) of uint8 ``clips`` (B, T, 3, H, W) with ``lengths`` (B,).

        The logits of the views that the model answers by are averaged.
        """
        views = self.spec.views
        shown = torch.cat([clips.flip(-1) if view == "flip" else clips for view in views])
        num_frames = lengths.repeat(len(views))
        logits: Tensor = self.sequence(self._features(shown, num_frames), num_frames)
        # (V · B, K) to (V, B, K)
        return logits.reshape(len(views), -1, logits.shape[1]).mean(dim=0)

    def member_logits(self, sequences: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, M, K) of uint8 clips (B, T, 3, H, W), seen as they are."""
        return self.sequence.member_logits(self._features(sequences, lengths), lengths)

    def _features(self, clips: Tensor, lengths: Tensor) -> Tensor:
        """Only real frames pass through the backbone; padding costs nothing and moves nothing."""
        return embed_real(
            lambda frames: self.backbone(self.backbone.normalise(frames)), clips, lengths
        )

    def save(self, folder: Path) -> None:
        """Write the weights and the configuration into the model folder."""
        tensors = {name: value.cpu().contiguous() for name, value in self.state_dict().items()}
        for name, content in (
            (WEIGHTS_FILE, to_bytes(tensors)),
            (CONFIG_FILE, self.spec.model_dump_json(indent=2).encode() + b"\n"),
        ):
            with replacing(folder / name) as temporary:
                temporary.write_bytes(content)


def probabilities(logits: Tensor, temperature: float) -> Tensor:
    """Return probabilities (…, K), float64, of ``logits`` (…, K): softmax(logits / temperature).

    Every prediction passes here, so this is where logits are checked.

    Raises:
        WeightsError: a logit is NaN or infinite.
    """
    # An exported graph cannot raise; the weights in it were checked when they were loaded.
    if not torch.compiler.is_exporting() and not logits.isfinite().all():
        raise WeightsError(
            "the model: its output for this input is not a number (NaN or infinity)",
            "finite logits",
            "copy the model folder again; if it was trained so, train it again with a lower "
            "training.learning_rate.",
        )
    return (logits.double() / temperature).softmax(dim=-1)


def load_classifier(folder: Path) -> VideoClassifier:
    """The classifier of a model folder, or of the run folder around it, ready to answer.

    Raises:
        RunError: the folder holds no model, or its ``config.json`` is not one.
        WeightsError: ``model.safetensors`` is damaged or belongs to another ``config.json``.
    """
    if (folder / "model" / CONFIG_FILE).is_file():
        folder = folder / "model"
    config = folder / CONFIG_FILE
    if not config.is_file() or not (folder / WEIGHTS_FILE).is_file():
        raise RunError(
            f"{folder}: holds no trained model",
            f"a run folder, or a model folder with {CONFIG_FILE} and {WEIGHTS_FILE}",
            "give the --out folder of a finished 'filmstrip train', or finish it with --resume.",
        )
    spec, weights = read_config(config), folder / WEIGHTS_FILE
    with torch.device("meta"):  # allocates nothing, however large the configured network is
        check_header(weights, VideoClassifier(spec))
    tensors = load_file(weights)
    check_values(tensors, weights)
    classifier = VideoClassifier(spec)
    classifier.load_state_dict(tensors)
    return classifier.eval()
