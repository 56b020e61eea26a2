"""What the load saw, over time: requests per second by who answered them, and how long they took.

A request stands at the time it was *meant* to be sent, and its latency counts from there, so that a stalled sender
hides nothing (no coordinated omission).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.history import History, RequestDone, RequestSent

_WIDTHS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_MOST_BINS = 80
_ENOUGH_IN_WINDOW = 100  # so that a 99th percentile is not just the maximum
_LEAST_IN_WINDOW = 5  # fewer requests than this make no quantile


@dataclass(frozen=True, slots=True)
class Answered:
    """One request as its sender saw it; `took_s` is None where nobody knows its end."""

    request: str
    at: float
    took_s: float | None
    result: Literal["ok", "fail", "info"]
    provider: str | None


@dataclass(frozen=True)
class Rates:
    """Requests per second in bins of `width_s`: per provider that answered, failed, and with an unknown end."""

    edges: tuple[float, ...]
    width_s: float
    answered: Mapping[str, tuple[float, ...]]
    failed: tuple[float, ...]
    unknown: tuple[float, ...]


@dataclass(frozen=True)
class Quantiles:
    """Latency over windows of `width_s`, at each window's middle; nan where there were too few requests."""

    at: tuple[float, ...]
    width_s: float
    p50: tuple[float, ...]
    p99: tuple[float, ...]


def requests_of(history: History) -> tuple[Answered, ...]:
    """Every request that was sent, in the order of their intended times."""
    done = {end.request: end for end in history.all(RequestDone)}
    found = (_answered(sent, done.get(sent.request)) for sent in history.all(RequestSent))
    return tuple(sorted(found, key=lambda r: (r.at, r.request)))


def rates_of(requests: Iterable[Answered], providers: Sequence[str], end: float) -> Rates:
    """Requests per second until `end`; an answer of an unnamed or unlisted provider counts as `other`."""
    width = bin_width(end)
    bins = max(1, math.ceil(end / width - 1e-9))
    counts: dict[str, list[float]] = defaultdict(lambda: [0.0] * bins)
    for request in requests:
        if 0 <= request.at < bins * width:
            counts[_series(request, providers)][int(request.at / width)] += 1 / width
    shown = [*providers, *(["other"] if "ok/other" in counts else [])]
    return Rates(
        edges=tuple(i * width for i in range(bins + 1)),
        width_s=width,
        answered={name: tuple(counts[f"ok/{name}"]) for name in shown},
        failed=tuple(counts["fail"]),
        unknown=tuple(counts["info"]),
    )


def quantiles_of(requests: Sequence[Answered], end: float) -> Quantiles:
    """The median and 99th percentile of latency, window by window until `end`."""
    width = _window_width(len(requests), end)
    windows: list[list[float]] = [[] for _ in range(max(1, math.ceil(end / width - 1e-9)))]
    for request in requests:
        if request.took_s is not None and 0 <= request.at < len(windows) * width:
            windows[int(request.at / width)].append(request.took_s)
    return Quantiles(
        at=tuple((i + 0.5) * width for i in range(len(windows))),
        width_s=width,
        p50=tuple(_of_window(w, 0.50) for w in windows),
        p99=tuple(_of_window(w, 0.99) for w in windows),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank quantile of sorted values (at least one)."""
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]


def bin_width(end: float) -> float:
    """The finest round width that cuts `end` seconds into at most 80 bins."""
    return next((w for w in _WIDTHS_S if end / w <= _MOST_BINS), end / _MOST_BINS)


def _window_width(requests: int, end: float) -> float:
    """The finest width from a bin's up to a tenth of the run whose windows hold a hundred requests on average."""
    finest = bin_width(end)
    fits = [w for w in _WIDTHS_S if finest <= w <= end / 10]
    return next((w for w in fits if requests * w / end >= _ENOUGH_IN_WINDOW), fits[-1] if fits else finest)


def _answered(sent: RequestSent, done: RequestDone | None) -> Answered:
    if done is None or done.result == "info":
        return Answered(sent.request, sent.intended, None, "info", None)
    return Answered(sent.request, sent.intended, max(0.0, done.t - sent.intended), done.result, done.provider)


def _series(request: Answered, providers: Sequence[str]) -> str:
    if request.result != "ok":
        return request.result
    return f"ok/{request.provider if request.provider in providers else 'other'}"


def _of_window(latencies: list[float], share: float) -> float:
    return quantile(sorted(latencies), share) if len(latencies) >= _LEAST_IN_WINDOW else math.nan
