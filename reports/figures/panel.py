"""Panels under one another on one time axis: the frame into which every timeline is put."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.figures import style
from reports.palette import FAULT, FAULT_EDGE, RULE
from reports.series.bands import Band

WIDTH_IN = 10.8
_LEFT_IN = 0.78
_RIGHT_IN = 0.12
_TOP_IN = 0.34
_GAP_IN = 0.4
_BOTTOM_IN = 0.5


@dataclass(frozen=True)
class Panel:
    """One part of a timeline: a heading, a height, what draws it, its key, and the faults that are shaded in it."""

    heading: str
    height_in: float
    draw: Callable[[Axes], None]
    key: Sequence[Artist] = ()
    shades: Sequence[Band] = ()


def stack(panels: Sequence[Panel], end: float, load_end: float | None = None) -> Figure:
    """The panels from top to bottom, from 0 to `end` seconds; a dotted line where the load ended, if before the end."""
    height = _TOP_IN + sum(p.height_in for p in panels) + _GAP_IN * (len(panels) - 1) + _BOTTOM_IN
    figure = style.sheet(WIDTH_IN, height)
    top = _TOP_IN
    for panel in panels:
        axes = style.place(figure, _LEFT_IN, top, WIDTH_IN - _LEFT_IN - _RIGHT_IN, panel.height_in)
        _draw(panel, axes, end)
        if load_end is not None and load_end < end:
            axes.axvline(load_end, color=RULE, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
        last = panel is panels[-1]
        axes.tick_params(labelbottom=last, bottom=last)
        top += panel.height_in + _GAP_IN
    axes.set_xlabel("seconds since the load began")
    return figure


def _draw(panel: Panel, axes: Axes, end: float) -> None:
    style.plain(axes)
    axes.set_xlim(0, end)
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    for band in panel.shades:
        _shade(axes, band)
    panel.draw(axes)
    axes.set_xlim(0, end)
    style.title(axes, panel.heading, panel.height_in)
    if panel.key:
        style.legend(axes, panel.key, panel.height_in)


def _shade(axes: Axes, band: Band) -> None:
    """Behind what is drawn, with its edges in front, so that a fault is seen through a full panel too."""
    if band.end > band.start:
        axes.axvspan(band.start, band.end, facecolor=FAULT, linewidth=0, zorder=0)
    for edge in {band.start, band.end}:
        axes.axvline(edge, color=FAULT_EDGE, linewidth=0.8, linestyle=(0, (3, 2)), alpha=0.75, zorder=5)
