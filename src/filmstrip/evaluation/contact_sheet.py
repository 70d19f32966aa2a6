"""Frames of clips side by side on one sheet, such as those of the worst mistakes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from filmstrip.evaluation.drawing import INK, shortened
from filmstrip.storage import replacing

_FRAMES_A_ROW = 6
# In pixels.
_MARGIN, _GAP = 14, 4
_CAPTION_HEIGHT, _TITLE_HEIGHT = 20, 32

Frames = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Mistake:
    """A clip that was told as another class.

    Attributes:
        name: of the clip, as a person knows it.
        frames: (T, H, W, 3) uint8.
        truth: the name of its class.
        predicted: the name of the class it was told as.
        confidence: the probability of ``predicted``, in [0, 1].
    """

    name: str
    frames: Frames
    truth: str
    predicted: str
    confidence: float


def plot_mistakes(mistakes: Sequence[Mistake], path: Path, *, num_mistakes: int) -> None:
    """Draw a sheet with a row of frames for each mistake, in the order given.

    With no mistakes the sheet says so.

    Args:
        mistakes: those of the test clips to show.
        path: the PNG to write.
        num_mistakes: how many there are in all.
    """
    rows = [
        (
            f"{shortened(mistake.name, 40)}   truth: {shortened(mistake.truth, 32)}   "
            f"predicted: {shortened(mistake.predicted, 32)} ({mistake.confidence:.0%})",
            mistake.frames,
        )
        for mistake in mistakes
    ]
    title = f"Mistakes on the test clips: {len(mistakes)} of {num_mistakes}"
    plot_contact_sheet(rows, path, title=title if num_mistakes else "No mistakes on the test clips")


def plot_contact_sheet(
    clips: Sequence[tuple[str, Frames]],
    path: Path,
    *,
    title: str = "",
    frame_height_pixels: int = 90,
) -> None:
    """Draw a sheet with a caption and up to six frames, spread over the clip, for each clip.

    Args:
        clips: captions with frames (T, H, W, 3) uint8; the clips may differ in T, H and W.
        path: the PNG to write.
        title: stands above all.
        frame_height_pixels: of each frame on the sheet; the width keeps the frame's shape.
    """
    font_file = findfont("DejaVu Sans")  # comes with matplotlib, so it is always there
    title_font, font = (ImageFont.truetype(font_file, pixels) for pixels in (18, 13))
    strips = [
        [_scaled(frame, frame_height_pixels) for frame in _spread(frames)] for _, frames in clips
    ]
    widths = [
        title_font.getlength(title),
        *(font.getlength(caption) for caption, _ in clips),
        *(sum(frame.width + _GAP for frame in strip) - _GAP for strip in strips),
    ]
    row_height = _CAPTION_HEIGHT + frame_height_pixels + 2 * _GAP
    top = _MARGIN + (_TITLE_HEIGHT if title else 0)
    size = (2 * _MARGIN + math.ceil(max(widths)), top + row_height * len(clips) + _MARGIN)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((_MARGIN, _MARGIN), title, fill=INK, font=title_font)
    for (caption, _), strip in zip(clips, strips, strict=True):
        pen.text((_MARGIN, top), caption, fill=INK, font=font)
        left = _MARGIN
        for frame in strip:
            sheet.paste(frame, (left, top + _CAPTION_HEIGHT))
            left += frame.width + _GAP
        top += row_height
    with replacing(path) as temporary:
        sheet.save(temporary, format="png", optimize=True)


def _spread(frames: Frames) -> Frames:
    """At most six of the frames, from the first to the last."""
    num_frames = min(len(frames), _FRAMES_A_ROW)
    spread: Frames = frames[np.linspace(0, len(frames) - 1, num_frames).round().astype(int)]
    return spread


def _scaled(frame: Frames, height: int) -> Image.Image:
    """A frame (H, W, 3) at another height, its shape kept."""
    width = max(1, round(height * frame.shape[1] / frame.shape[0]))
    return Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS)
