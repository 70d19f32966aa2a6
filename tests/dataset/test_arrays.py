from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filmstrip.dataset.arrays import clip_arrays, to_frames
from filmstrip.errors import DatasetError

SOURCE = Path("clips.npz")
RNG = np.random.default_rng(0)


def clips_of(num_clips: int, num_frames: int = 2) -> np.ndarray:
    return RNG.integers(0, 256, (num_clips, num_frames, 4, 5, 3), dtype=np.uint8)


X4, X2, X1 = clips_of(4), clips_of(2), clips_of(1)
Y4, Y2, Y1 = np.array([0, 1, 0, 1]), np.array([1, 0]), np.array([1])


@pytest.mark.parametrize(
    "content",
    [
        {"X_train": X4, "y_train": Y4, "X_val": X2, "y_val": Y2, "X_test": X1, "y_test": Y1},
        {"x_train": X4, "y_train": Y4, "x_valid": X2, "y_valid": Y2, "x_test": X1, "y_test": Y1},
        {"train_frames": X4, "train_labels": Y4, "val_frames": X2}
        | {"val_labels": Y2, "test_frames": X1, "test_labels": Y1, "note": "mine"},
        (X4, Y4, X2, Y2, X1, Y1),
        (X4, X2, X1, Y4, Y2, Y1),
        ((X4, Y4), (X2, Y2), (X1, Y1)),
        [X4, Y4, X2, Y2, X1, Y1],
        ([*X4], Y4.tolist(), [*X2], Y2.tolist(), [*X1], Y1.tolist()),
    ],
)
def test_three_parts_are_train_val_and_test(content: Any) -> None:
    arrays = clip_arrays(content, SOURCE)
    assert arrays.splits == ("train",) * 4 + ("val",) * 2 + ("test",)
    assert arrays.labels.tolist() == [0, 1, 0, 1, 1, 0, 1]
    assert arrays.class_names == ("0", "1")
    for part, expected in zip(arrays.parts, (X4, X2, X1), strict=True):
        assert all(np.array_equal(found, clip) for found, clip in zip(part, expected, strict=True))


@pytest.mark.parametrize(
    ("content", "splits"),
    [
        ({"frames": X4, "labels": Y4}, {""}),
        ({"X": X4, "y": Y4}, {""}),
        ((X4, Y4), {""}),
        ((X4, X2, Y4, Y2), {"train", "test"}),
        ((X4, Y4, X2, Y2), {"train", "test"}),
    ],
)
def test_fewer_parts_are_understood_too(content: Any, splits: set[str]) -> None:
    assert set(clip_arrays(content, SOURCE).splits) == splits


@pytest.mark.parametrize(
    "labels",
    [
        np.eye(3)[[0, 2, 0, 2]],
        np.eye(3, dtype=bool)[[0, 2, 0, 2]],
        np.array([[0], [2], [0], [2]]),
        np.array([0.0, 2.0, 0.0, 2.0], dtype=np.float32),
        np.array([0, 2, 0, 2], dtype=np.uint8),
        [0, 2, 0, 2],
        np.array(["0", "2", "0", "2"]),
        np.array([b"0", b"2", b"0", b"2"]),
    ],
)
def test_labels_of_every_form_become_class_names(labels: Any) -> None:
    arrays = clip_arrays((X4, labels), SOURCE)
    assert arrays.class_names == ("0", "2")
    assert arrays.labels.tolist() == [0, 1, 0, 1]
    assert arrays.labels.dtype == np.int64


def test_class_names_of_the_file_keep_their_order() -> None:
    content = {"frames": X4, "class_names": np.array(["wave", "hug"])}
    assert clip_arrays(content | {"labels": Y4}, SOURCE).class_names == ("wave", "hug")
    texts = clip_arrays(content | {"labels": ["hug", "hug", "wave", "hug"]}, SOURCE)
    assert texts.labels.tolist() == [1, 1, 0, 1]
    with pytest.raises(DatasetError, match=r"labels 0\.\.2, 2 class names"):
        clip_arrays(content | {"labels": [0, 1, 2, 0]}, SOURCE)
    with pytest.raises(DatasetError, match="labels kick, which are not in class_names"):
        clip_arrays(content | {"labels": ["hug", "kick", "wave", "hug"]}, SOURCE)


def test_class_names_from_numbers_are_in_the_order_of_numbers() -> None:
    arrays = clip_arrays((X4, [10, 9, 10, 2]), SOURCE)
    assert arrays.class_names == ("2", "9", "10")


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("divisor", [255.0, 1.0])
def test_floating_point_frames_come_back_as_the_bytes_they_were(
    dtype: type[np.floating[Any]], divisor: float
) -> None:
    every = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 4, 8, 8, 3)
    arrays = clip_arrays(((every / divisor).astype(dtype), [0]), SOURCE)
    assert np.array_equal(to_frames(arrays.parts[0][0], arrays.scale), every[0])


def test_the_range_is_judged_over_all_parts_together() -> None:
    dark = np.full((2, 2, 4, 5, 3), 1.0)
    bright = np.full((4, 2, 4, 5, 3), 200.0)
    arrays = clip_arrays((bright, Y4, dark, Y2), SOURCE)
    assert to_frames(arrays.parts[1][0], arrays.scale).max() == 1


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint16])
def test_whole_numbers_are_taken_as_they_are(dtype: type[np.integer[Any]]) -> None:
    arrays = clip_arrays((X4.astype(dtype), Y4), SOURCE)
    frames = to_frames(arrays.parts[0][1], arrays.scale)
    assert frames.dtype == np.uint8
    assert np.array_equal(frames, X4[1])


