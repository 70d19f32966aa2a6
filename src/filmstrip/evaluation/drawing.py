"""The look that all charts share.

The two colours are told apart by colour-blind readers (Okabe and Ito, Color Universal Design,
2008).
"""

from __future__ import annotations

import warnings
from pathlib import Path

from matplotlib import get_data_path
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from filmstrip.storage import replacing
from filmstrip.text import printable

BLUE, ORANGE = "#0072B2", "#D55E00"
INK, GREY, GRID = "#222222", "#707070", "#E4E4E4"

_DPI = 120
_BANNER_HEIGHT, _BANNER_MARGIN = 26, 8


def plain(axes: Axes) -> None:
    """Give a light grid and no frame."""
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=8, labelcolor=INK)


def save(figure: Figure, path: Path) -> None:
    """Write the chart as a PNG, whole or not at all."""
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # the name stands in the tables
        figure.savefig(
            temporary,
            format="png",
            dpi=_DPI,
            bbox_inches="tight",
            pad_inches=0.15,
            metadata={"Software": None},
        )


def put_banner(path: Path, words: str) -> None:
    """Set a line above a picture that is there already, for what must be read before it."""
    font = ImageFont.truetype(str(Path(get_data_path(), "fonts/ttf/DejaVuSans-Bold.ttf")), 13)
    with Image.open(path) as picture:
        width = max(picture.width, round(font.getlength(words)) + 2 * _BANNER_MARGIN)
        sheet = Image.new("RGB", (width, picture.height + _BANNER_HEIGHT), "white")
        sheet.paste(picture.convert("RGB"), (0, _BANNER_HEIGHT))
    pen = ImageDraw.Draw(sheet)
    pen.rectangle((0, 0, width, _BANNER_HEIGHT), fill=ORANGE)
    pen.text((_BANNER_MARGIN, 5), words, fill="white", font=font)
    with replacing(path) as temporary:
        sheet.save(temporary, format="png", optimize=True)


def shortened(name: str, length: int) -> str:
    """A name on one line, its middle left out if long: names often differ at either end only."""
    name = printable(name)
    if len(name) <= length:
        return name
    head = length // 2
    return f"{name[:head].rstrip()}…{name[head + 1 - length :].lstrip()}"
