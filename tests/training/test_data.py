from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from filmstrip.errors import StorageError
from filmstrip.features.entry import ClipFacts
from filmstrip.features.store import FeatureStore
from filmstrip.training.data import (
    StoredClip,
    StoredClips,
    StoredFrames,
    collate,
    evaluation_batches,
    training_batches,
)
from filmstrip.video.transforms import Augmentation

NUM_CLIPS, LENGTH = 20, 10
CROPPED = Augmentation(temporal_crop=0.5)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Twenty clips of ten frames: features whose first column is the clip's number, and frames."""
    store = FeatureStore(tmp_path_factory.mktemp("features"))
    facts = ClipFacts(8, 8, 1.0, LENGTH)
    torch.manual_seed(0)
    for number in range(NUM_CLIPS):
        features = torch.rand(LENGTH, 3)
        features[:, 0] = number
        store.write(store.key("plain", str(number)), features, facts)
        store.write(store.key("flip", str(number)), features + 100, facts)
        frames = torch.randint(256, (LENGTH, 8, 6, 3), dtype=torch.uint8)
        store.write(store.key("frames", str(number)), frames, facts)
    return store


def clips(store: FeatureStore, *views: str) -> list[StoredClip]:
    return [
        StoredClip(tuple(store.key(view, str(number)) for view in views), number % 3)
        for number in range(NUM_CLIPS)
    ]


def epoch_of(dataset: StoredClips, epoch: int) -> list[torch.Tensor]:
    dataset.epoch = epoch
    return [dataset[i][0] for i in range(len(dataset))]


def alike(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    pairs = zip(first, second, strict=True)
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs)


def order(store: FeatureStore, seed: int, epoch: int) -> list[int]:
    loader = training_batches(StoredClips(store, clips(store, "plain"), None, seed), batch_size=6)
    loader.sampler.set_epoch(epoch)
    return [int(number) for batch in loader for number in batch[0][:, 0, 0]]


def test_without_augmentation_a_clip_is_its_first_view_whole(store: FeatureStore) -> None:
    dataset = StoredClips(store, clips(store, "plain", "flip"))
    for number in range(NUM_CLIPS):
        features, label = dataset[number]
        assert torch.equal(features, store.read(store.key("plain", str(number))))
        assert label == number % 3


def test_each_view_of_clips_is_the_clips_as_they_are(store: FeatureStore) -> None:
    views = StoredClips(store, clips(store, "flip", "plain"), CROPPED).each_view()
    assert len(views) == 2
    for name, dataset in zip(("flip", "plain"), views, strict=True):
        for number in range(NUM_CLIPS):
            features, label = dataset[number]
            assert torch.equal(features, store.read(store.key(name, str(number))))
            assert label == number % 3


@pytest.mark.parametrize("views", [("plain",), ("plain", "flip"), ("frames",)])
def test_an_augmented_clip_depends_on_seed_epoch_and_place_alone(
    store: FeatureStore, views: tuple[str, ...]
) -> None:
    augmentation = Augmentation(temporal_crop=0.5, flip=True, crop_scale=0.6, colour=0.3)
    first = epoch_of(StoredClips(store, clips(store, *views), augmentation, seed=3), 2)
    other = StoredClips(store, clips(store, *views), augmentation, seed=3)
    torch.manual_seed(99)
    _ = other[5], other[5]
    backwards = [other[i] for i in reversed(range(NUM_CLIPS))]
    assert not alike(first, [sequence for sequence, _ in reversed(backwards)])
    assert alike(first, epoch_of(other, 2))
    assert not alike(first, epoch_of(other, 3))
    assert not alike(
        first, epoch_of(StoredClips(store, clips(store, *views), augmentation, seed=4), 2)
    )


