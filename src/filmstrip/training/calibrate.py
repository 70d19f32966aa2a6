"""What held-out clips tell of a classifier's probabilities: temperature and threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from filmstrip.evaluation.calibration import abstention_threshold
from filmstrip.evaluation.temperature import PRIOR_DEVIATION, fit_temperature
from filmstrip.model.classifier import probabilities
from filmstrip.model.specs import ClassifierSpec


def calibrated(spec: ClassifierSpec, logits: Tensor, labels: NDArray[np.int64]) -> ClassifierSpec:
    """``spec`` with the temperature and the threshold that held-out clips give.

    Args:
        spec: of the trained classifier.
        logits: (N, K) of clips that were not learnt from.
        labels: (N,) their true classes.
    """
    temperature = fit_temperature(logits.numpy(), labels, PRIOR_DEVIATION)
    probs = probabilities(logits, temperature).numpy()
    threshold = abstention_threshold(probs, labels)
    return spec.model_copy(
        update={
            "temperature": temperature,
            "threshold": threshold,
            "num_calibration_clips": len(labels),
        }
    )
