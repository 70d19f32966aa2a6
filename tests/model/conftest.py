"""Where the shared ImageNet weights lie, and how networks get a state worth comparing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

SHARED_WEIGHTS = Path(__file__).parents[3] / "shared" / "weights"


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared_weights() -> Callable[[str], Path]:
    """``shared_weights(name)``: a file of ImageNet weights; the test is skipped without it."""

    def find(name: str) -> Path:
        path = SHARED_WEIGHTS / name
        if not path.is_file():
            pytest.skip(f"needs the weights {path}")
        return path

    return find


@pytest.fixture(scope="session")
def randomise_norms() -> Callable[[nn.Module], nn.Module]:
    """Give each BatchNorm statistics and scales of its own, as training would."""

    def randomise(network: nn.Module) -> nn.Module:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.running_mean, std=0.1)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.1)
        return network

    return randomise