def test_grey_clips_get_three_equal_channels() -> None:
    arrays = clip_arrays((X4[..., :1], Y4), SOURCE)
    assert np.array_equal(to_frames(arrays.parts[0][0], arrays.scale), X4[0][..., [0, 0, 0]])


def test_lists_may_hold_clips_of_different_lengths() -> None:
    arrays = clip_arrays(([clips_of(1, 3)[0], clips_of(1, 7)[0]], ["a", "b"]), SOURCE)
    assert [len(clip) for clip in arrays.parts[0]] == [3, 7]


@pytest.mark.parametrize(
    ("content", "given"),
    [
        ({"a": X4, "b": Y4}, r"no pair of clips and labels .* \(its keys: a, b\)"),
        ((X4,), r"no pair of clips and labels in it \(a tuple of 1\)"),
        (X4, "no pair of clips and labels"),
        ("text", "no pair of clips and labels"),
        ({"frames": X4}, "the whole has clips only"),
        ({"X_train": X4, "y_train": Y4, "y_test": Y1}, "test has labels only"),
        ({"X": X4, "frames": X4, "y": Y4}, "'frames' gives the clips of a part for the second"),
        ((X4, Y2), "4 clips and 2 labels"),
        ((X4[:, 0], Y4), r"clips of shape \(4, 4, 5, 3\)"),
        ((X4.astype(bool), Y4), "type bool"),
        ((X4[:, :0], Y4), r"clips of shape \(4, 0, 4, 5, 3\)"),
        ((X4 / 127.5 - 1, Y4), "pixels from -1"),
        ((X4.astype(float) + 1, Y4), "to 256"),
        ((np.where(X4 > 3, X4, np.nan), Y4), "pixels from nan"),
        ((X4, np.eye(4) * 0.5), "not one-hot"),
        ((X4, np.zeros((4, 3))), "not one-hot"),
        ((X4, [0.5, 1, 2, 3]), "not whole numbers"),
        ((X4, [np.nan, 1, 2, 3]), "not whole numbers"),
        ((X4, [[0, 1], [1, 0], [1, 0], [0, 1]]), "a list of lists"),
        ((X4, np.array(3)), r"labels of shape \(\)"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_was_found(content: Any, given: str) -> None:
    with pytest.raises(DatasetError, match=given) as error:
        clip_arrays(content, SOURCE)
    assert error.value.given.startswith("clips.npz: ")
    assert "X_train" in error.value.expected


CLIP = RNG.integers(0, 256, (4, 5, 9, 10, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("order", "layout"), [((0, 1, 4, 2, 3), "TCHW"), ((0, 4, 1, 2, 3), "CTHW")]
)
@pytest.mark.parametrize("is_list", [False, True])
def test_channels_may_be_in_another_place(
    order: tuple[int, ...], layout: str, is_list: bool
) -> None:
    clips = CLIP.transpose(order)
    arrays = clip_arrays(([*clips] if is_list else clips, Y4), SOURCE)
    assert arrays.layout == layout
    for found, expected in zip(arrays.parts[0], CLIP, strict=True):
        assert np.array_equal(to_frames(found, arrays.scale, arrays.layout), expected)


def test_grey_clips_need_no_channels() -> None:
    arrays = clip_arrays((CLIP[..., 0], Y4), SOURCE)
    frames = to_frames(arrays.parts[0][1], arrays.scale, arrays.layout)
    assert np.array_equal(frames, np.repeat(CLIP[1, ..., :1], 3, axis=-1))


def test_clips_of_three_frames_are_no_channels() -> None:
    assert clip_arrays((CLIP[:, :3], Y4), SOURCE).layout == "THWC"


def test_clips_of_other_lengths_decide_the_layout() -> None:
    clips = [np.moveaxis(clip, -1, 1) for clip in (CLIP[0, :3], CLIP[1], CLIP[2], CLIP[3])]
    assert clip_arrays((clips, Y4), SOURCE).layout == "TCHW"


@pytest.mark.parametrize(
    ("clips", "given"),
    [
        (np.moveaxis(CLIP[:, :3], -1, 2), "which may be .*channels, height.* or .*frames, height"),
        (CLIP[:, 0], "which are pictures, not clips"),
        (np.moveaxis(CLIP[:, 0], -1, 1), "grey clips of three frames or pictures"),
        (RNG.normal(size=(4, 20, 512)).astype(np.float32), "features of shape"),
        ([*RNG.normal(size=(4, 20, 512))], "features of shape"),
        (CLIP / 127.5 - 1, r"pixels from -1"),
    ],
)
def test_what_has_two_readings_is_refused_with_the_remedy(clips: Any, given: str) -> None:
    with pytest.raises(DatasetError, match=given) as error:
        clip_arrays((clips, Y4), SOURCE)
    assert error.value.remedy


def test_a_file_may_say_its_layout() -> None:
    clips = np.moveaxis(CLIP[:, :3], -1, 2)
    content = {"frames": clips, "labels": Y4, "layout": "NTCHW"}
    assert clip_arrays(content, SOURCE).layout == "TCHW"
    with pytest.raises(DatasetError, match="layout 'NTHW' for clips"):
        clip_arrays(content | {"layout": "NTHW"}, SOURCE)
