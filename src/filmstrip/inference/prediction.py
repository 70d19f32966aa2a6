"""The answer to one clip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from filmstrip.evaluation.calibration import is_answered
from filmstrip.model.classifier import probabilities
from filmstrip.model.specs import ClassifierSpec


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one clip.

    Attributes:
        label: the most probable class.
        confidence: its probability.
        probs: the probability of each class, after the model's temperature, most probable first.
        path: the file, or None for an array of frames.
        abstains: whether the model would rather not answer: ``confidence`` is below its threshold.
    """

    label: str
    confidence: float
    probs: dict[str, float]
    path: Path | None = None
    abstains: bool = False

    @classmethod
    def of_logits(
        cls, logits: Tensor, spec: ClassifierSpec, path: Path | None = None
    ) -> Prediction:
        """What the logits (K,) of a classifier with ``spec`` say."""
        probs = probabilities(logits, spec.temperature).tolist()
        ranked = sorted(zip(spec.class_names, probs, strict=True), key=lambda pair: -pair[1])
        label, confidence = ranked[0]
        abstains = not is_answered(probs, spec.threshold)
        return cls(label, confidence, dict(ranked), path, abstains)

    def top(self, number: int) -> dict[str, float]:
        """The most probable classes with their probabilities."""
        return dict(list(self.probs.items())[:number])
