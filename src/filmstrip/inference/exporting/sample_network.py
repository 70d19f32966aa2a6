"""``sample_indices`` as a network: when a clip's frames come, to those that are looked at."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from filmstrip.video.sampling import ROUNDING_SECONDS, RateSampling, Sampling, UniformSampling


class SampleNetwork(nn.Module):
    """Which frames of a clip ``sampling`` chooses.

    Args:
        sampling: which frames.
    """

    def __init__(self, sampling: Sampling) -> None:
        super().__init__()
        self.sampling = sampling

    def forward(self, times_seconds: Tensor, duration_seconds: Tensor) -> Tensor:
        """Indices (T,) int64 into the frames.

        Args:
            times_seconds: (N,) float64, when each frame comes, sorted, the first at 0.
            duration_seconds: () float64, until when the last frame is shown.
        """
        if isinstance(self.sampling, RateSampling):
            return _on_screen(times_seconds, _at_rate(self.sampling, duration_seconds))
        return _uniform(self.sampling, times_seconds, duration_seconds)


def _at_rate(sampling: RateSampling, duration_seconds: Tensor) -> Tensor:
    shown_seconds = duration_seconds - ROUNDING_SECONDS
    num_instants = torch.ceil(shown_seconds * sampling.frames_per_second).clamp(min=1)
    num_frames = num_instants.clamp(max=sampling.max_frames)
    steps = _below(num_frames, sampling.max_frames).double()
    spread = steps * (duration_seconds / sampling.max_frames)
    is_spread = num_instants > sampling.max_frames
    return torch.where(is_spread, spread, steps / sampling.frames_per_second)


def _uniform(sampling: UniformSampling, times_seconds: Tensor, duration_seconds: Tensor) -> Tensor:
    segments = torch.arange(sampling.num_frames, dtype=torch.float64)
    at = (segments + 0.5) * (duration_seconds / sampling.num_frames)
    on_screen = _on_screen(times_seconds, at)
    if sampling.short == "repeat":
        return on_screen
    num_frames = torch.full((), times_seconds.shape[0])
    kept = _below(num_frames, sampling.num_frames)
    return torch.where(num_frames < sampling.num_frames, kept, on_screen[kept])


def _below(number: Tensor, most: int) -> Tensor:
    """0, 1, 2 … below ``number`` (), and below ``most``."""
    return (torch.arange(most) < number).nonzero()[:, 0]


def _on_screen(times_seconds: Tensor, at_seconds: Tensor) -> Tensor:
    """The last frame that came no later than each time."""
    came = times_seconds[None] <= at_seconds[:, None] + ROUNDING_SECONDS  # (T, N)
    return (came.sum(dim=1) - 1).clamp(min=0)
