from __future__ import annotations

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from filmstrip.model.head import EnsembleHead, Head, RecurrentHead, build_head, with_changes
from filmstrip.model.specs import HeadSpec, MeanLinearHeadSpec, RecurrentHeadSpec

WIDTH, NUM_CLASSES = 5, 3
POOLINGS = ("last", "mean", "max", "mean-max", "attention")

recurrent_specs = st.builds(
    RecurrentHeadSpec,
    cell=st.sampled_from(["lstm", "gru"]),
    hidden=st.sampled_from([(4,), (6, 3)]),
    bidirectional=st.booleans(),
    pooling=st.sampled_from(POOLINGS),
    differences=st.sampled_from([(), (1,), (2, 30)]),
    magnitudes=st.booleans(),
    departures=st.booleans(),
    input_norm=st.booleans(),
    projection=st.sampled_from([0, 4]),
    dropout=st.just(0.5),
    dense=st.sampled_from([(), (6,)]),
)
ensemble_specs = st.builds(
    RecurrentHeadSpec,
    hidden=st.just((4,)),
    bidirectional=st.booleans(),
    departures=st.booleans(),
    members=st.integers(2, 3),
)
all_specs = st.one_of(recurrent_specs, ensemble_specs, st.just(MeanLinearHeadSpec()))


def make_head(spec: HeadSpec, seed: int = 0) -> Head:
    torch.manual_seed(seed)
    head = build_head(spec, WIDTH, NUM_CLASSES).eval()
    for name, parameter in head.named_parameters():
        if "bias" in name:
            nn.init.normal_(parameter, std=0.3)  # a zero bias would hide its misuse
    return head


def answer(head: Head, clip: Tensor) -> Tensor:
    """Logits (K,) of one clip (T, D) by itself, without any padding."""
    return head(clip[None], torch.tensor([len(clip)]))[0]


