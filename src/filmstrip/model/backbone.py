"""Backbones: frames to one vector each.

A backbone promises ``num_features``, ``mean``, ``std``, ``input_size`` and
``forward(frames (N, C, H, W)) -> (N, D)``, where D counts the channels of the chosen stage times
the cells of its pooling grid. The head asks nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from filmstrip.errors import RecipeError
from filmstrip.model.convnet import ConvNet
from filmstrip.model.resnet import ResNet50
from filmstrip.model.specs import BackboneSpec, ConvNetSpec, TimmBackboneSpec
from filmstrip.model.timm_trunk import build_trunk, pretrained_config

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)


class Normalise(nn.Module):
    """Pixels to what a trunk expects.

    Args:
        mean: of each colour channel in [0, 1], subtracted.
        std: of each colour channel, divided by.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """uint8 ``frames`` (N, 3, H, W) as float32, channels last."""
        pixels = frames.float().contiguous(memory_format=torch.channels_last)
        return (pixels / 255 - self.mean) / self.std


class GridPool(nn.Module):
    """Means of maps over the cells of a grid.

    Args:
        grid: cells along each side.
    """

    def __init__(self, grid: int) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, maps: Tensor) -> Tensor:
        """Features (N, C · grid²) of ``maps`` (N, C, h, w)."""
        if self.grid == 1:
            return maps.mean(dim=(2, 3))
        return F.adaptive_avg_pool2d(maps, self.grid).flatten(1)  # (N, C, g, g) to (N, C · g²)


class Backbone(nn.Module):
    """A trunk that makes feature maps, averaged over the cells of a grid.

    Args:
        trunk: ``frames`` (N, 3, H, W) to maps (N, num_channels, h, w), or to a list of such maps
            of which the last counts.
        num_channels: of those maps.
        grid: cells along each side of the pooling grid.
        mean: of each colour channel in [0, 1], for ``Normalise``.
        std: of each colour channel, likewise.
        input_size: side in pixels of the square frames that the trunk was made for.
        trainable: how many of the last units learn; 0 freezes the trunk, -1 trains it whole.
    """

    def __init__(
        self,
        trunk: nn.Module,
        num_channels: int,
        grid: int,
        mean: Sequence[float],
        std: Sequence[float],
        input_size: int,
        trainable: int,
    ) -> None:
        super().__init__()
        # Convolutions on a CPU with vector instructions are up to twice as fast so.
        self.trunk = trunk.to(memory_format=torch.channels_last)
        self.grid = grid
        self.num_features = num_channels * grid * grid
        self.mean, self.std = tuple(mean), tuple(std)
        self.input_size = input_size
        self.trainable = trainable
        self.normalise = Normalise(mean, std)
        self.pool = GridPool(grid)
        if trainable != -1:
            trunk.requires_grad_(False)
            for unit in self.trainable_units():
                unit.requires_grad_(True)
        self.train()

    @property
    def is_frozen(self) -> bool:
        """Whether nothing of it learns, so that its features can be cached."""
        return self.trainable == 0

    def forward(self, frames: Tensor) -> Tensor:
        """Features (N, D) of normalised ``frames`` (N, 3, H, W)."""
        features: Tensor = self.pool(self.maps(frames))
        return features

    def maps(self, frames: Tensor) -> Tensor:
        """The trunk's feature maps (N, C, h, w) of normalised ``frames`` (N, 3, H, W)."""
        return last_maps(self.trunk(frames))

    def units(self) -> list[nn.Module]:
        """The trunk's parts that carry parameters, in the order of the data."""
        return [unit for unit in _unfold(self.trunk) if any(True for _ in unit.parameters())]

    def trainable_units(self) -> list[nn.Module]:
        """The units that learn."""
        if self.trainable == -1:
            return [self.trunk]
        units = self.units()
        return units[max(0, len(units) - self.trainable) :]

    def train(self, mode: bool = True) -> Backbone:
        """Switch to training, but leave frozen units in evaluation: their BatchNorm stands."""
        super().train(mode and self.trainable == -1)
        for unit in self.trainable_units():
            unit.train(mode)
        self.training = mode
        return self


def last_maps(output: Tensor | Sequence[Tensor]) -> Tensor:
    """The maps that count of what a trunk gives: itself, or the last of a list."""
    return output if isinstance(output, Tensor) else output[-1]


def _unfold(module: nn.Module) -> list[nn.Module]:
    """Children in order, with wrappers and plain containers replaced by what they hold."""
    children = list(module.children())
    if not children:
        return [module]
    is_wrapper = len(children) == 1 and not isinstance(module, nn.Sequential)
    unfolded: list[nn.Module] = []
    for child in children:
        is_container = type(child) in (nn.Sequential, nn.ModuleList, nn.ModuleDict)
        unfolded.extend(_unfold(child) if is_container or is_wrapper else [child])
    return unfolded


def build_backbone(spec: BackboneSpec, input_size: int) -> Backbone:
    """The backbone that ``spec`` describes, with fresh random weights.

    Args:
        spec: which one.
        input_size: side in pixels of the square frames that it will see.

    Raises:
        RecipeError: the name is unknown, the stage does not exist, or the network cannot see
            frames of this size.
    """
    made_for = input_size
    if isinstance(spec, TimmBackboneSpec):
        trunk, num_channels = build_trunk(spec, input_size)
        config = pretrained_config(spec.name)
        mean, std = config["mean"], config["std"]
        if not config["fixed_input_size"]:
            made_for = config["input_size"][1]
    elif isinstance(spec, ConvNetSpec):
        smallest = 2 ** len(spec.channels)
        if input_size < smallest:
            raise RecipeError(
                f"framing.size={input_size} with backbone.channels={list(spec.channels)}",
                f"frames of at least {smallest} pixels: each of the {len(spec.channels)} blocks "
                "halves the picture",
                f"use --set framing.size={smallest} or more, or fewer blocks.",
            )
        trunk, num_channels = ConvNet(spec.channels), spec.channels[-1]
        mean, std = HALF, HALF
    else:
        trunk, num_channels = ResNet50(spec.stride_on), ResNet50.num_channels
        mean, std = IMAGENET_MEAN, IMAGENET_STD
    return Backbone(trunk, num_channels, spec.grid, mean, std, made_for, spec.trainable)
