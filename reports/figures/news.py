"""How fast the fleet hears: the distribution of sync latency, and each transition's own spread."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from reports.figures import style
from reports.figures.panel import WIDTH_IN
from reports.palette import INK, LIMIT, MUTED, RULE, STATE_WORDS
from reports.series.news import VIA_WORDS, VIAS, News, Via
from reports.series.traffic import quantile
from reports.wording import duration

_HEIGHT_IN = 3.0
_TOP_IN = 0.36
_BOTTOM_IN = 0.55
_MOST_TRANSITIONS = 14
_SHORTEST_S = 1e-5  # a log axis has no zero
_FAR_S = 1e6  # beyond any axis: the line goes on at 100 %
_MARKERS: dict[Via, tuple[str, str]] = {"notice": ("o", "#0072B2"), "read": ("s", "#E69F00"), "reply": ("^", "#CC79A7")}


def spread(news: Sequence[News], limit_s: float | None = None) -> Figure:
    """Left: the ECDF with p50 and p99 marked; right: every transition with a mark for each worker that heard of it.

    `limit_s`: the scenario's own bound on the 99th percentile, drawn as a line.
    """
    with style.applied():
        figure = style.sheet(WIDTH_IN, _HEIGHT_IN)
        height = _HEIGHT_IN - _TOP_IN - _BOTTOM_IN
        left = style.place(figure, 0.78, _TOP_IN, 4.2, height)
        right = style.place(figure, 6.62, _TOP_IN, WIDTH_IN - 6.62 - 0.12, height)
        style.title(left, "Share of workers that had heard", height)
        style.title(right, "Transition by transition", height)
        for axes in (left, right):
            style.plain(axes)
        if not news:
            style.nothing(left, "no transition was shared")
            style.nothing(right, "no transition was shared")
            for axes in (left, right):
                axes.set_xticks([])
            return figure
        _ecdf(left, sorted(n.late_s for n in news), limit_s)
        _transitions(right, news)
        style.legend(right, _key({n.via for n in news}), height)
        for axes in (left, right):
            _time_axis(axes, news, limit_s)
        return figure


def _ecdf(axes: Axes, late: Sequence[float], limit_s: float | None) -> None:
    shown = [max(s, _SHORTEST_S) for s in late]
    steps = [(i + 1) / len(late) for i in range(len(late))]
    axes.step([shown[0], *shown, _FAR_S], [0.0, *steps, 1.0], where="post", color=INK, linewidth=1.6)
    axes.set_ylim(0, 1.04)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    for share, name, drop in ((0.5, "p50", 0.0), (0.99, "p99", -0.055)):
        _mark(axes, quantile(shown, share), share, name, drop)
    if limit_s is not None:
        axes.axvline(limit_s, color=LIMIT, linewidth=1.1, linestyle=(0, (4, 2)))
        axes.text(
            limit_s, 0.04, f" expected p99 < {duration(limit_s)} ", color=LIMIT, ha="right", fontsize=style.SMALL_PT
        )


def _mark(axes: Axes, at: float, share: float, name: str, drop: float) -> None:
    axes.plot([at, at], [0, share], color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
    axes.plot(at, share, marker="o", markersize=5, color=INK)
    axes.annotate(
        f"{name} {duration(at)}",
        (at, share + drop),
        xytext=(8, -3),
        textcoords="offset points",
        ha="left",
        va="center",
        weight="bold",
    )


def _transitions(axes: Axes, news: Sequence[News]) -> None:
    """One row per transition, the earliest on top; of very many, the ones that took longest."""
    groups: dict[tuple[float, str, int], list[News]] = defaultdict(list)
    for item in news:
        groups[item.began, item.provider, item.epoch].append(item)
    slowest = sorted(groups, key=lambda key: max(n.late_s for n in groups[key]), reverse=True)[:_MOST_TRANSITIONS]
    rows = sorted(slowest)
    for row, key in enumerate(rows):
        late = [max(n.late_s, _SHORTEST_S) for n in groups[key]]
        axes.plot([min(late), max(late)], [row, row], color=RULE, linewidth=3, solid_capstyle="round", zorder=1)
        for via, (marker, colour) in _MARKERS.items():
            shown = [max(n.late_s, _SHORTEST_S) for n in groups[key] if n.via == via]
            axes.scatter(
                shown, [row] * len(shown), marker=marker, s=17, color=colour, alpha=0.75, linewidths=0, zorder=2
            )
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [_row_name(groups[key][0]) for key in rows])
    axes.spines["left"].set_visible(False)


def _row_name(news: News) -> str:
    return f"{news.provider} {STATE_WORDS[news.state]}, {news.began:.1f} s"


def _key(vias: set[Via]) -> list[Line2D]:
    return [
        Line2D(
            [], [], linestyle="", marker=_MARKERS[via][0], markersize=5, color=_MARKERS[via][1], label=VIA_WORDS[via]
        )
        for via in VIAS
        if via in vias
    ]


def _time_axis(axes: Axes, news: Sequence[News], limit_s: float | None) -> None:
    """A log axis with whole decades' ticks, wide enough for the labels of the marks."""
    axes.set_xscale("log")
    late = [max(n.late_s, _SHORTEST_S) for n in news]
    axes.set_xlim(min(late) * 0.7, max([*late, limit_s or 0.0]) * 1.5)
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 3.0), numticks=9))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: duration(seconds)))
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    axes.set_xlabel("after the transition on the first worker")
