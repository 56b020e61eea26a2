"""Whether requests are slower while Redis is at fault: like compared with like.

A request is *touched* if a fault on Redis, or on the way to it, was in effect on any worker at a moment of its life.
It is compared with those that were not, under the same other faults (of several such groups: the one with most touched
requests). Quantiles of few samples are noisy: `p99_sure` divides the bound that the 99 % quantile of the touched is
sure to reach by the one that the others' is sure not to exceed (each by 95 %, by order statistics).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from harness.checkers.case import Case
from harness.quantiles import of_sorted

Figures = dict[str, float | None]
_SURE = 1.645  # one-sided 95 % of the standard normal distribution
_ENOUGH = 100


def redis_fault_figures(case: Case) -> Figures:
    """The metrics of this file; None without a Redis fault, or with too few requests on either side."""
    touched, others = _like_with_like(case)
    named = ("p50", 0.5), ("p99", 0.99)
    enough = min(len(touched), len(others)) >= _ENOUGH
    figures = {
        f"redis_fault_latency_ratio.{name}": _ratio(of_sorted(touched, q), of_sorted(others, q)) if enough else None
        for name, q in named
    }
    sure = _ratio(_bound(touched, 0.99, -_SURE), _bound(others, 0.99, _SURE)) if enough else None
    return {**figures, "redis_fault_latency_ratio.p99_sure": sure}


def _like_with_like(case: Case) -> tuple[list[float], list[float]]:
    """Latencies of the touched and of the others, sorted."""
    groups: dict[frozenset[int], tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    if not case.redis_windows:
        return [], []
    rest = [(n, w.span) for n, w in enumerate(case.windows) if not w.fault.on_redis]
    for sent in case.index.sent.values():
        if sent.done is None or sent.done.result != "ok":
            continue
        a, b = sent.sent.intended, sent.done.t
        touched = any(w.span.meets(a, b) for w in case.redis_windows)
        groups[frozenset(n for n, span in rest if span.meets(a, b))][not touched].append(b - a)
    touched_ones, others = max(groups.values(), key=lambda g: len(g[0]), default=([], []))
    return sorted(touched_ones), sorted(others)


def _bound(values: Sequence[float], q: float, z: float) -> float | None:
    """The order statistic that lies `z` standard deviations of its rank beyond the quantile."""
    if not values:
        return None
    rank = len(values) * q + z * math.sqrt(len(values) * q * (1 - q))
    return values[min(len(values), max(1, math.ceil(rank))) - 1]


def _ratio(a: float | None, b: float | None) -> float | None:
    return a / b if a is not None and b else None
