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
        path: the file; the address or ``-`` as text where it was read from there; None for an
            array of frames.
        abstains: whether the model would rather not answer: ``confidence`` is below its threshold.
        unfamiliar: whether the clip is unlike everything in the training set, so that none of the
            classes may apply; None where the model has no such check. It never changes ``label``.
        missing: what shows that the video is not complete, in a few words, so that the answer
            rests on a part of it; None where nothing does.
        misfits: a sentence for each way in which the video differs from the training clips, for
            example in length.
    """

    label: str
    confidence: float
    probs: dict[str, float]
    path: Path | str | None = None
    abstains: bool = False
    unfamiliar: bool | None = None
    missing: str | None = None
    misfits: tuple[str, ...] = ()

    @classmethod
    def of_logits(
        cls,
        logits: Tensor,
        spec: ClassifierSpec,
        path: Path | str | None = None,
        unfamiliar: bool | None = None,
    ) -> Prediction:
        """What the logits (K,) of a classifier with ``spec`` say."""
        probs = probabilities(logits, spec.temperature).tolist()
        ranked = sorted(zip(spec.class_names, probs, strict=True), key=lambda pair: -pair[1])
        label, confidence = ranked[0]
        abstains = not is_answered(probs, spec.threshold)
        return cls(label, confidence, dict(ranked), path, abstains, unfamiliar)

    @property
    def complete(self) -> bool:
        """Whether the answer rests on all of the video, as far as the file shows."""
        return self.missing is None

    def top(self, number: int) -> dict[str, float]:
        """The most probable classes with their probabilities."""
        return dict(list(self.probs.items())[:number])