def test_a_temporal_crop_keeps_a_run_of_enough_frames(store: FeatureStore) -> None:
    dataset = StoredClips(store, clips(store, "plain"), CROPPED)
    lengths = set()
    for epoch in range(10):
        for number, part in enumerate(epoch_of(dataset, epoch)):
            whole = store.read(store.key("plain", str(number)))
            first = int((whole[:, 1] == part[0, 1]).nonzero()[0])
            assert torch.equal(part, whole[first : first + len(part)])
            lengths.add(len(part))
    assert lengths == set(range(LENGTH // 2, LENGTH + 1))


def test_both_views_are_drawn_about_equally_often(store: FeatureStore) -> None:
    dataset = StoredClips(store, clips(store, "plain", "flip"), Augmentation())
    drawn = [bool(clip[0, 1] > 50) for epoch in range(20) for clip in epoch_of(dataset, epoch)]
    assert 0.4 < sum(drawn) / len(drawn) < 0.6


def test_frames_come_channels_first(store: FeatureStore) -> None:
    frames, _ = StoredClips(store, clips(store, "frames"))[4]
    assert frames.dtype == torch.uint8
    assert torch.equal(frames, store.read(store.key("frames", "4")).permute(0, 3, 1, 2))


def test_a_shuffle_is_a_permutation_that_depends_on_seed_and_epoch_alone(
    store: FeatureStore,
) -> None:
    first = order(store, seed=0, epoch=0)
    assert sorted(first) == list(range(NUM_CLIPS))
    torch.manual_seed(5)
    assert order(store, seed=0, epoch=0) == first
    assert order(store, seed=0, epoch=1) != first
    assert order(store, seed=1, epoch=0) != first


def test_evaluation_keeps_the_order(store: FeatureStore) -> None:
    loader = evaluation_batches(StoredClips(store, clips(store, "plain")), batch_size=6)
    assert [int(number) for batch in loader for number in batch[0][:, 0, 0]] == list(
        range(NUM_CLIPS)
    )


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_a_batch_is_padded_with_zeros_to_its_longest_clip(lengths: list[int]) -> None:
    items = [(torch.full((length, 2), 1.5), label) for label, length in enumerate(lengths)]
    batch, found, labels = collate(items)
    assert batch.shape == (len(lengths), max(lengths), 2)
    assert found.tolist() == lengths
    assert labels.tolist() == list(range(len(lengths)))
    for clip, length in zip(batch, lengths, strict=True):
        assert (clip[:length] == 1.5).all()
        assert (clip[length:] == 0).all()


def test_spread_frames_are_the_same_each_epoch_and_drawn_ones_are_not(store: FeatureStore) -> None:
    chosen = clips(store, "frames")
    spread = StoredFrames(store, chosen, frames_per_clip=4, seed=0, drawn=False)
    drawn = StoredFrames(store, chosen, frames_per_clip=4, seed=0, drawn=True)
    assert len(spread) == len(drawn) == 4 * NUM_CLIPS
    assert alike(epoch_of(spread, 0), epoch_of(spread, 1))
    assert alike(epoch_of(drawn, 1), epoch_of(drawn, 1))
    assert not alike(epoch_of(drawn, 0), epoch_of(drawn, 1))
    whole = store.read(store.key("frames", "2")).permute(0, 3, 1, 2)
    # Ten frames in four equal parts: the frame in the midst of each.
    for share, place in enumerate((1, 3, 6, 8)):
        frame, label = spread[4 * 2 + share]
        assert torch.equal(frame, whole[place : place + 1])
        assert label == 2
    frame, label = drawn[4 * 2]
    assert label == 2
    assert any(torch.equal(frame[0], other) for other in whole)


def test_the_length_of_a_clip_may_be_one_frame(store: FeatureStore, tmp_path: Path) -> None:
    single = FeatureStore(tmp_path)
    single.write("aa", torch.ones(1, 3), ClipFacts(8, 8, 0.0, 1))
    dataset = StoredClips(single, [StoredClip(("aa",), 0)], CROPPED)
    assert dataset[0][0].shape == (1, 3)


def test_a_damaged_entry_ends_in_an_error_that_names_it_and_never_in_a_batch(
    tmp_path: Path,
) -> None:
    store = FeatureStore(tmp_path)
    keys = [store.key(str(number)) for number in range(4)]
    for key in keys:
        store.write(key, torch.ones(3, 2), ClipFacts(8, 8, 0.0, 3))
    damaged = store.path(keys[2])
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    batches = evaluation_batches(StoredClips(store, [StoredClip((key,), 0) for key in keys]), 1)
    read = []
    with pytest.raises(StorageError) as caught:
        read.extend(features for features, _, _ in batches)
    assert str(damaged) in caught.value.given
    assert "filmstrip cache verify --delete" in caught.value.remedy
    assert all(torch.equal(features, torch.ones(1, 3, 2)) for features in read)
