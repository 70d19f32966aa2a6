"""``Framing`` as a network: any frame to the square that the model reads, bit for bit.

ONNX's own ``Resize`` with antialiasing differs from torch's, which ``Framing`` uses, by up to 19
grey levels. So this network does what torch does with bytes: a triangle as wide as the scale, its
weights rounded to 15 bits, first across and then down, each time rounded to a byte. Sums of
integers are exact in whatever order, so every runtime gives the same bytes.

Source of the method: ``_compute_index_ranges_int16_weights`` in ``UpSampleKernel.cpp`` and
``UpSampleKernelAVXAntialias.h`` of PyTorch, which follow Pillow's ``Resample.c``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from filmstrip.video.transforms import Framing

# Rounded weights stay below 2**15, and no more than 22 bits stand behind the point.
_WEIGHT_LIMIT = 2**15
_MOST_BITS = 22


class FrameNetwork(nn.Module):
    """What ``framing`` does to one frame.

    Args:
        framing: how a frame becomes a square picture.
    """

    def __init__(self, framing: Framing) -> None:
        super().__init__()
        self.framing = framing

    def forward(self, frame: Tensor) -> Tensor:
        """A frame (H, W, 3) uint8 as a square (size, size, 3) uint8."""
        height, width, _ = frame.shape
        size = self.framing.size
        narrowed = _resize(frame.transpose(0, 1), self._side(width, height), size)
        return _resize(narrowed.transpose(0, 1), self._side(height, width), size)

    def _side(self, length: int, other: int) -> _Side:
        """Which part of a side of so many pixels is seen, and where in the square it lands."""
        size = self.framing.size
        own, whole = _real(length), _real(size)
        nothing = torch.zeros_like(own)
        if self.framing.fit == "stretch":
            return _Side(nothing, own, nothing, whole, (length + size - 1) // size)
        if self.framing.fit == "crop":
            seen = torch.minimum(own, _real(other))
            first = torch.floor((own - seen) / 2)
            return _Side(first, seen, nothing, whole, (length + size - 1) // size)
        scale = whole / torch.maximum(own, _real(other))
        inner = torch.round(own * scale).clamp(min=1)
        before = torch.floor((whole - inner) / 2)
        # The rounding of a narrow side makes its own scale up to half as large again.
        most = (3 * (length + other) + 2 * size - 1) // (2 * size)
        return _Side(nothing, own, before, inner, most)


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of a picture, in float64 numbers but for the last.

    Attributes:
        first: where the part that is seen begins.
        seen: its length.
        before: black pixels before it in the square.
        inner: pixels that it fills in the square.
        most: a whole number that its scale, ``seen / inner``, does not exceed.
    """

    first: Tensor
    seen: Tensor
    before: Tensor
    inner: Tensor
    most: int


def _resize(lines: Tensor, side: _Side, size: int) -> Tensor:
    """``lines`` (L, M, 3) uint8 along their first axis: (size, M, 3) uint8."""
    scale = side.seen / side.inner
    reach = scale.clamp(min=1)
    steps = torch.arange(size, dtype=torch.float64)[:, None]
    centres = (steps - side.before + 0.5) * scale
    taps = torch.floor(centres - reach + 0.5).clamp(min=0)  # (size, 1), the first of each
    taps = taps + torch.arange(2 * side.most + 1, dtype=torch.float64)  # (size, taps)
    triangle = (1 - (taps + 0.5 - centres).abs() * (1 / reach)).clamp(min=0)
    is_inside = (steps >= side.before) & (steps < side.before + side.inner) & (taps < side.seen)
    triangle = torch.where(is_inside, triangle, 0.0)
    area = triangle.sum(dim=1, keepdim=True)
    weights = triangle / torch.where(area > 0, area, 1.0)

    powers = 2.0 ** torch.arange(1, _MOST_BITS + 1, dtype=torch.float64)
    num_bits = (torch.floor(weights.max() * powers + 0.5) < _WEIGHT_LIMIT).sum()
    unit = 2.0 ** num_bits.double()
    whole_weights = torch.floor(weights * unit + 0.5).int()

    places = (side.first + taps).clamp(max=lines.shape[0] - 1).long()
    width = lines.shape[1]
    gathered = lines[places.flatten()].int()  # (size · taps, M, 3)
    gathered = gathered.reshape(size, 2 * side.most + 1, 3 * width)
    sums = torch.bmm(whole_weights[:, None], gathered)[:, 0]  # (size, M · 3)
    rounded = torch.floor(sums.double() / unit + 0.5).clamp(max=255)
    return rounded.to(torch.uint8).reshape(size, width, 3)


def _real(number: int) -> Tensor:
    return torch.full((), number, dtype=torch.float64)
