"""An explanation to look at: a strip of frames over a bar for each, and a copy of the video.

Both show the same: colours on a frame are scaled alike for all frames of the clip, so a pale frame
counted little.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from filmstrip.evaluation.drawing import BLUE, GREY, INK, ORANGE, plain, save
from filmstrip.inference.explain import Explanation
from filmstrip.inference.heat import AGAINST_CLASS, FOR_CLASS, paint, spread
from filmstrip.text import printable
from filmstrip.video.decode import iterate_frames, read_clip
from filmstrip.video.encode import write_video
from filmstrip.video.picture import Picture
from filmstrip.video.probe import probe
from filmstrip.video.sampling import Sampling, frames_on_screen
from filmstrip.video.transforms import Framing

NUM_SHOWN = 8
"""How many frames the strip shows, at most; the bars below show all."""

_THUMBNAIL_PIXELS = 240
_SHADE, _CURSOR = (0, 0, 0, 150), (255, 255, 255)


def write_strip(
    explanation: Explanation, source: Path, sampling: Sampling, framing: Framing, path: Path
) -> None:
    """Draw the frames that counted, in order, and what each frame that was seen adds.

    The frames that were seen are cut into ``NUM_SHOWN`` stretches, and the one that says most,
    for or against, stands for each.

    Args:
        explanation: of ``source``.
        source: the video.
        sampling: of the model.
        framing: likewise.
        path: the PNG to write.

    Raises:
        VideoError: the video cannot be read.
        StorageError: the disk is full or cannot be written.
    """
    adds = explanation.frame_contributions
    stretches = np.array_split(np.arange(len(adds)), min(NUM_SHOWN, len(adds)))
    shown = [int(stretch[np.abs(adds[stretch]).argmax()]) for stretch in stretches]
    frames = read_clip(source, sampling, _thumbnail, keep_incomplete=True).frames
    heat = _scaled(explanation)
    height, width = frames.shape[1:3]
    figure = Figure(figsize=(12, 4.2 * height / width + 3.0), layout="constrained")
    rows = figure.add_gridspec(3, len(shown), height_ratios=[1, 1, 1.1])
    for column, number in enumerate(shown):
        painted = paint(frames[number], spread(heat[number], framing, height, width))
        for row, picture in enumerate((frames[number], painted)):
            axes = figure.add_subplot(rows[row, column])
            axes.imshow(picture)
            axes.set_axis_off()
            if row == 0:
                at = explanation.times_seconds[number]
                axes.set_title(f"{at:.2f} s", fontsize=9, color=INK)
    _draw_bars(figure.add_subplot(rows[2, :]), explanation, shown)
    figure.suptitle(_title(explanation), x=0.01, ha="left", color=INK, fontsize=11)
    figure.supxlabel(_meaning(explanation), x=0.01, ha="left", color=GREY, fontsize=8)
    save(figure, path)


def write_overlay(explanation: Explanation, source: Path, framing: Framing, path: Path) -> None:
    """Write a copy of ``source`` with the colours on it and a bar for each frame that was seen.

    The copy has a steady frame rate, the source's average; sound is left out.

    Args:
        explanation: of ``source``.
        source: the video.
        framing: of the model.
        path: the file to write; its suffix chooses the format.

    Raises:
        VideoError: the video cannot be read, or the suffix is unknown.
        StorageError: the disk is full or cannot be written.
    """
    info = probe(source)
    heat = [spread(each, framing, info.height, info.width) for each in _scaled(explanation)]
    seen = frames_on_screen(explanation.times_seconds, info.frame_times_seconds)

    def drawn() -> Iterator[Picture]:
        for (_, frame), number in zip(
            iterate_frames(source, keep_incomplete=True), seen, strict=False
        ):
            yield _captioned(paint(frame, heat[number]), explanation, int(number))

    write_video(path, drawn(), info.average_fps)


def _scaled(explanation: Explanation) -> NDArray[np.float64]:
    """Contributions (T, h, w) in [-1, 1]; a few extreme places do not pale all others."""
    contributions = explanation.contributions
    strongest = np.quantile(np.abs(contributions), 0.995)
    return np.asarray((contributions / (strongest or 1)).clip(-1, 1))


def _thumbnail(frame: Picture) -> Picture:
    picture = Image.fromarray(frame)
    picture.thumbnail((_THUMBNAIL_PIXELS, _THUMBNAIL_PIXELS))
    return np.asarray(picture)


def _draw_bars(axes: Axes, explanation: Explanation, shown: list[int]) -> None:
    adds, times = explanation.frame_contributions, explanation.times_seconds
    width = float(np.diff(times).min()) * 0.8 if len(times) > 1 else 1.0
    plain(axes)
    axes.grid(axis="x", visible=False)
    axes.bar(times, adds, width=width, color=[ORANGE if add > 0 else BLUE for add in adds])
    axes.axhline(0, color=GREY, linewidth=0.8)
    low = min(float(adds.min()), 0.0)
    below = low - 0.08 * (max(float(adds.max()), 0.0) - low or 1.0)
    axes.plot(times[shown], [below] * len(shown), "^", color=INK, markersize=4)
    axes.margins(x=0.01)
    axes.set_xlabel("seconds; ▲ is shown above", fontsize=8, color=INK)
    words = "adds to the margin" if explanation.method == "integrated-gradients" else "relative"
    axes.set_ylabel(words, fontsize=8, color=INK)


def _title(explanation: Explanation) -> str:
    answer = explanation.answer
    name = "" if answer.path is None else f"{Path(answer.path).name}: "
    title = f"{name}{answer.label} ({answer.confidence:.0%})"
    if explanation.label != answer.label:
        title += f"; explained is {explanation.label} ({answer.probs[explanation.label]:.0%})"
    return printable(title).replace("$", r"\$")  # not a formula


def _meaning(explanation: Explanation) -> str:
    lines = [
        "Orange speaks for the class, blue against it, by the same scale in all frames.",
        "It tells what this model's answer rests on, not what is true, and not what a change of "
        "the video would do: frames and places work together.",
    ]
    if explanation.method == "integrated-gradients":
        gained = explanation.margin - explanation.plain_margin
        lines += [
            f"Integrated gradients: all adds up to {gained:.2f}, by how much the margin of the "
            "class (its logit less the mean of all)",
            "exceeds that of a plain clip in the mean colour.",
        ]
    else:
        lines.append("Grad-CAM: only proportions mean something.")
    if explanation.averages_views:
        views = ", ".join(explanation.views)
        lines.append(
            f"The plain view is explained. The model answers by the mean of its views ({views}), "
            "so 'filmstrip predict' may differ."
        )
    return "\n".join(lines)


def _captioned(frame: Picture, explanation: Explanation, number: int) -> Picture:
    """The frame with the label above and the bars below, that of frame ``number`` bordered."""
    picture = Image.fromarray(frame)
    draw = ImageDraw.Draw(picture, "RGBA")
    line = max(picture.height // 16, 11)
    draw.rectangle((0, 0, picture.width, line + line // 3), fill=_SHADE)
    probability = explanation.answer.probs[explanation.label]
    words = f"{probability:4.0%}  {printable(explanation.label)}"
    draw.text((line // 3, line // 6), words, fill=_CURSOR, font=ImageFont.load_default(line * 0.8))
    adds = explanation.frame_contributions
    band = max(picture.height // 8, 16)
    top = picture.height - band
    draw.rectangle((0, top, picture.width, picture.height), fill=_SHADE)
    high, low = max(float(adds.max()), 0.0), min(float(adds.min()), 0.0)
    unit = (band - 2) / (high - low or 1)
    zero = top + 1 + high * unit
    bar_width = picture.width / len(adds)
    for place, add in enumerate(adds):
        left, right = place * bar_width, max((place + 0.8) * bar_width, place * bar_width + 1)
        ends = sorted((zero, zero - add * unit))
        colour = FOR_CLASS if add > 0 else AGAINST_CLASS
        draw.rectangle((left, ends[0], right, ends[1]), fill=colour)
        if place == number:
            draw.rectangle((left, top, right, picture.height - 1), outline=_CURSOR)
    return np.asarray(picture)
