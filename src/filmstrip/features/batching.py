"""Clips of any length become full batches of frames, and features of batches become clips again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Item = TypeVar("Item")


class Batching(Generic[Item]):
    """Batches on their way to a network; their features come back in the same order.

    Args:
        batch_size: frames a batch.
        is_pinned: gather them where a GPU can fetch them by itself.
    """

    def __init__(self, batch_size: int, is_pinned: bool) -> None:
        self._batch_size = batch_size
        self._is_pinned = is_pinned
        self._waiting: deque[_Waiting[Item]] = deque()

    def batches(self, clips: Iterable[tuple[Item, NDArray[np.uint8]]]) -> Iterator[Tensor]:
        """Full batches (N, H, W, 3) uint8 of clips (T, H, W, 3), and at last what remains."""
        frames: list[NDArray[np.uint8]] = []
        num_frames = 0
        for item, clip in clips:
            self._waiting.append(_Waiting(item, len(clip)))
            frames.append(clip)
            num_frames += len(clip)
            if num_frames < self._batch_size:
                continue
            gathered = self._gather(frames)
            num_left = num_frames % self._batch_size
            yield from torch.split(gathered[: num_frames - num_left], self._batch_size)
            frames, num_frames = [gathered[num_frames - num_left :].numpy()], num_left
        if num_frames:
            yield self._gather(frames)

    def deliver(self, features: Tensor) -> Iterator[tuple[Item, Tensor]]:
        """Hand features (N, D) of the next batch to the clips that wait; yields those now whole."""
        first = 0
        while first < len(features):
            clip = self._waiting[0]
            part = features[first : first + clip.num_missing]
            clip.parts.append(part)
            clip.num_missing -= len(part)
            first += len(part)
            if not clip.num_missing:
                self._waiting.popleft()
                yield clip.item, torch.cat(clip.parts)

    def _gather(self, frames: list[NDArray[np.uint8]]) -> Tensor:
        shape = (sum(map(len, frames)), *frames[0].shape[1:])
        gathered = torch.empty(shape, dtype=torch.uint8, pin_memory=self._is_pinned)
        np.concatenate(frames, out=gathered.numpy())
        return gathered


@dataclass(slots=True)
class _Waiting(Generic[Item]):
    """A clip of which some frames are still to be run."""

    item: Item
    num_missing: int
    parts: list[Tensor] = field(default_factory=list)
