"""Recognise inputs unlike anything in the training set, by a distance between features.

A classifier answers every input with one of its classes, often confidently. Its probabilities say
nothing about inputs of another kind; the backbone's features do. A clip is one vector, the mean of
its frames' features. Its distance to the training set is the mean cosine distance to the nearest
training clips. ``benchmarks/familiarity.py`` compares this with other distances.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from filmstrip.model.specs import FamiliaritySpec


class Familiarity(nn.Module):
    """Training clips to compare with.

    Args:
        spec: how many there are, and how distant a clip may be.
        num_features: width D of the backbone's features.
    """

    references: Tensor

    def __init__(self, spec: FamiliaritySpec, num_features: int) -> None:
        super().__init__()
        self.spec = spec
        shape = (spec.num_references, num_features)
        self.register_buffer("references", torch.zeros(shape, dtype=torch.float16))

    def is_unfamiliar(self, clip_features: Tensor) -> bool:
        """Return whether a clip is farther from the training set than nearly all held-out clips.

        Args:
            clip_features: mean features (D,) of the frames of a clip, in the model's first view.
        """
        distances = cosine_distances(clip_features[None], self.references)
        return float(nearest_mean(distances, self.spec.num_neighbours)) > self.spec.threshold


def cosine_distances(clips: Tensor, references: Tensor) -> Tensor:
    """Return the cosine distances (N, R) in [0, 2] of clips (N, D) and references (R, D).

    A clip without any feature above zero is at distance 1 from all others.
    """
    clips = F.normalize(clips.to(references.device).float(), dim=1)
    return 1 - clips @ F.normalize(references.float(), dim=1).T


def nearest_mean(distances: Tensor, num_neighbours: int) -> Tensor:
    """Return the mean (N,) of the smallest ``num_neighbours`` of each row of distances (N, R)."""
    number = min(num_neighbours, distances.shape[1])
    return distances.topk(number, dim=1, largest=False).values.mean(dim=1)
