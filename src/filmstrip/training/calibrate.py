"""What the validation clips tell of a classifier's probabilities: temperature and threshold."""

from __future__ import annotations

from torch import Tensor

from filmstrip.dataset.index import VideoIndex
from filmstrip.evaluation.calibration import abstention_threshold, fit_temperature
from filmstrip.model.classifier import probabilities
from filmstrip.model.specs import ClassifierSpec


def calibrated(spec: ClassifierSpec, logits: Tensor, index: VideoIndex) -> ClassifierSpec:
    """``spec`` with the temperature and the threshold that the validation part gives.

    Args:
        spec: of the trained classifier.
        logits: (N, K), its answers to the clips of ``index``.
        index: the clips, each with its split.
    """
    val = [place for place, row in enumerate(index.rows) if row.split == "val"]
    labels = index.labels[val]
    temperature = fit_temperature(logits[val].numpy(), labels)
    probs = probabilities(logits[val], temperature).numpy()
    threshold = abstention_threshold(probs, labels)
    return spec.model_copy(update={"temperature": temperature, "threshold": threshold})
