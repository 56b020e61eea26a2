"""How every figure looks: one typeface, thin rules, horizontal words, units on axes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType

from reports.palette import INK, MUTED, PAPER, RULE

TITLE_PT = 9.5
TEXT_PT = 8.5
SMALL_PT = 7.5

_SETTINGS: dict[RcKeyType, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same glyphs on every machine
    "font.size": TEXT_PT,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "svg.fonttype": "none",  # words stay words: they can be searched, copied, and use the reader's own typeface
    "svg.hashsalt": "flexiai",
    "text.parse_math": False,  # a name with dollar signs is a name
}


@contextmanager
def applied() -> Iterator[None]:
    """The house style, for the artists made and the figures saved inside; matplotlib's own settings come back after."""
    with matplotlib.rc_context(_SETTINGS):
        yield


def sheet(width_in: float, height_in: float) -> Figure:
    """An empty figure, sized in inches."""
    return Figure(figsize=(width_in, height_in), dpi=100)


def place(figure: Figure, left_in: float, top_in: float, width_in: float, height_in: float) -> Axes:
    """Axes at an exact place, in inches from the figure's top left."""
    width, height = figure.get_size_inches()
    return figure.add_axes(
        (left_in / width, 1 - (top_in + height_in) / height, width_in / width, height_in / height),
    )


def plain(axes: Axes) -> None:
    """Only the axes' left and bottom lines."""
    axes.spines[["top", "right"]].set_visible(False)


def title(axes: Axes, text: str, height_in: float) -> None:
    """A panel's title, above its left edge. `height_in`: the panel's height."""
    axes.text(
        0,
        1 + 0.08 / height_in,
        text,
        transform=axes.transAxes,
        fontsize=TITLE_PT,
        weight="bold",
        va="bottom",
        ha="left",
    )


def legend(axes: Axes, handles: Sequence[Artist], height_in: float, columns: int | None = None) -> None:
    """A panel's legend, above its right edge, in the line of its title."""
    axes.legend(
        handles=list(handles),
        loc="lower right",
        bbox_to_anchor=(1.0, 1 + 0.045 / height_in),
        ncol=columns or max(1, len(handles)),
        frameon=False,
        fontsize=TEXT_PT,
        handlelength=1.1,
        handleheight=0.9,
        columnspacing=1.4,
        handletextpad=0.5,
        borderaxespad=0,
        borderpad=0.2,
        labelcolor=MUTED,
    )


def nothing(axes: Axes, text: str) -> None:
    """Says that there is nothing to draw, and why."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=MUTED, style="italic")
    axes.set_yticks([])
