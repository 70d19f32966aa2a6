from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from torch import Tensor

from filmstrip.model.scaler import Scaler
from filmstrip.model.specs import ScalerSpec

FITTED = ("minmax", "standard", "pca")


def fitted(kind: str, clips: list[Tensor], num_components: int = 128) -> Scaler:
    spec = ScalerSpec(kind=kind, num_components=num_components)
    scaler = Scaler(spec, clips[0].shape[1])
    scaler.fit(clips)
    return scaler


def correlated(num_frames: int = 60, width: int = 6) -> Tensor:
    """Frames whose dimensions hang together, each with a mean and a deviation of its own."""
    mixed = torch.randn(num_frames, width) @ torch.randn(width, width)
    return mixed * torch.tensor([0.1, 0.3, 1, 1, 3, 10][:width]) + torch.arange(width)


@st.composite
def wild_features(draw: st.DrawFn) -> Tensor:
    """Frames (T, D) whose dimensions differ in size by up to 24 orders; some do not vary."""
    width, num_frames = draw(st.integers(1, 6)), draw(st.integers(2, 30))
    exponents = draw(st.lists(st.integers(-12, 12), min_size=width, max_size=width))
    constant = draw(st.lists(st.booleans(), min_size=width, max_size=width))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    features = rng.normal(size=(num_frames, width)) + rng.normal(size=width)
    features[:, constant] = rng.normal(size=width)[constant]
    return torch.from_numpy((features * 10.0 ** np.array(exponents)).astype(np.float32))


@pytest.mark.parametrize(
    ("kind", "oracle"), [("minmax", MinMaxScaler), ("standard", StandardScaler)]
)
@given(features=wild_features())
@settings(max_examples=100, deadline=None)
def test_each_dimension_is_scaled_by_itself_as_scikit_learn_does(
    kind: str, oracle: type, features: Tensor
) -> None:
    scaled = fitted(kind, [features])(features)
    expected = oracle().fit_transform(features.double().numpy())
    varies = (features != features[0]).any(dim=0).numpy()
    np.testing.assert_allclose(scaled[:, varies], expected[:, varies], rtol=1e-3, atol=1e-3)
    assert not scaled[:, ~varies].any()


