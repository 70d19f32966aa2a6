"""What decides a backbone's features, as a hash: part of the key of all that is kept of them."""

from __future__ import annotations

import hashlib

from timm.models import FeatureInfo
from torch import nn

from filmstrip.model.backbone import Backbone


def fingerprint(backbone: Backbone) -> str:
    """A hash of the network's structure, weights and scaling."""
    digest = hashlib.blake2b(digest_size=16)
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
