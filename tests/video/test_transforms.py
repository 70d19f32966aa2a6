from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from pydantic import ValidationError

from filmstrip.video.transforms import (
    Augmentation,
    Framing,
    augment_clip,
    temporal_crop,
)

sides = st.integers(1, 120)
seeds = st.integers(0, 2**32 - 1)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def pillow(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pillow's bilinear resize, which is antialiased too."""
    resized = Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized)


@settings(deadline=None)  # the first example imports torch
@given(sides, sides, sides, st.sampled_from(["stretch", "crop", "pad"]))
def test_any_frame_becomes_a_square_of_the_asked_size(
    height: int, width: int, size: int, fit: str
) -> None:
    square = Framing(size=size, fit=fit)(noise(height, width))
    assert square.shape == (size, size, 3)
    assert square.dtype == np.uint8
    assert square.flags.c_contiguous


@pytest.mark.parametrize(("height", "width"), [(48, 64), (97, 33), (20, 20), (240, 320)])
def test_stretch_equals_pillow(height: int, width: int) -> None:
    frame = noise(height, width)
    square = Framing(size=40, fit="stretch")(frame)
    assert_allclose(square.astype(int), pillow(frame, 40, 40).astype(int), atol=1)


def test_crop_takes_the_centred_square_of_the_short_side() -> None:
    frame = noise(48, 64)
    square = Framing(size=24, fit="crop")(frame)
    assert_allclose(square.astype(int), pillow(frame[:, 8:56], 24, 24).astype(int), atol=1)
    standing = Framing(size=24, fit="crop")(frame.swapaxes(0, 1))
    assert_allclose(standing.astype(int), square.swapaxes(0, 1).astype(int), atol=1)


@pytest.mark.parametrize(
    ("height", "width", "inner"),
    [(30, 60, (slice(10, 30), slice(0, 40))), (60, 30, (slice(0, 40), slice(10, 30)))],
)
def test_pad_keeps_the_whole_frame_in_shape_between_black_bars(
    height: int, width: int, inner: tuple[slice, slice]
) -> None:
    frame = np.maximum(noise(height, width), 1)
    square = Framing(size=40, fit="pad")(frame)
    expected = np.zeros((40, 40, 3), dtype=int)
    inner_height, inner_width = (part.stop - part.start for part in inner)
    expected[inner] = pillow(frame, inner_height, inner_width)
    assert_allclose(square.astype(int), expected, atol=1)


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_a_frame_of_the_right_size_is_left_as_it_is(fit: str) -> None:
    frame = noise(40, 40)
    assert_array_equal(Framing(size=40, fit=fit)(frame), frame)


def test_framing_reads_any_view_and_never_changes_it() -> None:
    frame = noise(48, 64)
    copy = frame.copy()
    frame.flags.writeable = False
    expected = Framing(size=30)(copy[::-1, ::-1].copy())
    assert_array_equal(Framing(size=30)(frame[::-1, ::-1]), expected)
    assert_array_equal(frame, copy)


@pytest.mark.parametrize("wrong", [{"size": 0}, {"size": 8, "fit": "zoom"}, {"size": 8, "x": 1}])
def test_a_framing_without_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Framing.model_validate(wrong)


