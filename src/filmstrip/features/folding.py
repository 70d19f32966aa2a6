"""Batch normalisation folded into the convolution before it: one pass over memory less.

In evaluation a batch normalisation is a factor and a shift of each channel, which the convolution's
own weights and bias can take over (Jacob et al., Quantization and Training of Neural Networks,
2018, section 3.2). Compilers and runtimes do so by themselves; torch's eager mode does not.
"""

from __future__ import annotations

import copy
from typing import cast

import torch
from timm.layers import BatchNormAct2d, Conv2dSame
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from filmstrip.model.backbone import last_maps

# A convolution of another class may do more with its weights than convolve.
_CONVOLUTIONS = (nn.Conv2d, Conv2dSame)

_LARGEST_DIFFERENCE = 1e-3
"""Of the maps, relative to their greatest value; folding moves float32 by about 1e-6."""


@torch.no_grad()
def folded(trunk: nn.Module, frame: Tensor) -> nn.Module:
    """A copy of ``trunk`` with its batch normalisations folded, or ``trunk`` where none can be.

    Which convolution comes before which normalisation is seen in a pass, so any network will do.

    Args:
        trunk: in evaluation, float32; it is left as it is.
        frame: (1, 3, H, W) float32, normalised, to show to it.
    """
    pairs = _pairs(trunk, frame)
    if not pairs:
        return trunk
    network = copy.deepcopy(trunk)
    for norm_name, convolution_name in pairs.items():
        _fold(network, norm_name, convolution_name)
    # What else reads the convolution's output, a pass over modules does not tell; the maps do.
    before, after = last_maps(trunk(frame)), last_maps(network(frame))
    is_same = (after - before).abs().max() <= _LARGEST_DIFFERENCE * before.abs().max()
    return network if is_same else trunk


def _pairs(trunk: nn.Module, frame: Tensor) -> dict[str, str]:
    """The name of each batch normalisation that can be folded, with its convolution's."""
    names = {module: name for name, module in trunk.named_modules()}
    made: list[tuple[Tensor, nn.Module]] = []
    read: list[tuple[nn.Module, Tensor]] = []
    hooks = []
    for module in names:
        if type(module) in _CONVOLUTIONS:
            hooks.append(module.register_forward_hook(lambda m, _i, out: made.append((out, m))))
        elif isinstance(module, nn.BatchNorm2d) and module.track_running_stats:
            hooks.append(module.register_forward_pre_hook(lambda m, i: read.append((m, i[0]))))
    try:
        trunk(frame)
    finally:
        for hook in hooks:
            hook.remove()
    makers = {id(output): convolution for output, convolution in made}
    used = [module for _, module in made] + [norm for norm, _ in read]
    return {
        names[norm]: names[makers[id(seen)]]
        for norm, seen in read
        if id(seen) in makers and used.count(norm) == used.count(makers[id(seen)]) == 1
    }


def _fold(network: nn.Module, norm_name: str, convolution_name: str) -> None:
    norm = cast(nn.BatchNorm2d, network.get_submodule(norm_name))
    convolution = cast(nn.Conv2d, network.get_submodule(convolution_name))
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        cast(Tensor, norm.running_mean),
        cast(Tensor, norm.running_var),
        norm.eps,
        norm.weight,
        norm.bias,
    )
    network.set_submodule(
        norm_name, norm.act if isinstance(norm, BatchNormAct2d) else nn.Identity()
    )
