from __future__ import annotations

import pytest
import torch
from torch import Tensor

from filmstrip.errors import WeightsError
from filmstrip.model.state_names import flatten, match

NEEDED = {
    "conv1.weight": torch.zeros(4, 3),
    "bn1.running_var": torch.ones(4),
    "bn1.num_batches_tracked": torch.tensor(0),
}


def state(prefix: str = "", seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        f"{prefix}conv1.weight": torch.rand(4, 3, generator=generator),
        f"{prefix}bn1.running_var": torch.rand(4, generator=generator),
        f"{prefix}fc.weight": torch.rand(10, 4, generator=generator),
    }


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "module.",
        "backbone.",
        "model.",
        "_orig_mod.",
        "module._orig_mod.model.",
        "model.backbone.0.body.",
    ],
)
@pytest.mark.parametrize("wrapper", ["", "state_dict", "model_state_dict", "model", "net", "mine"])
def test_match_finds_tensors_whatever_is_before_their_names(prefix: str, wrapper: str) -> None:
    stored = state(prefix)
    content = {wrapper: stored, "epoch": 3, "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}}}
    found = match(flatten(content if wrapper else stored), NEEDED, "file")
    assert torch.equal(found.tensors["conv1.weight"], stored[f"{prefix}conv1.weight"])
    assert found.tensors.keys() == {"conv1.weight", "bn1.running_var"}


def test_flatten_drops_wrapper_modules_inside_names() -> None:
    stored = {"layer1._orig_mod.0._fsdp_wrapped_module.conv.weight": torch.ones(1)}
    assert list(flatten(stored)) == ["layer1.0.conv.weight"]


def test_match_takes_the_network_before_its_average() -> None:
    found = match(
        flatten({"model_ema": state(seed=1), "model": state(seed=2)}), NEEDED, "checkpoint.pth"
    )
    assert found.prefix == "model."
    assert torch.equal(found.tensors["conv1.weight"], state(seed=2)["conv1.weight"])


def test_match_refuses_to_choose_between_two_networks() -> None:
    stored = flatten({"student": state(seed=1), "teacher": state(seed=2)})
    with pytest.raises(WeightsError) as caught:
        match(stored, NEEDED, "dino.pth")
    assert "under 'student.' and 'teacher.'" in caught.value.given


def test_match_shows_names_of_both_sides_where_nothing_fits() -> None:
    with pytest.raises(WeightsError) as caught:
        match({"blocks.0.qkv": torch.zeros(2, 2)}, NEEDED, "vit.pth")
    assert "The file has 'blocks.0.qkv' (2, 2)" in caught.value.given
    assert "the backbone needs 'conv1.weight' (4, 3)" in caught.value.given


def test_match_refuses_integers_as_weights() -> None:
    stored = {**state(), "conv1.weight": torch.ones(4, 3, dtype=torch.int8)}
    with pytest.raises(WeightsError) as caught:
        match(stored, NEEDED, "int8.pth")
    assert "conv1.weight of type torch.int8 for torch.float32" in caught.value.given


def test_flatten_ends_on_deep_and_cyclic_dictionaries() -> None:
    cyclic: dict[object, object] = {"weight": torch.ones(1)}
    cyclic["self"] = cyclic
    assert len(flatten(cyclic)) < 20
