"""The engine: a backbone in evaluation, run over batches of frames on the hardware at hand."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from timm.models import FeatureInfo
from torch import Tensor, nn

from filmstrip.model.backbone import Backbone


def default_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Engine:
    """Runs a backbone over frames, many at once.

    Args:
        backbone: what sees the frames; it is put in evaluation and moved to ``device``.
        device: where it runs; the GPU where there is one.
        batch_size: frames a pass.
    """

    def __init__(
        self, backbone: Backbone, device: torch.device | None = None, batch_size: int = 32
    ) -> None:
        self.device = device or default_device()
        self.batch_size = batch_size
        self.backbone = backbone.to(self.device).eval()
        self.num_features = backbone.num_features

    @torch.inference_mode()
    def embed(self, frames: NDArray[np.uint8]) -> Tensor:
        """Features (N, D) float32, on the CPU, of ``frames`` (N, H, W, 3) uint8."""
        passes = []
        for start in range(0, len(frames), self.batch_size):
            batch = torch.from_numpy(frames[start : start + self.batch_size]).to(self.device)
            # (N, H, W, 3) seen as (N, 3, H, W) is in channels-last order already
            normalised = self.backbone.normalise(batch.permute(0, 3, 1, 2))
            passes.append(self.backbone(normalised).float().cpu())
        return torch.cat(passes) if passes else torch.empty(0, self.num_features)

    def fingerprint(self) -> str:
        """A hash of all that decides the features: the network's structure, weights and scaling."""
        digest = hashlib.blake2b(digest_size=16)
        backbone = self.backbone
        structure = (str(backbone.trunk), _stages(backbone.trunk), backbone.grid)
        digest.update(repr((structure, backbone.mean, backbone.std)).encode())
        for name, tensor in sorted(backbone.trunk.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.cpu().contiguous().numpy().data)
        return digest.hexdigest()


def _stages(trunk: nn.Module) -> list[tuple[int, ...]]:
    """The stages that are read: timm keeps every layer of some networks, whichever stage it is."""
    infos = [getattr(module, "feature_info", None) for module in trunk.modules()]
    return [tuple(info.out_indices) for info in infos if isinstance(info, FeatureInfo)]