def run_by_hand(head: RecurrentHead, clip: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs (T, width) and final states (directions, hidden) of the last layer, unpadded."""
    lengths = torch.tensor([len(clip)])
    sequence = head.project(with_changes(clip[None], lengths, head.spec))
    sequence = head.normalise(sequence[0])[None]
    for layer in head.layers:
        sequence, state = layer(sequence)
    final = state[0] if isinstance(state, tuple) else state
    return sequence[0], final[:, 0]


@st.composite
def padded_batches(draw: st.DrawFn) -> tuple[list[Tensor], Tensor, Tensor]:
    """Clips (T, D) of several lengths, the same in one batch with padding of any size, lengths."""
    lengths = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    num_frames = max(lengths) + draw(st.integers(0, 3))
    torch.manual_seed(draw(st.integers(0, 1000)))
    padding = draw(st.sampled_from([0.0, 1.0, -1e4, 1e20, 3e38]))
    batch = torch.randn(len(lengths), num_frames, WIDTH).clamp(-1, 1) * padding
    clips = [torch.randn(length, WIDTH) for length in lengths]
    for row, clip in zip(batch, clips, strict=True):
        row[: len(clip)] = clip
    return clips, batch, torch.tensor(lengths)


@given(all_specs, padded_batches())
@settings(max_examples=150, deadline=None)
@torch.no_grad()
def test_neither_padding_nor_company_moves_a_logit(
    spec: HeadSpec, batch: tuple[list[Tensor], Tensor, Tensor]
) -> None:
    clips, features, lengths = batch
    head = make_head(spec)
    logits = head(features, lengths)
    assert logits.shape == (len(clips), NUM_CLASSES)
    expected = torch.stack([answer(head, clip) for clip in clips])
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5)


@given(
    num_frames=st.integers(1, 8),
    lags=st.lists(st.integers(1, 12), max_size=3),
    magnitudes=st.booleans(),
    departures=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=100, deadline=None)
def test_changes_are_since_a_lag_earlier_or_the_first_frame_and_from_the_mean_so_far(
    num_frames: int, lags: list[int], magnitudes: bool, departures: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    features = torch.randn(2, num_frames, WIDTH)
    spec = RecurrentHeadSpec(differences=lags, magnitudes=magnitudes, departures=departures)
    made = with_changes(features, torch.tensor([num_frames] * 2), spec)
    for t in range(num_frames):
        now = features[:, t]
        changes = [now - features[:, max(t - lag, 0)] for lag in lags]
        parts = [now, *changes]
        parts += [change.abs() for change in changes] if magnitudes else []
        parts += [now - features[:, : t + 1].mean(dim=1)] if departures else []
        torch.testing.assert_close(made[:, t], torch.cat(parts, dim=1))


def test_input_norm_makes_each_dimension_alike_over_real_frames_alone() -> None:
    head = build_head(RecurrentHeadSpec(hidden=(4,), input_norm=True), WIDTH, NUM_CLASSES)
    features, lengths = torch.randn(3, 5, WIDTH) * 7 + 100, torch.tensor([5, 1, 3])
    real = torch.cat([clip[:n] for clip, n in zip(features, lengths, strict=True)])
    seen = []
    head.normalise.register_forward_hook(lambda _module, _given, made: seen.append(made))
    features[1, 1:] = 1e9
    head(features, lengths)
    deviation, mean = torch.std_mean(seen[0], dim=0, correction=0)
    torch.testing.assert_close(mean, torch.zeros(WIDTH), rtol=0, atol=1e-4)
    torch.testing.assert_close(deviation, torch.ones(WIDTH), rtol=0, atol=1e-4)
    torch.testing.assert_close(head.normalise.running_mean, 0.1 * real.mean(dim=0))


def test_a_lone_frame_can_be_learnt_from_with_input_norm() -> None:
    head = make_head(RecurrentHeadSpec(hidden=(4,), input_norm=True)).train()
    frame, one = torch.randn(1, 1, WIDTH), torch.tensor([1])
    logits = head(frame, one)
    assert logits.isfinite().all()
    torch.testing.assert_close(head.eval()(frame, one), logits)


def test_departures_in_a_head_that_reads_both_ways_are_from_the_mean_of_the_whole_clip() -> None:
    spec = RecurrentHeadSpec(departures=True, bidirectional=True)
    features, lengths = torch.randn(2, 5, WIDTH), torch.tensor([5, 3])
    made = with_changes(features, lengths, spec)
    for clip, changed, length in zip(features, made, lengths, strict=True):
        expected = clip[:length] - clip[:length].mean(dim=0)
        torch.testing.assert_close(changed[:length, WIDTH:], expected)


@torch.no_grad()
def test_an_ensemble_answers_with_the_mean_of_members_that_each_see_it_their_own_way() -> None:
    head = make_head(RecurrentHeadSpec(hidden=(5,), members=3))
    assert isinstance(head, EnsembleHead)
    features, lengths = torch.randn(4, 6, WIDTH), torch.tensor([6, 2, 1, 5])
    alone = torch.stack([member(features, lengths) for member in head.members], dim=1)
    assert alone.shape == (4, 3, NUM_CLASSES)
    assert all(
        not torch.allclose(alone[:, one], alone[:, other]) for one, other in ((0, 1), (1, 2))
    )
    assert torch.equal(head.member_logits(features, lengths), alone)
    torch.testing.assert_close(head(features, lengths), alone.mean(dim=1))


@torch.no_grad()
def test_a_head_without_members_is_its_only_member() -> None:
    head = make_head(RecurrentHeadSpec(hidden=(5,)))
    features, lengths = torch.randn(2, 3, WIDTH), torch.tensor([3, 2])
    assert torch.equal(head.member_logits(features, lengths)[:, 0], head(features, lengths))


@given(recurrent_specs.filter(lambda spec: not spec.bidirectional), st.integers(1, 5))
@settings(max_examples=50, deadline=None)
@torch.no_grad()
def test_a_head_of_one_direction_never_looks_ahead(spec: RecurrentHeadSpec, num_seen: int) -> None:
    head = make_head(spec)
    clip = torch.randn(6, WIDTH)
    changed = clip.clone()
    changed[num_seen:] += 10 * torch.randn(6 - num_seen, WIDTH)
    outputs, _ = run_by_hand(head, clip)
    outputs_of_changed, _ = run_by_hand(head, changed)
    torch.testing.assert_close(outputs[:num_seen], outputs_of_changed[:num_seen])
    assert not torch.allclose(outputs[num_seen:], outputs_of_changed[num_seen:])
    seen = torch.tensor([num_seen])
    torch.testing.assert_close(head(clip[None], seen), head(changed[None], seen))


@pytest.mark.parametrize(("cell", "bidirectional"), [*product(["lstm", "gru"], [False, True])])
@torch.no_grad()
def test_last_pooling_is_the_final_state_of_each_direction(cell: str, bidirectional: bool) -> None:
    head = make_head(RecurrentHeadSpec(cell=cell, hidden=(4, 3), bidirectional=bidirectional))
    clips = [torch.randn(length, WIDTH) for length in (5, 2, 3)]
    outputs, states = zip(*(run_by_hand(head, clip) for clip in clips), strict=True)
    for output, state in zip(outputs, states, strict=True):
        assert torch.equal(state[0], output[-1, :3])  # forwards ends at the last frame
        if bidirectional:
            assert torch.equal(state[1], output[0, 3:])  # backwards ends at the first
    expected = head.classify(torch.stack([state.flatten() for state in states]))
    padded = nn.utils.rnn.pad_sequence(clips, batch_first=True)
    torch.testing.assert_close(head(padded, torch.tensor([5, 2, 3])), expected)


@pytest.mark.parametrize("pooling", [name for name in POOLINGS if name != "last"])
@torch.no_grad()
def test_other_poolings_are_over_the_outputs_at_real_frames(pooling: str) -> None:
    spec = RecurrentHeadSpec(hidden=(4,), bidirectional=True, pooling=pooling, dense=(6,))
    head = make_head(spec)
    clips = [torch.randn(length, WIDTH) for length in (4, 2)]
    pooled = []
    for clip in clips:
        outputs = run_by_hand(head, clip)[0]
        mean, highest = outputs.mean(dim=0), outputs.max(dim=0).values
        if pooling == "attention":
            scores = head.score_frames(outputs)[:, 0].exp()
            pooled.append((scores[:, None] * outputs).sum(dim=0) / scores.sum())
        else:
            pooled.append(
                {"mean": mean, "max": highest, "mean-max": torch.cat([mean, highest])}[pooling]
            )
    dense, _ = head.dense
    expected = head.classify(dense(torch.stack(pooled)).clamp(min=0))
    padded = nn.utils.rnn.pad_sequence(clips, batch_first=True)
    torch.testing.assert_close(head(padded, torch.tensor([4, 2])), expected)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@torch.no_grad()
def test_stacked_layers_equal_torchs_own_stack(cell: str) -> None:
    head = make_head(RecurrentHeadSpec(cell=cell, hidden=(4, 4), bidirectional=True))
    make_stack = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
    stack = make_stack(WIDTH, 4, num_layers=2, bidirectional=True, batch_first=True)
    for number, layer in enumerate(head.layers):
        for name, parameter in layer.named_parameters():
            getattr(stack, name.replace("_l0", f"_l{number}")).copy_(parameter)
    clip = torch.randn(6, WIDTH)
    _, state = stack(clip[None])
    hidden = state[0] if cell == "lstm" else state  # (layers · directions, 1, hidden)
    expected = head.classify(hidden[-2:, 0].flatten())
    torch.testing.assert_close(answer(head, clip), expected)


@torch.no_grad()
def test_a_gru_is_its_published_equations() -> None:
    # Cho et al. 2014, in the form of torch and cuDNN, where the reset gate acts after the product.
    head = make_head(RecurrentHeadSpec(cell="gru", hidden=(4,)))
    (gru,) = head.layers
    clip, state = torch.randn(5, WIDTH), torch.zeros(4)
    for frame in clip:
        ours = (gru.weight_ih_l0 @ frame + gru.bias_ih_l0).chunk(3)
        carried = (gru.weight_hh_l0 @ state + gru.bias_hh_l0).chunk(3)
        reset, update = (torch.sigmoid(ours[i] + carried[i]) for i in (0, 1))
        candidate = torch.tanh(ours[2] + reset * carried[2])
        state = (1 - update) * candidate + update * state
    torch.testing.assert_close(answer(head, clip), head.classify(state))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_an_lstm_starts_with_an_open_forget_gate_and_no_other_bias(bidirectional: bool) -> None:
    spec = RecurrentHeadSpec(cell="lstm", hidden=(4,), bidirectional=bidirectional)
    (lstm,) = build_head(spec, WIDTH, NUM_CLASSES).layers
    input_biases = [p for name, p in lstm.named_parameters() if name.startswith("bias_ih")]
    assert len(input_biases) == 1 + bidirectional
    for bias in input_biases:
        assert bias.tolist() == [0] * 4 + [1] * 4 + [0] * 8  # input, forget, cell, output
    for name, bias in lstm.named_parameters():
        if name.startswith("bias_hh"):
            assert not bias.any()


@pytest.mark.parametrize(("cell", "num_gates"), [("lstm", 4), ("gru", 3)])
def test_each_gates_recurrent_kernel_starts_orthogonal(cell: str, num_gates: int) -> None:
    (layer,) = build_head(RecurrentHeadSpec(cell=cell, hidden=(6,)), WIDTH, NUM_CLASSES).layers
    for kernel in layer.weight_hh_l0.detach().chunk(num_gates):
        torch.testing.assert_close(kernel @ kernel.T, torch.eye(6), rtol=0, atol=1e-5)


@given(recurrent_specs)
@settings(max_examples=40, deadline=None)
def test_every_parameter_and_real_frame_has_a_gradient_and_padding_has_none(
    spec: RecurrentHeadSpec,
) -> None:
    head = make_head(spec)
    features = torch.randn(3, 6, WIDTH, requires_grad=True)
    lengths = torch.tensor([6, 2, 4])
    head(features, lengths).logsumexp(dim=1).sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    if not spec.dense:  # a dense layer's ReLU may shut out a clip
        assert head.classify.weight.grad.any()
        assert features.grad[:, 0].abs().sum(dim=1).all()
    for gradient, length in zip(features.grad, lengths, strict=True):
        assert not gradient[length:].any()


def test_the_mean_linear_head_is_blind_to_order_and_a_recurrent_one_is_not() -> None:
    clip = torch.randn(6, WIDTH)
    blind = make_head(MeanLinearHeadSpec())
    torch.testing.assert_close(answer(blind, clip), answer(blind, clip.flip(0)))
    torch.testing.assert_close(answer(blind, clip), blind.classify(clip.mean(dim=0)))
    sighted = make_head(RecurrentHeadSpec(hidden=(4,)))
    assert not torch.allclose(answer(sighted, clip), answer(sighted, clip.flip(0)), atol=1e-3)


@pytest.mark.parametrize("place", ["input_dropout", "layer_dropout", "dropout"])
@torch.no_grad()
def test_dropout_acts_in_training_only(place: str) -> None:
    head = make_head(RecurrentHeadSpec(hidden=(8, 8), **{place: 0.5}))
    clip = torch.randn(6, WIDTH)
    assert torch.equal(answer(head, clip), answer(head, clip))
    head.train()
    assert not torch.equal(answer(head, clip), answer(head, clip))


def test_the_l2_penalty_applies_to_the_kernels_of_the_dense_layers_only() -> None:
    head = make_head(RecurrentHeadSpec(hidden=(4,), dense=(6,)))
    dense, _ = head.dense
    kernels = {id(kernel) for kernel in head.regularised_weights()}
    assert kernels == {id(dense.weight), id(head.classify.weight)}
