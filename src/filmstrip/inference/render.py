"""A copy of a video with its answer written on every frame, of a file or of what is live."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from filmstrip.errors import VideoError
from filmstrip.inference.prediction import Prediction
from filmstrip.text import printable
from filmstrip.video.decode import iterate_frames
from filmstrip.video.encode import write_video
from filmstrip.video.probe import probe

NUM_LABELS = 3
LIVE_FPS = 25.0
LONGEST_PAUSE_SECONDS = 10.0
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
    info = probe(source, keep_broken=True)
    if out.exists() and out.samefile(source):
        raise VideoError(
            f"{out}: is the video itself",
            "another file for the copy with its labels",
            "give another path to --render.",
        )

    def drawn() -> Iterator[NDArray[np.uint8]]:
        overlay = _overlay(prediction, info.width, info.height)
        for _, frame in iterate_frames(source, keep_incomplete=True):
            # The size of a video may change midway; the copy has one.
            picture = Image.fromarray(frame).resize((info.width, info.height)).convert("RGBA")
            picture.alpha_composite(overlay)
            yield np.asarray(picture.convert("RGB"))
            advance("")

    write_video(out, drawn(), info.average_fps)


def render_live(
    shown: Iterable[tuple[float, NDArray[np.uint8], Prediction]],
    out: Path,
    frames_per_second: float = LIVE_FPS,
) -> None:
    """Write what is watched to ``out``, each frame with the answer of its moment.

    The copy has a steady frame rate and keeps the time: frames are repeated or left out, but a
    pause is cut to ``LONGEST_PAUSE_SECONDS``. All frames get the size of the first.

    Args:
        shown: seconds, frame (H, W, 3) uint8 and answer, as they come.
        out: the file to write; its suffix chooses the format.
        frames_per_second: of the copy.

    Raises:
        VideoError: no frame came, or the suffix is unknown.
        StorageError: the disk is full or cannot be written.
    """

    def drawn() -> Iterator[NDArray[np.uint8]]:
        size: tuple[int, int] | None = None
        num_written, cut_seconds, last_seconds = 0, 0.0, 0.0
        for seconds, frame, prediction in shown:
            cut_seconds += max(seconds - last_seconds - LONGEST_PAUSE_SECONDS, 0)
            last_seconds = seconds
            if num_written / frames_per_second > seconds - cut_seconds:
                continue
            picture = Image.fromarray(frame)
            size = size or picture.size
            picture = picture.resize(size).convert("RGBA")
            picture.alpha_composite(_overlay(prediction, *size))
            written = np.asarray(picture.convert("RGB"))
            while num_written / frames_per_second <= seconds - cut_seconds:
                yield written
                num_written += 1

    write_video(out, drawn(), frames_per_second)


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
        draw.text((line // 3, top), f"{probability:4.0%}  {printable(label)}", fill=_INK, font=font)
    return overlay
