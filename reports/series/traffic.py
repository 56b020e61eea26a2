"""What the load saw, over time: requests per second by who answered them, and how long they took.

A request stands at the time it was *meant* to be sent, and its latency counts from there, so that a stalled sender
hides nothing (no coordinated omission).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.metrics import RequestSample
from harness.quantiles import quantile

_WIDTHS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_MOST_BINS = 80
_ENOUGH_IN_WINDOW = 100  # so that a 99th percentile is not just the maximum
_LEAST_IN_WINDOW = 5  # fewer requests than this make no quantile


@dataclass(frozen=True)
class Rates:
    """Requests per second in bins of `width_s`: per provider that answered, and per end without an answer."""

    edges: tuple[float, ...]
    width_s: float
    answered: Mapping[str, tuple[float, ...]]
    failed: tuple[float, ...]
    rejected: tuple[float, ...]
    left: tuple[float, ...]
    unknown: tuple[float, ...]


@dataclass(frozen=True)
class Quantiles:
    """Latency over windows of `width_s`, at each window's middle; nan where there were too few requests."""

    at: tuple[float, ...]
    width_s: float
    p50: tuple[float, ...]
    p99: tuple[float, ...]


def rates_of(requests: Iterable[RequestSample], providers: Sequence[str], end: float) -> Rates:
    """Requests per second until `end`; an answer of an unnamed or unlisted provider counts as `other`."""
    width = bin_width(end)
    bins = _bins(width, end)
    counts: dict[str, list[float]] = defaultdict(lambda: [0.0] * bins)
    for request in requests:
        if 0 <= request.t < bins * width:
            counts[_series(request, providers)][int(request.t / width)] += 1 / width
    shown = [*providers, *(["other"] if "ok/other" in counts else [])]
    return Rates(
        edges=tuple(i * width for i in range(bins + 1)),
        width_s=width,
        answered={name: tuple(counts[f"ok/{name}"]) for name in shown},
        failed=tuple(counts["fail"]),
        rejected=tuple(counts["rejected"]),
        left=tuple(counts["left"]),
        unknown=tuple(counts["info"]),
    )


def quantiles_of(requests: Sequence[RequestSample], end: float) -> Quantiles:
    """The median and 99th percentile of latency, window by window until `end`."""
    width = _window_width(len(requests), end)
    windows: list[list[float]] = [[] for _ in range(_bins(width, end))]
    for request in requests:
        if request.latency_s is not None and 0 <= request.t < len(windows) * width:
            windows[int(request.t / width)].append(request.latency_s)
    return Quantiles(
        at=tuple((i + 0.5) * width for i in range(len(windows))),
        width_s=width,
        p50=tuple(_of_window(w, 0.50) for w in windows),
        p99=tuple(_of_window(w, 0.99) for w in windows),
    )


def bin_width(end: float) -> float:
    """The finest round width that cuts `end` seconds into at most 80 bins."""
    return next((w for w in _WIDTHS_S if end / w <= _MOST_BINS), end / _MOST_BINS)


def _bins(width: float, end: float) -> int:
    return max(1, math.ceil(end / width - 1e-9))


def _window_width(requests: int, end: float) -> float:
    """The finest width from a bin's up to a tenth of the run whose windows hold a hundred requests on average."""
    finest = bin_width(end)
    fits = [w for w in _WIDTHS_S if finest <= w <= end / 10]
    return next((w for w in fits if requests * w / end >= _ENOUGH_IN_WINDOW), fits[-1] if fits else finest)


def _series(request: RequestSample, providers: Sequence[str]) -> str:
    if request.end != "ok":
        return request.end
    return f"ok/{request.provider if request.provider in providers else 'other'}"


def _of_window(latencies: list[float], share: float) -> float:
    found = quantile(latencies, share) if len(latencies) >= _LEAST_IN_WINDOW else None
    return math.nan if found is None else found
