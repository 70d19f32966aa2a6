"""What every head promises: logits of any batch of features, which nothing but the clip decides."""

from __future__ import annotations

import ast
from itertools import product
from pathlib import Path

import pytest
import torch

from filmstrip.errors import RecipeError
from filmstrip.model import head as head_module
from filmstrip.model.head import Head, build_head
from filmstrip.model.specs import HeadSpec, MeanLinearHeadSpec, RecurrentHeadSpec
from filmstrip.model.streaming import State, check_can_step, step

WIDTH, NUM_CLASSES = 6, 4

HEADS: dict[str, HeadSpec] = {
    f"{cell}-{'x'.join(map(str, hidden))}-{'two' if bidirectional else 'one'}-way-{pooling}"
    f"-lags-{'-'.join(map(str, lags)) or 'none'}": RecurrentHeadSpec(
        cell=cell, hidden=hidden, bidirectional=bidirectional, pooling=pooling, differences=lags
    )
    for cell, hidden, bidirectional, pooling, lags in product(
        ("lstm", "gru"),
        ((5,), (5, 3)),
        (False, True),
        ("last", "mean", "max", "mean-max", "attention"),
        ((), (1, 20)),
    )
}
HEADS |= {
    "projection": RecurrentHeadSpec(hidden=(5,), projection=3),
    "dense": RecurrentHeadSpec(hidden=(5,), dense=(7, 3)),
    "dropouts": RecurrentHeadSpec(hidden=(5, 5), input_dropout=0.5, layer_dropout=0.5, dropout=0.5),
    "changes": RecurrentHeadSpec(
        hidden=(5,), differences=(1, 20), magnitudes=True, departures=True
    ),
    "ensemble": RecurrentHeadSpec(hidden=(5,), bidirectional=True, members=3),
    "ensemble-of-all": RecurrentHeadSpec(
        hidden=(5,),
        pooling="mean-max",
        differences=(1, 20),
        magnitudes=True,
        departures=True,
        input_norm=True,
        members=2,
    ),
    "mean-linear": MeanLinearHeadSpec(),
}


@pytest.fixture(params=HEADS)
def head(request: pytest.FixtureRequest) -> Head:
    torch.manual_seed(0)
    return build_head(HEADS[request.param], WIDTH, NUM_CLASSES).eval()


@torch.no_grad()
def test_it_answers_any_batch_and_each_clip_as_if_alone(head: Head) -> None:
    torch.manual_seed(1)
    lengths = torch.tensor([3, 8, 1, 5])
    features = torch.randn(4, 10, WIDTH)
    logits = head(features, lengths)
    assert logits.shape == (4, NUM_CLASSES)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
    alone = [head(clip[None, :n], n[None])[0] for clip, n in zip(features, lengths, strict=True)]
    torch.testing.assert_close(logits, torch.stack(alone), rtol=0, atol=1e-5)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(head(features[order], lengths[order]), logits[order])
    features[:, 8:] = 1e30
    assert torch.equal(head(features, lengths), logits)


@torch.no_grad()
def test_it_sees_every_frame(head: Head) -> None:
    torch.manual_seed(1)
    clip = torch.randn(1, 6, WIDTH)
    lengths = torch.tensor([6])
    for frame in range(6):
        # A maximum over time may pass one change over, but not ten.
        changed = clip.repeat(10, 1, 1)
        changed[:, frame] = 5 * torch.randn(10, WIDTH)
        moved = head(changed, lengths.expand(10)) - head(clip, lengths)
        assert moved.abs().max() > 1e-4


@torch.no_grad()
def test_its_state_holds_all_that_decides_its_answers(head: Head) -> None:
    torch.manual_seed(2)
    spec = getattr(head, "spec", MeanLinearHeadSpec())
    twin = build_head(spec, WIDTH, NUM_CLASSES).eval()
    twin.load_state_dict(head.state_dict())
    features, lengths = torch.randn(2, 5, WIDTH), torch.tensor([5, 2])
    assert torch.equal(twin(features, lengths), head(features, lengths))


@torch.no_grad()
def test_stepping_gives_the_answer_to_every_prefix_unless_it_needs_the_future(head: Head) -> None:
    torch.manual_seed(3)
    spec = getattr(head, "spec", MeanLinearHeadSpec())
    if isinstance(spec, RecurrentHeadSpec) and spec.bidirectional:
        with pytest.raises(RecipeError, match="bidirectional"):
            check_can_step(spec)
        return
    check_can_step(spec)
    clips = 2 * torch.randn(3, 50, WIDTH)
    state: State | None = None
    for number in range(50):
        logits, state = step(head, clips[:, number], state)
        whole = head(clips[:, : number + 1], torch.full((3,), number + 1))
        torch.testing.assert_close(logits, whole, rtol=0, atol=1e-5)


@torch.no_grad()
def test_while_it_is_exported_it_answers_the_same(
    head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(4)
    lengths = torch.tensor([3, 8, 1, 5])
    features = torch.randn(4, 10, WIDTH)
    logits = head(features, lengths)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    torch.testing.assert_close(head(features, lengths), logits, rtol=0, atol=1e-5)


def test_one_step_of_training_lowers_its_loss(head: Head) -> None:
    torch.manual_seed(1)
    features, lengths = torch.randn(4, 6, WIDTH), torch.tensor([6, 2, 4, 5])
    labels = torch.arange(4)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.01)
    before = torch.nn.functional.cross_entropy(head(features, lengths), labels)
    before.backward()
    optimizer.step()
    after = torch.nn.functional.cross_entropy(head(features, lengths), labels)
    assert after < before


def test_heads_know_nothing_of_backbones() -> None:
    tree = ast.parse(Path(head_module.__file__).read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in imported if name.startswith("filmstrip")} == {
        "filmstrip.model.packing",
        "filmstrip.model.specs",
    }