def test_decoding_and_settings_do_not_import_torch() -> None:
    script = (
        "import sys; import filmstrip.video.decode, filmstrip.video.encode; "
        "from filmstrip.video.transforms import Augmentation, Framing; "
        "Framing(size=8), Augmentation(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


EVERYTHING = Augmentation(flip=True, crop_scale=0.3, colour=0.5, temporal_crop=0.5)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clip_of(frame: np.ndarray, num_frames: int) -> torch.Tensor:
    """The same frame over and over, (T, 3, H, W) uint8."""
    return torch.from_numpy(frame).permute(2, 0, 1).repeat(num_frames, 1, 1, 1)


@given(seeds)
def test_the_generator_alone_decides_the_augmentation(seed: int) -> None:
    clip = clip_of(noise(12, 16), 5)
    once = augment_clip(clip, EVERYTHING, seeded(seed))
    again = augment_clip(clip.clone(), EVERYTHING, seeded(seed))
    assert torch.equal(once, again)


@given(seeds)
def test_all_frames_of_a_clip_are_changed_alike(seed: int) -> None:
    frames = augment_clip(clip_of(noise(12, 16), 6), EVERYTHING, seeded(seed))
    assert all(torch.equal(frame, frames[0]) for frame in frames)


def test_different_draws_differ() -> None:
    clip = clip_of(noise(24, 32), 4)
    augmented = [augment_clip(clip, EVERYTHING, seeded(seed)) for seed in range(20)]
    assert len({clip.numpy().tobytes() for clip in augmented}) == 20


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_size_and_type_are_kept(dtype: torch.dtype) -> None:
    clip = clip_of(noise(24, 32), 4).to(dtype) / (1 if dtype == torch.uint8 else 255)
    clip = clip.to(dtype)
    augmented = augment_clip(clip, Augmentation(flip=True, crop_scale=0.5, colour=0.4), seeded(0))
    assert augmented.shape == clip.shape
    assert augmented.dtype == dtype


@given(seeds)
def test_augmentation_is_off_by_default(seed: int) -> None:
    clip = clip_of(noise(12, 16), 3)
    assert torch.equal(augment_clip(clip, Augmentation(), seeded(seed)), clip)


def test_flip_mirrors_about_half_of_the_clips_and_nothing_else() -> None:
    clip = clip_of(noise(6, 8), 3)
    num_mirrored = 0
    for seed in range(200):
        flipped = augment_clip(clip, Augmentation(flip=True), seeded(seed))
        num_mirrored += torch.equal(flipped, clip.flip(-1))
        assert torch.equal(flipped, clip) or torch.equal(flipped, clip.flip(-1))
    assert 70 <= num_mirrored <= 130


@given(seeds, st.floats(0.1, 0.99))
def test_a_crop_keeps_at_least_its_share_of_the_area(seed: int, crop_scale: float) -> None:
    # Two ramps tell from the edges of the result how much of each side was kept.
    across, down = np.meshgrid(np.linspace(0, 1, 200), np.linspace(0, 1, 100))
    ramps = torch.from_numpy(np.stack([across, down, across])).float()[None]
    cropped = augment_clip(ramps, Augmentation(crop_scale=crop_scale), seeded(seed))[0]
    kept_width = (cropped[0, :, -1] - cropped[0, :, 0]).mean().item()
    kept_height = (cropped[1, -1] - cropped[1, 0]).mean().item()
    assert 0 < kept_width <= 1
    assert 0 < kept_height <= 1
    assert kept_width * kept_height >= crop_scale - 0.05


@given(seeds, st.floats(0.05, 0.5))
def test_colour_strays_no_further_than_its_strength(seed: int, strength: float) -> None:
    grey = torch.full((2, 3, 8, 8), 0.3)
    coloured = augment_clip(grey, Augmentation(colour=strength), seeded(seed))
    # On an even grey, contrast and saturation have no effect, so brightness stands alone.
    assert_allclose(coloured.numpy(), coloured.numpy().flat[0], atol=1e-6)
    assert abs(coloured.mean().item() / 0.3 - 1) <= strength + 1e-5


@given(st.integers(1, 200), st.floats(0.01, 1), seeds)
def test_a_temporal_crop_is_a_run_of_at_least_its_share(
    num_frames: int, share: float, seed: int
) -> None:
    part = temporal_crop(num_frames, share, seeded(seed))
    kept = list(range(num_frames))[part]
    assert kept == list(range(part.start, part.stop))
    assert max(share * num_frames - 1e-6, 1) <= len(kept) <= num_frames


def test_a_temporal_crop_draws_every_length_and_place() -> None:
    drawn = {
        (part.start, part.stop)
        for part in (temporal_crop(4, 0.5, seeded(seed)) for seed in range(500))
    }
    assert drawn == {(0, 2), (1, 3), (2, 4), (0, 3), (1, 4), (0, 4)}


def test_a_clip_is_cropped_in_time_in_its_own_order() -> None:
    clip = torch.arange(20, dtype=torch.uint8).reshape(20, 1, 1, 1).repeat(1, 3, 4, 4)
    numbers = augment_clip(clip, Augmentation(temporal_crop=0.3), seeded(3))[:, 0, 0, 0].tolist()
    assert 6 <= len(numbers) < 20
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


@pytest.mark.parametrize(
    "wrong", [{"crop_scale": 0}, {"crop_scale": 1.1}, {"colour": 2}, {"temporal_crop": 0}]
)
def test_an_augmentation_without_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Augmentation.model_validate(wrong)
