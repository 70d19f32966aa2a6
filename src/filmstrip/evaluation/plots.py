"""Figures to pictures: training curves, confusion, per-class bars, and sheets of frames.

Each function writes one PNG. Figures are made by ``matplotlib.figure.Figure`` itself, never by
pyplot, whose state is shared between threads. The two colours are told apart by colour-blind
readers (Okabe and Ito, Color Universal Design, 2008).
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from filmstrip.evaluation.metrics import ClassIntervals, ClassMetrics
from filmstrip.storage import replacing

_DPI = 120
_BLUE, _ORANGE = "#0072B2", "#D55E00"
_INK, _GREY, _GRID = "#222222", "#707070", "#E4E4E4"
_MAX_BARS = 120
# What is drawn, its colour, and how far below the middle of the row.
_BARS: tuple[tuple[Literal["precision", "recall"], str, float], ...] = (
    ("precision", _BLUE, -0.2),
    ("recall", _ORANGE, 0.2),
)
_FRAMES_A_ROW = 6

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


def plot_history(
    history: Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]],
    path: Path,
    *,
    best_epoch: int | None = None,
) -> None:
    """Draw loss and accuracy over the epochs, side by side, with the best epoch marked.

    Args:
        history: rows, or columns, of ``epoch``, ``train_loss``, ``val_loss``, ``train_accuracy``
            and ``val_accuracy``; numbers or their text. A value, or a column but ``epoch``, may
            be missing.
        path: the PNG to write.
        best_epoch: the epoch that was kept; by default the one of least validation loss.
    """
    epochs = _column(history, "epoch")
    if best_epoch is None:
        val_loss = _column(history, "val_loss")
        if not np.isnan(val_loss).all():
            best_epoch = int(epochs[np.nanargmin(val_loss)])
    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        _plain(axes)
        for part, colour in (("train", _BLUE), ("val", _ORANGE)):
            values = _column(history, f"{part}_{quantity}")
            known = ~np.isnan(values)
            # A line through two epochs or more; single points would not be seen without a dot.
            marker = "o" if known.sum() <= 20 else None
            axes.plot(
                epochs[known], values[known], color=colour, label=part, marker=marker, markersize=3
            )
        if best_epoch is not None:
            label = f"best epoch: {best_epoch}"
            axes.axvline(best_epoch, color=_GREY, linestyle=":", linewidth=1, label=label)
        axes.set_xlabel("epoch", color=_INK)
        axes.set_title(quantity, loc="left", fontsize=10, color=_INK)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False, fontsize=8, labelcolor=_INK)
        if quantity == "accuracy":
            axes.set_ylim(0, 1.02)
    num_epochs = len(np.unique(epochs))
    figure.suptitle(f"Training: {num_epochs} epochs", x=0.01, ha="left", color=_INK, fontsize=11)
    _save(figure, path)


def plot_confusion(
    confusion: npt.ArrayLike, class_names: Sequence[str], path: Path, *, part: str = "test"
) -> None:
    """Draw the confusion: rows are the truth, the colour is the share of the row's clips.

    The counts are written into the cells as long as they can be read, and from 150 classes on
    only every so manieth name stands at the edge.

    Args:
        confusion: (K, K) counts, rows truth.
        class_names: the K names.
        path: the PNG to write.
        part: the name of the part, for the title.
    """
    counts = np.asarray(confusion)
    num_classes = len(class_names)
    if counts.shape != (num_classes, num_classes):
        raise ValueError(f"confusion {counts.shape} does not fit {num_classes} class names")
    num_clips = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(num_clips, 1)
    cell_inches = float(np.clip(10 / num_classes, 0.115, 0.6 if num_classes > 3 else 1.0))
    side = min(cell_inches * num_classes, 14.0)
    cell_points = 72 * side / num_classes
    figure = Figure(figsize=(side, side))
    axes = figure.add_axes((0, 0, 1, 1))
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    _write_counts(axes, counts, shares, cell_points)

    every = math.ceil(num_classes / 150)
    ticks = range(0, num_classes, every)
    names = [_shortened(name, 32) for name in class_names]
    labels = [names[k] for k in ticks]
    font = min(9.0, 0.8 * cell_points * every)
    fit = max(map(len, labels)) * 0.65 * font < cell_points
    slant = 0 if fit else 45 if num_classes <= 12 else 90
    axes.set_xticks(
        ticks,
        labels,
        rotation=slant,
        ha="right" if slant == 45 else "center",
        rotation_mode="anchor" if slant == 45 else "default",
        parse_math=False,
    )
    axes.set_yticks(ticks, labels, parse_math=False)
    axes.tick_params(length=0, labelsize=font, labelcolor=_INK)
    axes.spines[:].set_color(_GRID)
    axes.set_xlabel("predicted", color=_INK)
    axes.set_ylabel("truth", color=_INK)
    axes.set_title(
        f"Confusion on the {part} part: {counts.sum():,} clips of {num_classes} classes",
        loc="left",
        fontsize=11,
        color=_INK,
        pad=22,
    )
    height = min(1.0, 3.0 / side)
    bar = figure.add_axes((1 + 0.15 / side, 1 - height, 0.12 / side, height))
    figure.colorbar(picture, cax=bar, format="{x:.0%}")
    bar.set_title("of the row", fontsize=7, color=_GREY, loc="left")
    bar.tick_params(labelsize=7, labelcolor=_GREY, length=0)
    bar.spines[:].set_visible(False)
    _save(figure, path, crop_to_content=True)


def plot_per_class(
    per_class: Sequence[ClassMetrics],
    intervals: Sequence[ClassIntervals],
    path: Path,
    *,
    part: str = "test",
) -> None:
    """Draw precision and recall of each class with their intervals, the weakest F1 on top.

    Classes without clips are left out. Of more than 120 classes the 120 weakest are drawn.

    Args:
        per_class: as ``Metrics`` has it.
        intervals: the same classes in the same order, as ``Metrics["intervals"]`` has them.
        path: the PNG to write.
        part: the name of the part, for the title.
    """
    pairs = zip(per_class, intervals, strict=True)
    present = [(figures, spread) for figures, spread in pairs if figures["num_clips"] > 0]
    present.sort(key=lambda pair: (pair[0]["f1"], pair[0]["name"]))
    shown = present[:_MAX_BARS]
    row_inches = 0.36 if len(shown) <= 30 else 0.2
    figure = Figure(figsize=(6.0, row_inches * max(len(shown), 1)))
    axes = figure.add_axes((0, 0, 1, 1))
    _plain(axes)
    axes.grid(visible=False, axis="y")
    rows = np.arange(len(shown))
    for key, colour, offset in _BARS:
        values = np.array([figures[key] for figures, _ in shown])
        ends = np.array([spread[key] for _, spread in shown]).reshape(-1, 2)
        axes.barh(
            rows + offset,
            values,
            height=0.36,
            color=colour,
            label=key,
            xerr=[values - ends[:, 0], ends[:, 1] - values],
            error_kw={"ecolor": _INK, "elinewidth": 0.8, "capsize": 0, "alpha": 0.75},
        )
    labels = [f"{_shortened(f['name'], 40)} ({f['num_clips']:,})" for f, _ in shown]
    axes.set_yticks(rows, labels, parse_math=False, fontsize=9 if len(shown) <= 30 else 7)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.tick_params(top=len(shown) > 30, labeltop=len(shown) > 30)
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    num_clips = sum(figures["num_clips"] for figures, _ in present)
    which = (
        f"the {len(shown)} weakest of {len(present)}"
        if len(present) > len(shown)
        else f"{len(shown)}"
    )
    left_out = len(per_class) - len(present)
    title = f"Classes of the {part} part: {which} classes, {num_clips:,} clips"
    if left_out:
        title += f" ({left_out} more without clips)"
    axes.set_title(title, loc="left", fontsize=11, color=_INK, pad=30)
    _save(figure, path, crop_to_content=True)


def plot_mistakes(
    mistakes: Sequence[Mistake],
    path: Path,
    *,
    part: str = "test",
    num_mistakes: int | None = None,
) -> None:
    """Draw a sheet with a row of frames for each mistake, in the order given.

    With no mistakes the sheet says so.

    Args:
        mistakes: those to show.
        path: the PNG to write.
        part: the name of the part, for the title.
        num_mistakes: how many there are in all, when not all are given.
    """
    total = len(mistakes) if num_mistakes is None else num_mistakes
    shown = f"{len(mistakes)} of {total}" if total > len(mistakes) else f"{total}"
    title = f"Mistakes on the {part} part: {shown}"
    rows = [
        (
            f"{_shortened(m.name, 40)}   truth: {_shortened(m.truth, 32)}   "
            f"predicted: {_shortened(m.predicted, 32)} ({m.confidence:.0%})",
            m.frames,
        )
        for m in mistakes
    ]
    plot_contact_sheet(rows, path, title=title if rows else f"No mistakes on the {part} part")


def plot_contact_sheet(
    clips: Sequence[tuple[str, Frames]],
    path: Path,
    *,
    title: str = "",
    frame_height_pixels: int = 90,
) -> None:
    """Draw a sheet with a caption and up to six frames, spread over the clip, for each clip.

    The picture has at most 256 colours, so that a sheet of photographs stays a small file.

    Args:
        clips: captions with frames (T, H, W, 3) uint8; the clips may differ in T, H and W.
        path: the PNG to write.
        title: stands above all.
        frame_height_pixels: of each frame on the sheet; the width keeps the frame's shape.
    """
    margin, gap = 14, 4
    caption_height, title_height = 20, 32 if title else 0
    row_height = caption_height + frame_height_pixels + 2 * gap
    height = 2 * margin + title_height + row_height * len(clips)
    figure = Figure(dpi=_DPI)
    canvas: Any = FigureCanvasAgg(figure)  # matplotlib leaves the canvas untyped
    width = 0

    def write(text: str, top: int, font: float) -> int:
        """Write a line ``top`` pixels below the sheet's upper edge; give where it ends."""
        line = figure.text(margin, height - top, text, va="top", fontsize=font, color=_INK)
        line.set(transform=None, parse_math=False)
        right_edge: float = line.get_window_extent(canvas.get_renderer()).x1
        return math.ceil(right_edge)

    placed: list[tuple[int, int, Frames]] = []
    if title:
        width = write(title, margin, 11)
    for row, (caption, frames) in enumerate(clips):
        top = margin + title_height + row * row_height
        left = margin
        width = max(width, write(caption if len(frames) else f"{caption}   no frames", top, 8))
        for frame in _spread(frames):
            small = _scaled(frame, frame_height_pixels)
            placed.append((top + caption_height, left, small))
            left += small.shape[1] + gap
        width = max(width, left - gap)
    width += margin
    sheet = np.full((height, width, 3), 255, dtype=np.uint8)
    for top, left, small in placed:
        sheet[top : top + small.shape[0], left : left + small.shape[1]] = small
    # Half a pixel over, since matplotlib rounds the size in pixels down.
    figure.set_size_inches((width + 0.5) / _DPI, (height + 0.5) / _DPI)
    figure.figimage(sheet)
    canvas.draw()
    pixels = np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[:, :, :3])
    buffer = io.BytesIO()
    Image.fromarray(pixels).quantize(256).save(buffer, format="png", optimize=True)
    _write(buffer.getvalue(), path)


