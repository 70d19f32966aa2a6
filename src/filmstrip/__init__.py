"""Filmstrip: from a folder of labelled videos to a trustworthy classifier.

import filmstrip
answer = filmstrip.load("RUN").predict("clip.mp4")
print(answer.label, answer.confidence)
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from filmstrip.inference.predict import Predictor, load
    from filmstrip.inference.prediction import Prediction

__all__ = ["Prediction", "Predictor", "__version__", "load"]

__version__ = version("filmstrip")


def __getattr__(name: str) -> Any:
    """Import what needs torch only when it is asked for: ``filmstrip --help`` does not."""
    if name in ("Prediction", "Predictor", "load"):
        from filmstrip.inference import predict

        return getattr(predict, name)
    raise AttributeError(f"module 'filmstrip' has no attribute {name!r}")
