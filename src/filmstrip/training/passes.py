"""What a network makes of stored clips: one pass over all of them, with nothing learnt."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from filmstrip.model.classifier import VideoClassifier
from filmstrip.model.head import Network
from filmstrip.training.data import StoredClips, evaluation_batches


def all_logits(network: Network, clips: StoredClips) -> Tensor:
    """Logits (N, K) for clips of the store, in their order, averaged over the clips' views."""
    network.eval()
    logits = []
    with torch.inference_mode():
        for view in clips.each_view():
            batches = evaluation_batches(view, batch_size=16)
            logits.append(torch.cat([network(batch, lengths) for batch, lengths, _ in batches]))
    return torch.stack(logits).mean(dim=0)


def all_features(classifier: VideoClassifier, clips: StoredClips) -> Iterator[Tensor]:
    """The backbone's features (T, D) of each clip and view, for a scaler to be fitted on."""
    views = clips.each_view()
    for sequence, _ in (view[index] for view in views for index in range(len(clips))):
        if sequence.ndim == 2:
            yield sequence
        else:
            with torch.inference_mode():
                yield classifier.backbone.eval()(classifier.backbone.normalise(sequence))
