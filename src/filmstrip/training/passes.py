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


def mean_features(classifier: VideoClassifier, clips: StoredClips) -> Tensor:
    """Return the mean of the features of each clip's frames (N, D), in the model's first view."""
    first = clips.each_view()[:1]
    is_mirrored = classifier.spec.views[0] == "flip"
    vectors = []
    with torch.inference_mode():
        for sequence, _ in (view[index] for view in first for index in range(len(clips))):
            if sequence.ndim == 4:  # frames, which are stored plain
                frames = sequence.flip(-1) if is_mirrored else sequence
                sequence = classifier.backbone.eval()(classifier.backbone.normalise(frames))
            vectors.append(sequence.float().mean(dim=0))
    width = classifier.backbone.num_features
    return torch.stack(vectors) if vectors else torch.empty(0, width)


def all_features(classifier: VideoClassifier, clips: StoredClips) -> Iterator[Tensor]:
    """The backbone's features (T, D) of each clip and view, for a scaler to be fitted on."""
    views = clips.each_view()
    for sequence, _ in (view[index] for view in views for index in range(len(clips))):
        if sequence.ndim == 2:
            yield sequence
        else:
            with torch.inference_mode():
                yield classifier.backbone.eval()(classifier.backbone.normalise(sequence))
