"""How fast the fleet hears: the distribution of sync latency, and each transition's own spread."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from harness.metrics.sync import Via
from harness.quantiles import of_sorted
from reports.figures import style
from reports.figures.panel import WIDTH_IN
from reports.palette import INK, LIMIT, MUTED, RULE, STATE_WORDS
from reports.series.news import CUT_WORD, VIA_WORDS, Heard, by_transition
from reports.wording import duration

_HEIGHT_IN = 3.0
_TOP_IN = 0.36
_BOTTOM_IN = 0.55
_MOST_TRANSITIONS = 14
_SHORTEST_S = 1e-5  # a log axis has no zero
_FAR_S = 1e6  # beyond any axis: the line goes on at 100 %
_LABEL_FITS_UNTIL = 0.72  # share of the width; a mark beyond has its label on the left
_MOST_VECTORS = 800  # marks beyond which they are drawn as pixels, to keep the page small
_MARKS: Mapping[Via, tuple[str, str]] = {
    "notice": ("o", "#0072B2"),
    "read": ("s", "#D55E00"),
    "reply": ("^", "#CC79A7"),
    "skipped": ("D", "#7f7f7f"),
}
_CUT_MARK = ("x", MUTED)


def spread(news: Sequence[Heard], limit_s: float | None = None) -> Figure:
    """Left: the ECDF with p50 and p99 marked; right: every transition with a mark for each worker that heard of it.

    `limit_s`: the scenario's own bound on the 99th percentile, drawn as a line. Workers that a fault had cut off are
    not in the ECDF, and are marked on the right.
    """
    with style.applied():
        figure = style.sheet(WIDTH_IN, _HEIGHT_IN)
        height = _HEIGHT_IN - _TOP_IN - _BOTTOM_IN
        left = style.place(figure, 0.78, _TOP_IN, 4.2, height)
        right = style.place(figure, 6.62, _TOP_IN, WIDTH_IN - 6.62 - 0.12, height)
        _half(left, "Share of workers that had heard", height)
        _half(right, "Transition by transition", height)
        whole = sorted(n.late_s for n in news if not n.cut)
        if whole:
            _time_axis(left, whole, limit_s)
            _ecdf(left, whole, limit_s)
        else:
            style.nothing(left, "no transition was shared")
        if news:
            _transitions(right, news)
            _time_axis(right, [n.late_s for n in news], limit_s)
            style.legend(right, _key(news), height)
        else:
            style.nothing(right, "no transition was shared")
        return figure


def _half(axes: Axes, title: str, height_in: float) -> None:
    style.plain(axes)
    style.title(axes, title, height_in)


def _ecdf(axes: Axes, late: Sequence[float], limit_s: float | None) -> None:
    shown = [max(s, _SHORTEST_S) for s in late]
    steps = [(i + 1) / len(late) for i in range(len(late))]
    axes.step([shown[0], *shown, _FAR_S], [0.0, *steps, 1.0], where="post", color=INK, linewidth=1.6)
    axes.set_ylim(0, 1.04)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    for share, name, lower in ((0.5, "p50", 0.0), (0.99, "p99", 0.055)):
        _mark(axes, of_sorted(shown, share) or _SHORTEST_S, share, name, lower)
    if limit_s is not None:
        axes.axvline(limit_s, color=LIMIT, linewidth=1.1, linestyle=(0, (4, 2)))
        words = f" expected p99 < {duration(limit_s)} "
        axes.text(limit_s, 0.04, words, color=LIMIT, ha="right", fontsize=style.SMALL_PT)


def _mark(axes: Axes, at: float, share: float, name: str, lower: float) -> None:
    """A dot on the line, with its name beside it, a little `lower` where the line itself would run through it."""
    axes.plot([at, at], [0, share], color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
    axes.plot(at, share, marker="o", markersize=5, color=INK)
    low, high = axes.get_xlim()
    fits = math.log(at / low) < _LABEL_FITS_UNTIL * math.log(high / low)
    axes.annotate(
        f"{name} {duration(at)}",
        (at, share - lower),
        xytext=(8 if fits else -8, -3),
        textcoords="offset points",
        ha="left" if fits else "right",
        va="center",
        weight="bold",
    )


def _transitions(axes: Axes, news: Sequence[Heard]) -> None:
    """One row per transition, the earliest on top; of very many, those that took longest."""
    groups = by_transition(news)
    slowest = sorted(groups, key=lambda group: max(n.late_s for n in group), reverse=True)[:_MOST_TRANSITIONS]
    rows = [group for group in groups if group in slowest]
    pixels = sum(map(len, rows)) > _MOST_VECTORS
    for row, group in enumerate(rows):
        late = [max(n.late_s, _SHORTEST_S) for n in group]
        axes.plot([min(late), max(late)], [row, row], color=RULE, linewidth=3, solid_capstyle="round", zorder=1)
        for mark in {_mark_of(n): None for n in group}:
            shown = [max(n.late_s, _SHORTEST_S) for n in group if _mark_of(n) == mark]
            axes.scatter(
                shown, [row] * len(shown), marker=mark[0], s=19, color=mark[1], alpha=0.8,
                linewidths=1.2 if mark == _CUT_MARK else 0, zorder=2, rasterized=pixels,
            )  # fmt: skip
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [_row_name(group[0]) for group in rows])
    axes.spines["left"].set_visible(False)


def _row_name(news: Heard) -> str:
    return f"{news.sample.provider} {STATE_WORDS[news.sample.state]}, {news.sample.t:.1f} s"


def _mark_of(news: Heard) -> tuple[str, str]:
    return _CUT_MARK if news.cut else _MARKS[news.sample.via]


def _key(news: Sequence[Heard]) -> list[Line2D]:
    """One entry for each kind of mark that is there."""
    present = {_mark_of(n) for n in news}
    words = {mark: VIA_WORDS[via] for via, mark in _MARKS.items()} | {_CUT_MARK: CUT_WORD}
    return [
        Line2D([], [], linestyle="", marker=mark[0], markersize=5, color=mark[1], label=label)
        for mark, label in words.items()
        if mark in present
    ]


def _time_axis(axes: Axes, late: Sequence[float], limit_s: float | None) -> None:
    """A log axis that holds all of them, and the limit."""
    axes.set_xscale("log")
    low, high = max(min(late), _SHORTEST_S) * 0.7, max([*late, limit_s or 0.0, _SHORTEST_S]) * 1.5
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 3.0) if high / low < 1e3 else (1.0,), numticks=9))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: duration(seconds)))
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    axes.set_xlabel("after the transition on the first worker")