def _spread(frames: Frames) -> Frames:
    """At most six of the frames, from the first to the last."""
    num_frames = min(len(frames), _FRAMES_A_ROW)
    spread: Frames = frames[np.linspace(0, len(frames) - 1, num_frames).round().astype(int)]
    return spread


def _scaled(frame: Frames, height: int) -> Frames:
    """A frame (H, W, 3) at another height, its shape kept up to four times as wide as high."""
    width = round(height * min(max(frame.shape[1] / frame.shape[0], 0.25), 4))
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS))


def _column(
    history: Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]], key: str
) -> npt.NDArray[np.float64]:
    """One column of a history as numbers, NaN where a value is missing."""
    if isinstance(history, Mapping):
        values = history.get(key, [None] * len(history["epoch"]))
    else:
        values = [row.get(key) for row in history]
    return np.array([math.nan if value in (None, "") else float(value) for value in values])


def _write_counts(
    axes: Axes, counts: npt.NDArray[Any], shares: npt.NDArray[np.float64], cell_points: float
) -> None:
    """Write the counts that are not 0 into their cells, unless they would be too small to read."""
    digits = len(str(counts.max()))
    font = min(10.0, 0.5 * cell_points, 0.85 * cell_points / (0.62 * digits))
    if font < 5:
        return
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if shares[row, column] > 0.55 else _INK
        axes.text(
            column,
            row,
            f"{counts[row, column]}",
            ha="center",
            va="center",
            fontsize=font,
            color=colour,
        )


def _plain(axes: Axes) -> None:
    """A light grid, no frame."""
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=8, labelcolor=_INK)


def _shortened(name: str, length: int) -> str:
    """A long name with its middle left out: names of one data set differ at either end."""
    if len(name) <= length:
        return name
    head = length // 2
    return f"{name[:head].rstrip()}…{name[len(name) - (length - head - 1) :].lstrip()}"


def _save(figure: Figure, path: Path, *, crop_to_content: bool = False) -> None:
    buffer = io.BytesIO()
    crop: dict[str, Any] = {}
    if crop_to_content:
        crop = {"bbox_inches": "tight", "pad_inches": 0.15}
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None}, **crop)
    _write(buffer.getvalue(), path)


def _write(png: bytes, path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(png)
