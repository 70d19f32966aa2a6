"""A copy of a video with its answer written on every frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from filmstrip.errors import VideoError
from filmstrip.inference.predict import Prediction
from filmstrip.video.decode import iterate_frames
from filmstrip.video.encode import write_video
from filmstrip.video.probe import probe

NUM_LABELS = 3
ABSTAINS = "not sure enough to answer"
_INK, _BAR, _SHADE = (255, 255, 255), (230, 159, 0), (0, 0, 0, 150)


def render(
    source: Path,
    prediction: Prediction,
    out: Path,
    advance: Callable[[str], None] = lambda _words: None,
) -> None:
    """Write a copy of ``source`` to ``out`` with the most probable labels drawn onto it.

    Where the model would rather not answer, a line below the labels says so.

    The copy has a steady frame rate, the source's average; sound is left out.

    Args:
        source: the video that was answered.
        prediction: its answer.
        out: the file to write; its suffix chooses the format.
        advance: called after each frame.

    Raises:
        VideoError: the source cannot be read, ``out`` is the source, or its suffix is unknown.
        StorageError: the disk is full or cannot be written.
    """
    info = probe(source)
    if out.exists() and out.samefile(source):
        raise VideoError(
            f"{out}: is the video itself",
            "another file for the copy with its labels",
            "give another path to --render.",
        )

    def drawn() -> Iterator[NDArray[np.uint8]]:
        overlay = _overlay(prediction, info.width, info.height)
        for _, frame in iterate_frames(source):
            picture = Image.fromarray(frame).convert("RGBA")
            picture.alpha_composite(overlay)
            yield np.asarray(picture.convert("RGB"))
            advance("")

    write_video(out, drawn(), info.average_fps)


def _overlay(prediction: Prediction, width: int, height: int) -> Image.Image:
    """A transparent picture (width, height) with a line and a bar for each label."""
    overlay = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    draw = ImageDraw.Draw(overlay)
    line = max(height // 16, 11)
    font = ImageFont.load_default(size=line * 0.8)
    shown = prediction.top(NUM_LABELS)
    num_lines = len(shown) + prediction.abstains
    draw.rectangle((0, 0, width, line * num_lines + line // 3), fill=_SHADE)
    if prediction.abstains:
        top = len(shown) * line + line // 6
        draw.text((line // 3, top), ABSTAINS, fill=_BAR, font=font)
    for number, (label, probability) in enumerate(shown.items()):
        top = number * line + line // 6
        draw.rectangle((0, top + line - 2, round(width * probability), top + line - 1), fill=_BAR)
        draw.text((line // 3, top), f"{probability:4.0%}  {label}", fill=_INK, font=font)
    return overlay
