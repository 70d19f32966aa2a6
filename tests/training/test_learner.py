from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from filmstrip.model.head import build_head
from filmstrip.training.learner import Learner


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)],
)
def test_the_optimizer_is_the_one_that_is_named(
    task: Any, tmp_path: Path, name: str, kind: type
) -> None:
    chosen = task.spec(optimizer=name, weight_decay=0.01)
    optimizer = task.learner(chosen, task.linear).configure_optimizers()
    assert type(optimizer) is kind
    [group] = optimizer.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.02, 0.01)
    if name == "sgd":
        assert (group["momentum"], group["nesterov"]) == (0.9, True)
    before = task.learner(chosen, task.linear).network
    after = task.fit(tmp_path, chosen, task.linear)
    assert not torch.equal(before.classify.weight, after.classify.weight)
    assert task.history(tmp_path)["train_loss"][-1] < task.history(tmp_path)["train_loss"][0]


def test_the_backbone_s_parameters_have_a_learning_rate_of_their_own_and_follow_the_schedule(
    task: Any,
) -> None:
    settings = task.spec(backbone_learning_rate=1e-5, schedule="decay", decay=0.5)
    network = build_head(task.gru, task.width, task.num_classes)
    own = list(network.layers.parameters())
    learner = Learner(network, settings, task.num_classes, backbone_parameters=own)
    configured = learner.configure_optimizers()
    rest, backbone = configured["optimizer"].param_groups
    assert [id(parameter) for parameter in backbone["params"]] == [id(each) for each in own]
    assert len(rest["params"]) + len(own) == len(list(network.parameters()))
    assert not {id(each) for each in rest["params"]} & {id(each) for each in own}
    assert (rest["lr"], backbone["lr"]) == (0.02, 1e-5)
    configured["optimizer"].step()
    configured["lr_scheduler"]["scheduler"].step()
    assert (rest["lr"], backbone["lr"]) == (0.01, 5e-6)


def test_the_loss_is_smoothed_and_weighed_cross_entropy_and_the_l2_penalty(task: Any) -> None:
    weights = torch.tensor([0.5, 1.0, 2.0])
    torch.manual_seed(0)
    network = build_head(task.gru, task.width, task.num_classes).eval()
    settings = task.spec(label_smoothing=0.2, l2=0.1)
    learner = Learner(network, settings, task.num_classes, weights, network.regularised_weights())
    learner.log = lambda *_args, **_options: None  # no trainer is there to take figures
    features, lengths = torch.rand(5, 4, task.width), torch.tensor([4, 3, 2, 4, 1])
    labels = torch.tensor([0, 1, 2, 1, 0])
    log_probs = network(features, lengths).log_softmax(dim=1)
    smoothed = F.one_hot(labels, task.num_classes) * 0.8 + 0.2 / task.num_classes
    cross_entropy = -(smoothed * weights * log_probs).sum() / weights[labels].sum()
    kernels = [module.weight for module in network.modules() if isinstance(module, torch.nn.Linear)]
    penalty = 0.1 * sum(kernel.square().sum() for kernel in kernels)
    assert len(kernels) == 2
    loss = learner.training_step((features, lengths, labels), 0)
    torch.testing.assert_close(loss, cross_entropy + penalty)


def test_each_member_of_an_ensemble_learns_from_its_own_mistakes(task: Any) -> None:
    spec = task.gru.model_copy(update={"members": 2, "input_dropout": 0.0, "dropout": 0.0})
    network = build_head(spec, task.width, task.num_classes)
    learner = Learner(network, task.spec(), task.num_classes)
    learner.log = lambda *_args, **_options: None  # no trainer is there to take figures
    features, lengths = torch.rand(5, 4, task.width), torch.tensor([4, 3, 2, 4, 1])
    labels = torch.tensor([0, 1, 2, 1, 0])
    learner.training_step((features, lengths, labels), 0).backward()
    for member in network.members:
        learnt = {name: p.grad.clone() for name, p in member.named_parameters()}
        member.zero_grad()
        F.cross_entropy(member(features, lengths), labels).backward()
        for name, parameter in member.named_parameters():
            torch.testing.assert_close(learnt[name], parameter.grad / 2)


def test_l2_shrinks_the_dense_kernels(task: Any, tmp_path: Path) -> None:
    norms = [
        float(
            task.fit(tmp_path / str(l2), task.spec(epochs=15, l2=l2), task.linear)
            .classify.weight.detach()
            .norm()
        )
        for l2 in (0, 0.1)
    ]
    assert norms[1] < 0.7 * norms[0]


def test_gradient_clipping_bounds_each_step(task: Any, tmp_path: Path) -> None:
    moved = []
    for clip in (0, 1e-3):
        chosen = task.spec(epochs=1, optimizer="sgd", learning_rate=1.0, gradient_clip=clip)
        start, end = (
            task.learner(chosen, task.linear).network,
            task.fit(tmp_path / str(clip), chosen, task.linear),
        )
        pairs = zip(start.parameters(), end.parameters(), strict=True)
        moved.append(math.sqrt(sum(float((b - a).detach().square().sum()) for a, b in pairs)))
    # Three steps; Nesterov momentum adds up to 1.9, 2.71 and 3.439 gradients at most.
    assert moved[1] < 1e-3 * (1.9 + 2.71 + 3.439) < moved[0]
