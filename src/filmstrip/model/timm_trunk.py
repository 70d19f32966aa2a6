"""timm's networks as trunks: found by name, cut off at a stage, built for a size of frame.

What timm cannot do is told in the words of the settings that asked for it.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import timm
import torch
from torch import nn

from filmstrip.errors import RecipeError, nearest
from filmstrip.model.specs import TimmBackboneSpec

# timm has no errors of its own: a stage or a size that it cannot build ends in any of these.
_TIMM_ERRORS = (AssertionError, AttributeError, IndexError, RuntimeError, TypeError, ValueError)

# The getter, unlike timm's own choice for some networks, leaves out all that comes after the stage.
_CUT_OFF_AT_A_STAGE = {"features_only": True, "feature_cls": "getter"}


@cache
def pretrained_config(name: str) -> Mapping[str, Any]:
    """timm's mean, std, input size and source of weights; old names of renamed models work too.

    Raises:
        RecipeError: timm knows no such model, or no such weights of it.
    """
    if not timm.is_model(name):
        raise _unknown(name, _models())
    try:
        config = timm.get_pretrained_cfg(name)
        if config is None:  # an old name
            config = _create(name).pretrained_cfg
    except RuntimeError as error:
        raise _unknown(name, timm.list_pretrained(f"{name.partition('.')[0]}.*")) from error
    return dict(config) if isinstance(config, dict) else dict(config.to_dict())


def build_trunk(spec: TimmBackboneSpec, input_size: int) -> tuple[nn.Module, int]:
    """A trunk with fresh random weights, and the number of channels of its maps.

    Args:
        spec: which network, and up to which stage.
        input_size: side in pixels of the square frames that it will see.

    Raises:
        RecipeError: the name is unknown, the stage does not exist, or the network cannot see
            frames of this size.
    """
    made_for = pretrained_config(spec.name)["input_size"][1]
    try:
        trunk = create_network(
            spec.name, input_size, out_indices=(spec.stage,), **_CUT_OFF_AT_A_STAGE
        )
        if input_size != made_for:
            _show_one_frame(trunk, input_size)
    except _TIMM_ERRORS as error:
        raise _refusal(spec, input_size, error) from error
    return trunk, trunk.feature_info.channels()[-1]


def create_network(name: str, input_size: int, **options: Any) -> Any:
    """timm's own network for frames of ``input_size`` pixels; ``options`` and errors are timm's."""
    if pretrained_config(name)["fixed_input_size"]:
        options["img_size"] = input_size
    return _create(name, **options)


def _create(name: str, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # timm's notes on renamed models
        return timm.create_model(name, **options)


def _show_one_frame(trunk: nn.Module, input_size: int) -> None:
    """Some networks cannot see frames of a size that they were not made for; only use tells.

    On torch's meta device, which computes shapes alone: large frames cost no time and no memory.
    """
    shapes = copy.deepcopy(trunk).to("meta").eval()
    with torch.no_grad():
        shapes(torch.zeros(1, 3, input_size, input_size, device="meta"))


def _models() -> list[str]:
    """timm's models, those with pretrained weights first, the plainest names before all others."""
    pretrained = set(timm.list_models(pretrained=True))
    return sorted(timm.list_models(), key=lambda name: (name not in pretrained, len(name), name))


def _unknown(name: str, known: Iterable[str]) -> RecipeError:
    return RecipeError(
        f"backbone.name={name}: timm {timm.__version__} has no such model",
        "the name of a timm model, such as vgg16, resnet50 or tf_efficientnet_lite0",
        nearest(name, known),
    )


def _refusal(spec: TimmBackboneSpec, input_size: int, error: Exception) -> RecipeError:
    """What is wrong: the network gives no maps, has no such stage, or cannot see such frames."""
    reason = str(error) or type(error).__name__
    try:
        num_stages = len(_create(spec.name, **_CUT_OFF_AT_A_STAGE).feature_info.info)
    except _TIMM_ERRORS:
        return RecipeError(
            f"backbone.name={spec.name}: timm gives no feature maps of it ({reason})",
            "a network of which timm can give the maps of a stage",
            "choose another, such as resnet50, convnext_tiny or tf_efficientnet_lite0.",
        )
    if not -num_stages <= spec.stage < num_stages:
        return RecipeError(
            f"backbone.stage={spec.stage}: {spec.name} has {num_stages} stages",
            f"a stage from 0 to {num_stages - 1}, or -1 for the last",
            "change it with --set backbone.stage=N.",
        )
    made_for = pretrained_config(spec.name)["input_size"][1]
    return RecipeError(
        f"framing.size={input_size}: {spec.name} cannot see frames of this size ({reason})",
        f"the size that it was made for, {made_for} pixels, or another that it admits",
        f"use --set framing.size={made_for}.",
    )
