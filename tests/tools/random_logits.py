"""Logits of a model that does not exist."""

from __future__ import annotations

import numpy as np


def random_logits(
    seed: int, num_clips: int = 120, num_classes: int = 5, sharpness: float = 2.0
) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a model that is right now and then, too sure of itself if sharpness is great."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(num_classes, size=num_clips)
    logits = rng.normal(size=(num_clips, num_classes))
    logits[np.arange(num_clips), labels] += 1.5
    return sharpness * logits, labels
