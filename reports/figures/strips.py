"""Breaker states over time: one strip per worker, or the share of workers in each state when there are too many."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from flexiai.core.circuit import State
from reports.figures import style
from reports.figures.panel import Panel
from reports.palette import INK, MUTED, PAPER, STATE_WORDS, STATES
from reports.series.fleet import Fleet, Span, Stretch

MOST_ROWS = 40
_ROW_IN = 0.12
_QUIET_ROW_IN = 0.06
_TALLEST_VECTOR = 3000  # stretches beyond which they are drawn as pixels, to keep the page small
_LEAST_SHARE_OF_WIDTH = 0.0022  # a shorter stay is widened to about two pixels, so that it is seen
_COLUMNS = 600
_VEIL = (1.0, 1.0, 1.0, 0.45)
_ORDER = (State.OPEN, State.HALF_OPEN, State.CLOSED)  # from the bottom of the shares


def breaker_panel(fleet: Fleet, provider: str, end: float) -> Panel:
    """The breakers of one provider, on all workers."""
    stretches = fleet.breakers.get(provider, ())
    heading = f"Breaker of {provider}"
    if not fleet.rows:
        return Panel(heading, 0.5, lambda axes: style.nothing(axes, "no worker came up"))
    if len(fleet.rows) > MOST_ROWS:
        return Panel(f"{heading} · share of {len(fleet.rows):,} workers", 0.9, _shares(stretches, end))
    if all(s.state is State.CLOSED for s in stretches):
        return Panel(
            f"{heading} · closed throughout", _QUIET_ROW_IN * len(fleet.rows), _strips(fleet, stretches, end, 3)
        )
    return Panel(heading, max(0.2, _ROW_IN * len(fleet.rows)), _strips(fleet, stretches, end, 1))


def state_legend() -> list[Patch]:
    """The key to the colours of the states."""
    return [
        Patch(facecolor=STATES[s], edgecolor=MUTED, linewidth=0.4, label=STATE_WORDS[s])
        for s in (State.CLOSED, State.HALF_OPEN, State.OPEN)
    ]


def _strips(fleet: Fleet, stretches: tuple[Stretch, ...], end: float, named_every: int) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        pixels = len(stretches) > _TALLEST_VECTOR
        for depth, state in enumerate((State.CLOSED, State.OPEN, State.HALF_OPEN)):
            least = 0.0 if state is State.CLOSED else _LEAST_SHARE_OF_WIDTH * end
            boxes = [_box(s.row, s.start, max(s.end, s.start + least)) for s in stretches if s.state is state]
            axes.add_collection(
                PolyCollection(boxes, facecolors=STATES[state], linewidths=0, zorder=2 + depth, rasterized=pixels)
            )
        _mark_gone(axes, fleet.gone)
        _mark_pauses(axes, fleet.paused)
        _mark_births(axes, fleet.births)
        _name_rows(axes, fleet.rows, named_every)

    return draw


def _box(row: int, start: float, end: float) -> list[tuple[float, float]]:
    top, bottom = row - 0.42, row + 0.42
    return [(start, top), (end, top), (end, bottom), (start, bottom)]


def _mark_gone(axes: Axes, gone: Iterable[Span]) -> None:
    """Paper, so that no shade of a fault is taken for a state, with a thin line through it."""
    for gap in gone:
        axes.add_collection(
            PolyCollection([_box(gap.row, gap.start, gap.end)], facecolors=PAPER, linewidths=0, zorder=5)
        )
        axes.plot([gap.start, gap.end], [gap.row, gap.row], color=MUTED, linewidth=0.8, zorder=6)


def _mark_pauses(axes: Axes, paused: Iterable[Span]) -> None:
    boxes = [_box(p.row, p.start, p.end) for p in paused]
    axes.add_collection(PolyCollection(boxes, facecolors=_VEIL, edgecolors=INK, hatch="//////", linewidths=0, zorder=6))


def _mark_births(axes: Axes, births: Iterable[Span]) -> None:
    for birth in births:
        axes.plot(birth.start, birth.row, marker="o", markersize=3.6, color=INK, markeredgewidth=0, zorder=7)


def _name_rows(axes: Axes, rows: tuple[str, ...], every: int) -> None:
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(0, len(rows), every), rows[::every], fontsize=6.6)
    axes.spines[["left", "bottom"]].set_visible(False)


def _shares(stretches: tuple[Stretch, ...], end: float) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        edges = np.linspace(0.0, end, _COLUMNS + 1)
        present = {state: _presence(stretches, state, edges) for state in _ORDER}
        alive = np.maximum(sum(present.values()), 1e-9)
        floor = np.zeros(_COLUMNS)
        for state in _ORDER:
            ceiling = floor + present[state] / alive
            axes.fill_between(edges, _steps(floor), _steps(ceiling), step="post", facecolor=STATES[state], linewidth=0)
            floor = ceiling
        axes.set_ylim(0, 1)
        axes.set_yticks([0, 0.5, 1])
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))

    return draw


def _presence(stretches: tuple[Stretch, ...], state: State, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean number of workers in `state` within each column between two `edges`.

    The time spent in a state up to t is the sum of min(t, end) - min(t, start): its growth over a column is exact.
    """
    starts = np.sort([s.start for s in stretches if s.state is state])
    ends = np.sort([s.end for s in stretches if s.state is state])
    spent = _clipped_sum(starts, edges) - _clipped_sum(ends, edges)
    return np.diff(spent) / np.diff(edges)


def _clipped_sum(ordered: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Σ max(0, t - x) over all x, for each t of `at`."""
    count = np.searchsorted(ordered, at)
    total = np.concatenate(([0.0], np.cumsum(ordered)))
    return np.asarray(count * at - total[count], dtype=np.float64)


def _steps(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.append(values, values[-1])
