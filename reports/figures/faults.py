"""The lane of faults: what was broken, from when to when."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from reports.figures import style
from reports.figures.panel import Panel
from reports.palette import FAULT, FAULT_EDGE, INK
from reports.series.bands import Band

_LANE_IN = 0.2
_LABEL_FITS_FROM = 0.17  # share of the width from which on a label stands inside its bar
_LEFT_SIDE_FROM = 0.72  # beyond this share of the width a label outside its bar goes to the left of it


def fault_panel(bands: Sequence[Band], end: float) -> Panel:
    """All faults, each with its name."""
    lanes = max((b.lane for b in bands), default=0) + 1

    def draw(axes: Axes) -> None:
        axes.set_ylim(lanes - 0.45, -0.55)
        axes.set_yticks([])
        axes.spines[["left", "bottom"]].set_visible(False)
        if not bands:
            style.nothing(axes, "none")
        for band in bands:
            _bar(axes, band, end)

    return Panel("Faults", _LANE_IN * lanes, draw)


def _bar(axes: Axes, band: Band, end: float) -> None:
    if band.end > band.start:
        axes.barh(
            band.lane, band.end - band.start, left=band.start, height=0.8, facecolor=FAULT, edgecolor=FAULT_EDGE, lw=0.8
        )
    else:
        axes.plot(band.start, band.lane, marker="v", markersize=6, color=FAULT_EDGE, clip_on=False)
    _label(axes, band, end)


def _label(axes: Axes, band: Band, end: float) -> None:
    pad = (0.006 if band.end > band.start else 0.011) * end
    if band.end - band.start >= _LABEL_FITS_FROM * end:
        x, side = band.start + pad, "left"
    elif band.start > _LEFT_SIDE_FROM * end:
        x, side = band.start - pad, "right"
    else:
        x, side = band.end + pad, "left"
    axes.text(x, band.lane, band.label, ha=side, va="center", fontsize=style.TEXT_PT, color=INK, clip_on=False)
