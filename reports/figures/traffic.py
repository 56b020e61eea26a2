"""What the callers saw: requests per second by who answered, and their latency."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from harness.metrics import RequestSample
from reports.figures import style
from reports.figures.panel import Panel
from reports.palette import FAILED, INK, LEFT, REJECTED, UNKNOWN, provider_colours
from reports.series.traffic import Quantiles, Rates
from reports.wording import duration

_MOST_DOTS = 20_000
_FEW = 60  # failed requests up to which each is drawn large


def rate_panel(rates: Rates, providers: Sequence[str], highest: float | None = None) -> Panel:
    """Requests per second, stacked: failures at the bottom, where they are seen first."""
    layers = list(_layers(rates, provider_colours(providers)))

    def draw(axes: Axes) -> None:
        floor = np.zeros(len(rates.failed))
        for _, colour, values in layers:
            ceiling = floor + np.asarray(values)
            axes.stairs(
                ceiling, rates.edges, baseline=floor, fill=True, facecolor=colour, alpha=0.82, linewidth=0, zorder=2
            )
            floor = ceiling
        axes.set_ylim(0, highest or peak(rates))
        axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.set_ylabel("requests/s")
        if not floor.any():
            style.nothing(axes, "no request was sent")

    key = [Patch(facecolor=colour, linewidth=0, label=label) for label, colour, _ in layers]
    return Panel("Requests · by the time they were sent", 1.15, draw, key)


def peak(rates: Rates) -> float:
    """A height for the axis, with a little room above the busiest bin."""
    totals = (
        sum(values)
        for values in zip(
            rates.failed, rates.rejected, rates.left, rates.unknown, *rates.answered.values(), strict=True
        )
    )
    return 1.06 * max(totals, default=0.0) or 1.0


def latency_panel(
    requests: Sequence[RequestSample],
    quantiles: Quantiles,
    providers: Sequence[str],
    limits: tuple[float, float] | None = None,
) -> Panel:
    """Every request as a dot, and the median and 99th percentile of each window as lines, on a log axis."""
    ended = [r for r in requests if r.latency_s is not None]

    def draw(axes: Axes) -> None:
        if not ended:
            style.nothing(axes, "no request ended")
            return
        axes.set_yscale("log")
        _dots(axes, ended, provider_colours(providers))
        axes.plot(quantiles.at, quantiles.p99, color=INK, linewidth=1.1, linestyle=(0, (4, 1.5)), zorder=4)
        axes.plot(quantiles.at, quantiles.p50, color=INK, linewidth=1.7, zorder=4)
        _seconds_axis(axes, limits or latency_limits(ended))

    return Panel(f"Latency · dots: requests; lines: {quantiles.width_s:g} s windows", 1.7, draw, _line_key())


def latency_limits(requests: Sequence[RequestSample]) -> tuple[float, float]:
    """The range of a log axis that holds all latencies."""
    took = [r.latency_s for r in requests if r.latency_s is not None and r.latency_s > 0]
    if not took:
        return 0.001, 1.0
    return min(took) * 0.8, max(took) * 1.25


def _layers(rates: Rates, colours: Mapping[str, str]) -> Iterator[tuple[str, str, Sequence[float]]]:
    yield f"failed: {_total(rates, rates.failed) or 'none'}", FAILED, rates.failed
    if any(rates.rejected):
        yield f"caller's own error: {_total(rates, rates.rejected)}", REJECTED, rates.rejected
    if any(rates.left):
        yield f"caller left: {_total(rates, rates.left)}", LEFT, rates.left
    if any(rates.unknown):
        yield f"end unknown: {_total(rates, rates.unknown)}", UNKNOWN, rates.unknown
    for name, values in rates.answered.items():
        yield f"answered by {name}", colours.get(name, UNKNOWN), values


def _total(rates: Rates, per_second: Sequence[float]) -> int:
    return round(sum(per_second) * rates.width_s)


def _dots(axes: Axes, requests: Sequence[RequestSample], colours: Mapping[str, str]) -> None:
    """Answered ones by provider, pale, every n-th of very many; failed ones each, and strong when they are few.

    Rasterised: thousands of dots would make the page heavy.
    """
    failed = [r for r in requests if r.end == "fail"]
    others = [r for r in requests if r.end != "fail"]
    shown = others[:: max(1, math.ceil(len(others) / _MOST_DOTS))]
    tones = [colours.get(r.provider or "", UNKNOWN) for r in shown]
    few = len(failed) <= _FEW
    _scatter(axes, shown, tones, size=4.5, alpha=0.4, depth=2)
    _scatter(axes, failed, [FAILED] * len(failed), size=18 if few else 4.5, alpha=1.0 if few else 0.5, depth=5)


def _scatter(
    axes: Axes, requests: Sequence[RequestSample], tones: Sequence[str], *, size: float, alpha: float, depth: int
) -> None:
    at, took = [r.t for r in requests], [r.latency_s or 0.0 for r in requests]
    axes.scatter(at, took, c=tones, s=size, alpha=alpha, linewidths=0, rasterized=True, zorder=depth)


def _line_key() -> list[Line2D]:
    return [
        Line2D([], [], color=INK, linewidth=1.7, label="p50"),
        Line2D([], [], color=INK, linewidth=1.1, linestyle=(0, (4, 1.5)), label="p99"),
    ]


def _seconds_axis(axes: Axes, limits: tuple[float, float]) -> None:
    axes.set_ylim(*limits)
    decades = math.log10(limits[1] / limits[0])
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0,) if decades > 2.5 else (1.0, 3.0), numticks=12))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda seconds, _: duration(seconds)))
    axes.grid(axis="y", linewidth=0.5, color="#e8ecef")