@pytest.mark.parametrize(
    ("kind", "oracle"), [("minmax", MinMaxScaler), ("standard", StandardScaler)]
)
def test_frames_that_were_not_seen_are_scaled_as_scikit_learn_does(kind: str, oracle: type) -> None:
    torch.manual_seed(0)
    seen, unseen = correlated(), correlated() * 3
    expected = oracle().fit(seen.double().numpy()).transform(unseen.double().numpy())
    torch.testing.assert_close(
        fitted(kind, [seen])(unseen).double(), torch.from_numpy(expected), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("num_components", [1, 3, 6])
def test_pca_whitens_as_scikit_learn_does_up_to_sign(num_components: int) -> None:
    torch.manual_seed(0)
    features = correlated()
    scaler = fitted("pca", [features], num_components)
    assert scaler.num_features == num_components
    scaled = scaler(features).double().numpy()
    oracle = PCA(num_components, whiten=True).fit_transform(features.double().numpy())
    # scikit-learn makes the unbiased variance 1; a sample is whitened to 1 here.
    expected = oracle * np.sqrt(len(features) / (len(features) - 1))
    signs = np.sign((scaled * expected).sum(axis=0))
    np.testing.assert_allclose(scaled * signs, expected, rtol=1e-3, atol=2e-3)


def test_pca_keeps_no_more_than_there_is() -> None:
    torch.manual_seed(0)
    assert fitted("pca", [correlated(width=4)]).num_features == 4
    few = torch.randn(3, 6)  # spans two directions about its mean
    scaled = fitted("pca", [few], num_components=5)(few)
    assert scaled.shape == (3, 5)
    assert scaled[:, :2].any(dim=0).all()
    assert not scaled[:, 2:].any()


@pytest.mark.parametrize("kind", FITTED)
def test_clips_one_after_the_other_fit_as_all_frames_at_once(kind: str) -> None:
    torch.manual_seed(0)
    features = correlated()
    at_once = fitted(kind, [features])(features)
    by_clip = fitted(kind, list(features.split([1, 20, 9, 30])))(features)
    torch.testing.assert_close(by_clip.abs(), at_once.abs(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", FITTED)
def test_clips_are_read_once_only(kind: str) -> None:
    torch.manual_seed(0)
    features = correlated()
    scaler = Scaler(ScalerSpec(kind=kind), features.shape[1])
    scaler.fit(clip for clip in features.split(10))
    torch.testing.assert_close(
        scaler(features).abs(), fitted(kind, [features])(features).abs(), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("kind", FITTED)
@pytest.mark.parametrize("num_frames", [1, 5])
@pytest.mark.parametrize("value", [0.0, 1e-40, 0.1, 1e30])
def test_features_that_never_vary_become_zero_and_never_nan(
    kind: str, num_frames: int, value: float
) -> None:
    features = torch.full((num_frames, 4), value)
    scaler = fitted(kind, [features])
    assert not scaler(features).any()
    assert scaler(torch.randn(3, 4)).isfinite().all()


@pytest.mark.parametrize("kind", FITTED)
def test_features_that_vary_by_next_to_nothing_are_scaled_without_overflow(kind: str) -> None:
    features = torch.tensor([[0.0], [1e-40], [2e-40]])
    scaler = fitted(kind, [features])
    assert scaler(features).isfinite().all()
    assert scaler.scale.isfinite().all()


@pytest.mark.parametrize("kind", FITTED)
def test_a_large_mean_does_not_swallow_a_small_deviation(kind: str) -> None:
    torch.manual_seed(0)
    features = 1000 + torch.randn(2000, 1) / 8
    scaled = fitted(kind, [features])(features)
    if kind == "minmax":
        assert scaled.min() == 0
        assert scaled.max() == pytest.approx(1, abs=1e-3)
    else:
        assert scaled.mean() == pytest.approx(0, abs=1e-3)
        assert scaled.std() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("kind", ["none", *FITTED, "layernorm"])
def test_a_saved_scaler_scales_the_same_bit_for_bit(kind: str) -> None:
    torch.manual_seed(0)
    features = correlated()
    scaler = fitted(kind, [features], num_components=3)
    if kind == "layernorm":
        torch.nn.init.normal_(scaler.layernorm.weight)
    loaded = Scaler(scaler.spec, features.shape[1])
    loaded.load_state_dict(scaler.state_dict())
    assert torch.equal(loaded(features), scaler(features))


def test_layernorm_is_over_the_features_of_each_frame() -> None:
    features = torch.randn(2, 3, 8) * 5 + 2
    scaled = Scaler(ScalerSpec(kind="layernorm"), 8)(features)
    centred = features - features.mean(dim=-1, keepdim=True)
    expected = centred / (features.var(dim=-1, correction=0, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(scaled, expected)


def test_none_leaves_features_as_they_are() -> None:
    features = torch.randn(2, 3, 8)
    assert torch.equal(Scaler(ScalerSpec(), 8)(features), features)


def test_only_those_that_are_fitted_on_data_need_a_fit() -> None:
    kinds = {kind: Scaler(ScalerSpec(kind=kind), 4).needs_fit for kind in (*FITTED, "layernorm")}
    assert kinds == {"minmax": True, "standard": True, "pca": True, "layernorm": False}
    assert not Scaler(ScalerSpec(), 4).needs_fit


def test_a_batch_of_clips_is_scaled_as_its_frames_are() -> None:
    torch.manual_seed(0)
    features = correlated()
    for kind in FITTED:
        scaler = fitted(kind, [features], num_components=3)
        batched = scaler(features.view(4, 15, 6))
        torch.testing.assert_close(batched.flatten(0, 1), scaler(features))
