"""The look that all charts share.

The two colours are told apart by colour-blind readers (Okabe and Ito, Color Universal Design,
2008).
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from filmstrip.storage import replacing

BLUE, ORANGE = "#0072B2", "#D55E00"
INK, GREY, GRID = "#222222", "#707070", "#E4E4E4"

_DPI = 120


def plain(axes: Axes) -> None:
    """Give a light grid and no frame."""
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=8, labelcolor=INK)


def save(figure: Figure, path: Path) -> None:
    """Write the chart as a PNG, whole or not at all."""
    with replacing(path) as temporary:
        figure.savefig(
            temporary,
            format="png",
            dpi=_DPI,
            bbox_inches="tight",
            pad_inches=0.15,
            metadata={"Software": None},
        )
