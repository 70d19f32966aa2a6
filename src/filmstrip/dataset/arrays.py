"""Labelled clips from arrays under the names that people give them.

Many scripts turn their videos into NumPy arrays once and train from the file. The shapes understood
here cover what they write: ``frames`` and ``labels``, ``X`` and ``y``, ``X_train … y_test``, and
tuples of these, such as the six arrays in the pickle of
https://github.com/archit0030/Action-Recognition-Model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from filmstrip.dataset.array_layout import (
    CHANNELS_LAST,
    LAYOUTS,
    UnknownLayoutError,
    channels_last,
    find_layout,
)
from filmstrip.dataset.rows import natural_key, split_name
from filmstrip.errors import DatasetError

_LONGEST_LABEL = 1000
_FRAMES_WORDS = frozenset(("x", "frames", "clips", "videos"))
_LABELS_WORDS = frozenset(("y", "labels", "label", "targets"))
_PARTS_OF_PAIRS = {1: ("",), 2: ("train", "test"), 3: ("train", "val", "test")}


@dataclass(frozen=True)
class ClipArrays:
    """Clips as they lie in the arrays, not yet turned into uint8 frames.

    Attributes:
        parts: arrays of clips, or lists of arrays, one a clip, in ``layout``.
        layout: which side of a clip is which, one of ``array_layout.LAYOUTS``.
        splits: the split of each clip, parts one after the other; empty where not given.
        labels: each clip's place in ``class_names``.
        class_names: in natural order, or in the file's own order where it names them.
        scale: what floating-point frames are multiplied by: 255 where they lie in 0..1, else 1.
        extras: the mapping's other members, by name.
    """

    parts: tuple[Sequence[NDArray[Any]], ...]
    splits: tuple[str, ...]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    scale: float
    layout: str = CHANNELS_LAST
    extras: Mapping[str, Any] = field(default_factory=dict)


def clip_arrays(content: object, source: Path) -> ClipArrays:
    """Recognise clips and labels in a mapping or tuple of arrays.

    Labels may be integers, texts, or rows of a one-hot matrix. Three channels are taken for RGB;
    scripts that read with OpenCV often store BGR.

    Raises:
        DatasetError: clips or labels are not found, do not fit each other, or hold values that are
            no frames or labels.
    """
    extras: Mapping[str, Any] = content if isinstance(content, Mapping) else {}
    pairs = _pairs_by_key(extras, source) if extras else _pairs_by_place(content)
    if not pairs:
        raise _unfit(source, f"no pair of clips and labels in it{_found(content)}")
    stored_names = _class_names(extras.get("class_names"), source)
    texts: list[str] = []
    splits: list[str] = []
    for split, clips, labels in pairs:
        _check_clips(clips, source)
        part_texts = _label_texts(labels, stored_names, source)
        if len(part_texts) != len(clips):
            raise _unfit(source, f"{len(clips)} clips and {len(part_texts)} labels in one pair")
        texts += part_texts
        splits += [split] * len(part_texts)
    class_names = tuple(
        sorted(set(texts), key=natural_key) if stored_names is None else dict.fromkeys(stored_names)
    )
    places = {name: place for place, name in enumerate(class_names)}
    if unknown := sorted(set(texts) - set(places)):
        raise _unfit(source, f"labels {', '.join(unknown[:5])}, which are not in class_names")
    parts = tuple(clips for _, clips, _ in pairs)
    return ClipArrays(
        parts=parts,
        splits=tuple(splits),
        labels=np.array([places[text] for text in texts], dtype=np.int64),
        class_names=class_names,
        scale=_scale(parts, source),
        layout=_layout(parts, extras, source),
        extras=extras,
    )


def to_frames(clip: NDArray[Any], scale: float, layout: str = CHANNELS_LAST) -> NDArray[np.uint8]:
    """Frames (T, H, W, 3) uint8 of one clip of any layout and number type, as a copy."""
    pixels = np.rint(clip * scale) if clip.dtype.kind == "f" else clip
    frames = np.array(channels_last(pixels, layout), dtype=np.uint8, order="C")
    return np.repeat(frames, 3, axis=-1) if frames.shape[-1] == 1 else frames


def _pairs_by_key(mapping: Mapping[str, Any], source: Path) -> list[tuple[str, Any, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for key, value in mapping.items():
        words = set(str(key).lower().split("_"))
        parts = {split_name(word) for word in words} - {None} or {""}
        kinds = [
            kind
            for kind, known in (("clips", _FRAMES_WORDS), ("labels", _LABELS_WORDS))
            if words & known
        ]
        if len(kinds) != 1 or len(words) != len(parts - {""}) + 1:
            continue
        of_part = found.setdefault(str(parts.pop()), {})
        if kinds[0] in of_part:
            raise _unfit(source, f"{key!r} gives the {kinds[0]} of a part for the second time")
        of_part[kinds[0]] = value
    for part, pair in found.items():
        if len(pair) != 2:
            raise _unfit(
                source, f"{part or 'the whole'} has {' '.join(pair)} only{_found(mapping)}"
            )
    return [(part, pair["clips"], pair["labels"]) for part, pair in found.items()]


def _pairs_by_place(content: object) -> list[tuple[str, Any, Any]]:
    """Pairs of a tuple: the clips in their order with the labels in theirs."""
    arrays = list(_flatten(content))
    clips = [value for value in arrays if _is_clips(value)]
    labels = [value for value in arrays if not _is_clips(value)]
    parts = _PARTS_OF_PAIRS.get(len(clips), ())
    return list(zip(parts, clips, labels, strict=True)) if len(labels) == len(parts) else []


def _flatten(content: object) -> Iterator[Any]:
    is_pair = isinstance(content, list) and not _is_clips(content) and any(map(_is_clips, content))
    if isinstance(content, tuple) or is_pair:
        for value in cast(Iterable[object], content):
            yield from _flatten(value)
    else:
        yield content


def _is_clips(value: object) -> bool:
    if isinstance(value, list):
        sides = {one.ndim if isinstance(one, np.ndarray) else 0 for one in value}
        return sides in ({2}, {3}, {4})
    return isinstance(value, np.ndarray) and value.ndim >= 3


def _check_clips(clips: Any, source: Path) -> None:
    arrays = [clips] if isinstance(clips, np.ndarray) else clips
    if not isinstance(arrays, list) or not all(isinstance(one, np.ndarray) for one in arrays):
        raise _unfit(source, f"clips that are a {type(clips).__name__}, not arrays")
    for one in arrays:
        if one.dtype.kind not in "uif":
            raise _unfit(source, f"clips of shape {one.shape}, type {one.dtype}")
        num_sides = one.ndim - isinstance(clips, np.ndarray)
        if num_sides in (1, 2) and one.dtype.kind == "f":
            raise DatasetError(
                f"{source}: features of shape {one.shape}, not frames",
                "frames: Filmstrip computes the features itself, so that the model can be asked "
                "about videos",
                "give the videos, or the frames that the features were computed from.",
            )


def _layout(parts: Sequence[Any], extras: Mapping[str, Any], source: Path) -> str:
    shapes = {
        shape
        for part in parts
        for shape in (
            [part.shape[1:]] if isinstance(part, np.ndarray) else {clip.shape for clip in part}
        )
    }
    if "layout" in extras:
        layout = str(extras["layout"]).upper().removeprefix("N")
        if layout not in LAYOUTS or any(len(shape) != len(layout) for shape in shapes):
            raise _unfit(source, f"layout {str(extras['layout'])[:20]!r} for clips of {shapes}")
        return layout
    try:
        return find_layout(shapes)
    except UnknownLayoutError as error:
        first = parts[0] if isinstance(parts[0], np.ndarray) else parts[0][0]
        raise _unfit(source, f"clips of shape {first.shape}, {error}") from error


def _class_names(values: Any, source: Path) -> list[str] | None:
    if values is None:
        return None
    names = values.tolist() if isinstance(values, np.ndarray) else values
    if not isinstance(names, (list, tuple)) or not all(
        isinstance(name, (str, int)) and len(str(name)) <= _LONGEST_LABEL for name in names
    ):
        raise _unfit(source, "class_names that are no list of names")
    return [str(name) for name in names]


def _label_texts(labels: Any, class_names: list[str] | None, source: Path) -> list[str]:
    if isinstance(labels, (list, tuple)) and not all(np.isscalar(label) for label in labels):
        raise _unfit(source, "labels that are a list of lists")
    if isinstance(labels, (list, tuple)):
        _check_lengths(labels, source)  # an array gives each text the room of the longest
    values = np.asarray(labels)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2:
        if not np.all((values == 0) | (values == 1)) or not np.all(values.sum(axis=1) == 1):
            raise _unfit(source, f"labels of shape {values.shape} whose rows are not one-hot")
        values = values.argmax(axis=1)
    if values.ndim != 1 or values.dtype.kind not in "biufUS":
        raise _unfit(source, f"labels of shape {values.shape} and type {values.dtype}")
    if values.dtype.kind == "S":
        try:
            values = np.char.decode(values, "utf-8")
        except UnicodeDecodeError as error:
            raise _unfit(source, "labels that are no text in UTF-8") from error
    if values.dtype.kind == "U":
        _check_lengths(values, source)
        return [str(text) for text in values]
    with np.errstate(invalid="ignore"):  # not-a-number becomes some number, and differs from it
        whole = values.astype(np.int64)
    if np.any(whole != values):
        raise _unfit(source, "labels that are not whole numbers")
    if class_names is None:
        return [str(number) for number in whole]
    if whole.size and (whole.min() < 0 or whole.max() >= len(class_names)):
        raise _unfit(source, f"labels {whole.min()}..{whole.max()}, {len(class_names)} class names")
    return [str(class_names[number]) for number in whole]


def _check_lengths(labels: Iterable[Any], source: Path) -> None:
    if any(isinstance(label, (str, bytes)) and len(label) > _LONGEST_LABEL for label in labels):
        raise _unfit(source, f"labels of more than {_LONGEST_LABEL} characters")


def _scale(parts: Sequence[Sequence[NDArray[Any]]], source: Path) -> float:
    """255 if floating-point clips lie in 0..1, 1 if all clips lie in 0..255."""
    highest = 0.0
    for part in parts:
        for clips in [part] if isinstance(part, np.ndarray) else part:
            if clips.dtype == np.uint8 or clips.size == 0:
                continue
            low, high = float(clips.min()), float(clips.max())
            if not (low >= 0 and high <= 255):
                raise _unfit_range(source, low, high)
            if clips.dtype.kind == "f":
                highest = max(highest, high)
    return 255.0 if 0 < highest <= 1 else 1.0


def _unfit_range(source: Path, low: float, high: float) -> DatasetError:
    undone = "(x + 1) * 127.5" if low >= -1 and high <= 1 else "x * std + mean"
    return _unfit(
        source,
        f"pixels from {low:g} to {high:g}",
        f"undo what was done to the pixels, such as with {undone}, and write the file again; "
        "Filmstrip standardises them as each network needs it.",
    )


def _found(content: object) -> str:
    if isinstance(content, Mapping):
        return f" (its keys: {', '.join(map(str, list(content)[:12]))})"
    if isinstance(content, (list, tuple)):
        return f" (a {type(content).__name__} of {len(content)})"
    return f" (a {type(content).__name__})"


def _unfit(source: Path, given: str, remedy: str = "") -> DatasetError:
    return DatasetError(
        f"{source}: {given}",
        "clips (N, frames, height, width, 3) or with the channels in another place or left out, "
        "in 0..255 or 0..1, not yet standardised, and N labels, named frames and labels, X and y "
        "or X_train, y_train, X_val … y_test, or in a tuple in that order",
        remedy
        or "write the arrays under these names with numpy.savez, with layout='NTHWC', 'NTCHW', "
        "'NCTHW' or 'NTHW' where the shape does not tell; or use 'filmstrip pack' on the videos.",
    )
