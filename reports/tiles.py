"""The key figures, as tiles: what the scenario expects comes first, with its verdict; then what every run is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from harness.metrics import METRICS
from reports.palette import VERDICT_SYMBOLS, Verdict
from reports.view import RunView
from reports.wording import count, duration, measured, share

TITLES = {
    "requests": "Requests",
    "failed_requests": "Failed requests",
    "availability": "Availability",
    "attempts": "Attempts",
    "amplification": "Attempts per request",
    "duplicate_attempts": "Duplicate attempts",
    "stale_attempts": "Stale attempts",
    "detection_s": "Outage detected after",
    "sync_latency.p50": "Sync latency, median",
    "sync_latency.p99": "Sync latency, p99",
    "sync_latency.max": "Sync latency, worst",
    "probes": "Probes",
    "probing_workers_max": "Workers probing at a time",
    "recovery_s": "Recovered after",
    "lost_requests": "Lost requests",
    "lost_notices": "Lost notices",
    "sync_spread.max": "Until the last had heard",
    "opens": "Openings",
    "latency.p50": "Latency, median",
    "latency.p99": "Latency, p99",
    "failover_added_latency.p50": "Added by a failover, median",
    "failover_added_latency.p99": "Added by a failover, p99",
    "redis_commands": "Redis commands",
}
"""What a metric is called at a glance; one that is not here goes by its own name."""

KEY_FIGURES = (
    "requests",
    "availability",
    "failed_requests",
    "sync_latency.p50",
    "sync_latency.p99",
    "detection_s",
    "recovery_s",
    "duplicate_attempts",
    "probes",
    "latency.p50",
    "latency.p99",
    "failover_added_latency.p50",
    "amplification",
    "lost_notices",
)
MOST_TILES = 12


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure. `target`: what was expected of it, with `verdict`, if anything was."""

    label: str
    value: str
    target: str = ""
    verdict: Verdict | None = None
    symbol: str = ""


def tiles_of(view: RunView) -> tuple[Tile, ...]:
    """Expected figures in the scenario's order, then of the other key figures as many as make two rows."""
    expected = tuple(_expected(view))
    named = set() if view.scenario.expect == "fail" else {e.metric for e in view.scenario.expect}
    metrics = view.judgement.metrics
    others = (name for name in KEY_FIGURES if name not in named and metrics.get(name) is not None)
    more = (Tile(title(name), measured(metrics[name], unit(name))) for name in others)
    return (*expected, *islice(more, max(0, MOST_TILES - len(expected))))


def title(metric: str) -> str:
    """A metric's name for people."""
    return TITLES.get(metric, metric)


def meaning(metric: str) -> str:
    """What a metric says, in a line."""
    return METRICS[metric].what if metric in METRICS else ""


def unit(metric: str) -> str:
    """A metric's unit; of one that nobody registered, a plain number."""
    return METRICS[metric].unit if metric in METRICS else "1"


def _expected(view: RunView) -> Iterator[Tile]:
    if view.scenario.expect == "fail":
        return
    for wanted, found in zip(view.scenario.expect, view.judgement.expectations, strict=True):
        kind = unit(wanted.metric)
        yield Tile(
            label=title(wanted.metric),
            value=measured(found.actual, kind),
            target=f"expected {_SIGNS[wanted.op]}\u00a0{_bound(wanted.value, kind)}",
            verdict=found.verdict,
            symbol=VERDICT_SYMBOLS[found.verdict],
        )


_SIGNS = {"<=": "≤", ">=": "≥", "==": "=", "!=": "≠", "<": "<", ">": ">"}


def _bound(value: float, kind: str) -> str:
    return {"s": duration, "share": share}.get(kind, count)(value)
