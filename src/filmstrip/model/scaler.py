"""Scalers: features to features of a like range, fitted on the training part only."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from filmstrip.model.specs import ScalerSpec


class Scaler(nn.Module):
    """``features`` (…, D) to (…, num_features), one dimension at a time or decorrelated.

    Every kind but ``layernorm`` is the affine map ``(features - offset) @ matrix`` or
    ``(features - offset) * scale``, whose buffers are set by ``fit`` and saved with the model.

    Args:
        spec: which kind.
        num_features: width D of what comes in.
    """

    offset: Tensor
    scale: Tensor

    def __init__(self, spec: ScalerSpec, num_features: int) -> None:
        super().__init__()
        self.spec = spec
        self.num_features = num_features
        self.layernorm = nn.LayerNorm(num_features) if spec.kind == "layernorm" else None
        scale_shape: tuple[int, ...] = (num_features,)
        if spec.kind == "pca":
            self.num_features = min(spec.num_components, num_features)
            scale_shape = (num_features, self.num_features)
        self.register_buffer("offset", torch.zeros(num_features))
        self.register_buffer("scale", torch.ones(scale_shape))

    @property
    def needs_fit(self) -> bool:
        """Whether ``fit`` must see the training part before the scaler is of use."""
        return self.spec.kind in ("minmax", "standard", "pca")

    def forward(self, features: Tensor) -> Tensor:
        """Scaled features, (…, D) to (…, num_features)."""
        if self.layernorm is not None:
            return self.layernorm(features)  # type: ignore[no-any-return]
        if self.spec.kind == "none":
            return features
        centred = features - self.offset
        return centred @ self.scale if self.spec.kind == "pca" else centred * self.scale

    def fit(self, clips: Iterable[Tensor]) -> None:
        """Set the offsets and scales from the training part, one pass, memory flat in its size.

        Args:
            clips: features (T, D) of one clip after the other.
        """
        if self.spec.kind == "minmax":
            self._fit_minmax(clips)
        elif self.spec.kind == "standard":
            mean, variance, _ = _moments(clips, with_covariance=False)
            self.offset.copy_(mean)
            self.scale.copy_(_inverse(variance.sqrt(), mean.abs()))
        elif self.spec.kind == "pca":
            self._fit_pca(clips)

    def _fit_minmax(self, clips: Iterable[Tensor]) -> None:
        low = torch.full_like(self.offset, torch.inf)
        high = torch.full_like(self.offset, -torch.inf)
        for features in clips:
            low = torch.minimum(low, features.amin(dim=0))
            high = torch.maximum(high, features.amax(dim=0))
        self.offset.copy_(low)
        self.scale.copy_(_inverse(high - low, torch.maximum(low.abs(), high.abs())))

    def _fit_pca(self, clips: Iterable[Tensor]) -> None:
        from scipy.linalg import eigh  # whoever only answers can do without

        mean, _, covariance = _moments(clips, with_covariance=True)
        width = len(covariance)
        variances, directions = (
            torch.from_numpy(found[..., ::-1].copy())  # strongest first
            for found in eigh(
                covariance.numpy(), subset_by_index=(width - self.num_features, width - 1)
            )
        )
        deviations = variances.clamp(min=0).sqrt()
        self.offset.copy_(mean)
        self.scale.copy_(directions * _inverse(deviations, deviations.max()))


def _moments(clips: Iterable[Tensor], with_covariance: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (D,), variance (D,) and covariance (D, D; empty if not asked for), in float64.

    Sums are taken about the first frame, so that a large mean does not swallow a small deviation.
    """
    num_frames = 0
    pivot = total = squares = products = torch.empty(0)
    for features in clips:
        features = features.double()
        if num_frames == 0:
            width = features.shape[1]
            pivot = features[0].clone()
            total, squares = torch.zeros(2, width, dtype=torch.float64)
            products = torch.zeros(
                (width, width) if with_covariance else (0, 0), dtype=torch.float64
            )
        features = features - pivot
        num_frames += len(features)
        total = total + features.sum(dim=0)
        squares = squares + features.square().sum(dim=0)
        if with_covariance:
            products.addmm_(features.T, features)
    mean = total / num_frames
    variance = (squares / num_frames - mean.square()).clamp(min=0)
    covariance = products / num_frames - torch.outer(mean, mean) if with_covariance else products
    return mean + pivot, variance, covariance


def _inverse(spread: Tensor, magnitude: Tensor) -> Tensor:
    """1 / spread, and 0 where it is but rounding of values of this magnitude, or nothing."""
    varies = spread > (1e-6 * magnitude).clamp(min=torch.finfo(torch.float32).tiny)
    return torch.where(varies, 1 / torch.where(varies, spread, 1), 0)
