"""Clips of a store as batches for training: padded, with lengths, augmented by a stated seed.

What a clip looks like in an epoch depends on the seed, the epoch and the clip alone, never on what
was drawn before it: a training that was killed goes on as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, Sampler

from filmstrip.features.store import FeatureStore
from filmstrip.video.transforms import Augmentation, augment_clip, temporal_crop

Batch = tuple[Tensor, Tensor, Tensor]
"""Clips or features (B, T, …), lengths (B,) int64, labels (B,) int64."""


@dataclass(frozen=True, slots=True)
class StoredClip:
    """A clip of the store: the keys of its views, and its class."""

    keys: tuple[str, ...]
    label: int


class StoredClips(Dataset[tuple[Tensor, int]]):
    """Reads features (T, D), or frames (T, 3, H, W), one clip at a time.

    Args:
        store: holds the entries.
        clips: which entries.
        augmentation: applied to each clip; None for evaluation, which reads the first view.
        seed: of the augmentation.
    """

    def __init__(
        self,
        store: FeatureStore,
        clips: Sequence[StoredClip],
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.store = store
        self.clips = clips
        self.augmentation = augmentation
        self.seed = seed
        self.epoch = 0

    def each_view(self) -> list[StoredClips]:
        """The same clips as they are, once for each of their views."""
        by_view = zip(*(clip.keys for clip in self.clips), strict=True)
        labels = [clip.label for clip in self.clips]
        return [
            StoredClips(
                self.store, [StoredClip((key,), k) for key, k in zip(keys, labels, strict=True)]
            )
            for keys in by_view
        ]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        clip = self.clips[index]
        if self.augmentation is None:
            return _channels_first(self.store.read(clip.keys[0])), clip.label
        generator = torch.Generator().manual_seed(_mix(self.seed, self.epoch, index))
        view = int(torch.randint(len(clip.keys), (), generator=generator))
        sequence = _channels_first(self.store.read(clip.keys[view]))
        if sequence.ndim == 4:
            return augment_clip(sequence, self.augmentation, generator), clip.label
        part = temporal_crop(len(sequence), self.augmentation.temporal_crop, generator)
        return sequence[part], clip.label


class StoredFrames(StoredClips):
    """Reads single frames (1, 3, H, W) of stored clips, several an epoch of each.

    Args:
        store: holds the entries.
        clips: which entries.
        frames_per_clip: how many frames count as an epoch's share of a clip.
        seed: of the drawing.
        drawn: whether frames are drawn anew each epoch, or spread evenly, always the same.
    """

    def __init__(
        self,
        store: FeatureStore,
        clips: Sequence[StoredClip],
        frames_per_clip: int,
        seed: int,
        drawn: bool,
    ) -> None:
        super().__init__(store, clips, seed=seed)
        self.frames_per_clip = frames_per_clip
        self.drawn = drawn

    def __len__(self) -> int:
        return len(self.clips) * self.frames_per_clip

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        number, share = divmod(index, self.frames_per_clip)
        clip = self.clips[number]
        length = self.store.length(clip.keys[0])
        if self.drawn:
            generator = torch.Generator().manual_seed(_mix(self.seed, self.epoch, index))
            place = int(torch.randint(length, (), generator=generator))
        else:
            place = length * (2 * share + 1) // (2 * self.frames_per_clip)
        frame = self.store.read(clip.keys[0], slice(place, place + 1))
        return _channels_first(frame), clip.label


class EpochShuffle(Sampler[int]):
    """A permutation of the clips that depends on the seed and the epoch alone.

    Lightning calls ``set_epoch`` before each epoch; the data set hears of it here.
    """

    def __init__(self, clips: StoredClips) -> None:
        self.clips = clips

    def set_epoch(self, epoch: int) -> None:
        """Tell sampler and data set which epoch comes."""
        self.clips.epoch = epoch

    def __len__(self) -> int:
        return len(self.clips)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(_mix(self.clips.seed, self.clips.epoch, -1))
        return iter(torch.randperm(len(self.clips), generator=generator).tolist())


def training_batches(clips: StoredClips, batch_size: int) -> DataLoader[tuple[Tensor, int]]:
    """Shuffled batches of ``clips``."""
    return DataLoader(
        clips,
        batch_size,
        sampler=EpochShuffle(clips),
        collate_fn=collate,
        # Else each pass draws a number from the generator that dropout uses, and a resumed training
        # would draw it at another moment.
        generator=torch.Generator(),
    )


def evaluation_batches(clips: StoredClips, batch_size: int) -> DataLoader[tuple[Tensor, int]]:
    """Batches of ``clips`` in their order."""
    return DataLoader(clips, batch_size, collate_fn=collate)


def collate(items: list[tuple[Tensor, int]]) -> Batch:
    """Pad clips of various lengths with zeros into one batch."""
    sequences = [sequence for sequence, _ in items]
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    labels = torch.tensor([label for _, label in items])
    return pad_sequence(sequences, batch_first=True), lengths, labels


def _channels_first(sequence: Tensor) -> Tensor:
    """Frames (T, H, W, 3) to (T, 3, H, W); features (T, D) as they are."""
    return sequence.permute(0, 3, 1, 2) if sequence.ndim == 4 else sequence


def _mix(seed: int, epoch: int, index: int) -> int:
    """One seed from three numbers, far apart for neighbours."""
    return hash((seed, epoch, index)) & 0x7FFF_FFFF_FFFF_FFFF
