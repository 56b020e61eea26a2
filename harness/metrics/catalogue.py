"""Every metric there is: its unit, what it says, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """unit: s (seconds), share (0 to 1), count, or 1 (a ratio). better: which way is good; neither: it depends."""

    unit: Literal["s", "share", "count", "1"]
    what: str
    better: Literal["lower", "higher", "neither"] = "lower"


def _quantiles(name: str, what: str, *which: str) -> dict[str, Metric]:
    return {f"{name}.{q}": Metric("s", f"{what} ({'the longest' if q == 'max' else q})") for q in which}


METRICS: dict[str, Metric] = {
    "requests": Metric("count", "requests sent by the load", "neither"),
    "ok_requests": Metric("count", "requests that were answered", "higher"),
    "failed_requests": Metric("count", "requests that ended in a clear error, the callers' own errors left out"),
    "lost_requests": Metric("count", "requests whose end nobody knows: the connection broke, or the run ended"),
    "rejected_requests": Metric("count", "requests that were the caller's own error", "neither"),
    "cancelled_requests": Metric("count", "requests whose sender left before their end", "neither"),
    "streams": Metric("count", "requests whose answer was to come piece by piece", "neither"),
    "broken_streams": Metric("count", "streams that broke off after their first token (failed requests, all of them)"),
    "availability": Metric(
        "share", "requests answered, of all that were not the caller's own error and whose sender stayed", "higher"
    ),
    "availability.before": Metric("share", "the same, of requests meant to be sent before the first fault", "higher"),
    "availability.during": Metric("share", "the same, from the first fault's begin to the last one's end", "higher"),
    "availability.after": Metric("share", "the same, after the last fault", "higher"),
    **_quantiles(
        "latency",
        "from when a request was meant to be sent until it was answered, or a stream got its first token",
        "p50",
        "p90",
        "p99",
        "p999",
        "max",
    ),
    **_quantiles("first_token", "the same, of streams alone", "p50", "p99", "max"),
    **_quantiles(
        "failover_added_latency",
        "what failed attempts added to a request that was answered: its time on its worker less its last attempt",
        "p50",
        "p99",
        "max",
    ),
    "attempts": Metric("count", "times a provider was asked", "neither"),
    "amplification": Metric("1", "attempts per request that reached a worker"),
    "failing_attempts": Metric("count", "attempts that ended as their provider's fault"),
    "duplicate_attempts": Metric(
        "count",
        "failing attempts on a provider while a fault spoiled it, probes left out, beyond failure_threshold per outage",
    ),
    "attempts_to_open": Metric(
        "count",
        "failing attempts of the fleet in a row that had ended when a provider was opened (the most of any fault)",
    ),
    "attempts_in_flight_at_open": Metric(
        "count", "failing attempts that were under way then, and nobody could spare (the most of any fault)"
    ),
    "stale_attempts": Metric(
        "count", "attempts on a provider after a first worker had opened it, by workers that had not heard yet"
    ),
    "probes": Metric("count", "attempts that were half-open probes", "neither"),
    "probing_workers_max": Metric("count", "most workers that had probes of one provider under way at a time"),
    "detection_s": Metric("s", "from a provider's fault until a first worker opened it (the slowest fault)"),
    "recovery_s": Metric(
        "s", "from the end of a provider's fault until the last worker closed its breaker (the slowest fault)"
    ),
    **_quantiles(
        "detection", "from a provider's fault until a first worker opened it, over all faults", "p50", "p90", "max"
    ),
    **_quantiles(
        "recovery",
        "from the end of a provider's fault until the last worker closed its breaker, over all faults",
        "p50",
        "p90",
        "max",
    ),
    "ramp_spared": Metric("count", "requests that went elsewhere while a provider's traffic was returning", "neither"),
    "ramp_share.early": Metric(
        "share",
        "of the requests that wanted a returning provider in the first half of its ramp, those it got",
        "neither",
    ),
    "ramp_share.late": Metric("share", "the same, in the second half", "neither"),
    "last_resorts": Metric(
        "count", "attempts on a provider that would have been spared, had another been there", "neither"
    ),
    "opens": Metric("count", "times a provider was opened for the fleet, the re-openings by probes left out"),
    "reopens": Metric("count", "probe rounds that failed"),
    "private_opens": Metric("count", "times a worker opened a provider for itself alone, the fleet asking a quorum"),
    "closes": Metric("count", "times a provider was closed for the fleet", "neither"),
    "transitions": Metric("count", "records that the fleet's store accepted", "neither"),
    "evidence_reports": Metric("count", "times a worker told the store how it fares with a provider"),
    **_quantiles(
        "sync_latency",
        "from a first worker's transition (or report) until another one, connected and running, applied its record",
        "p50",
        "p90",
        "p99",
        "max",
    ),
    **_quantiles(
        "sync_spread", "from a transition until the last connected worker had applied its record", "p50", "p99", "max"
    ),
    "lost_notices": Metric("count", "records that a connected worker got not by a notice but by a read, or never"),
    **_quantiles(
        "partition_convergence",
        "from the end of what kept a worker from the store until it applied a record it had missed",
        "p50",
        "max",
    ),
    "redis_fault_latency_ratio.p50": Metric(
        "1", "latency while Redis was at fault, over that of like requests while it was not (p50)"
    ),
    "redis_fault_latency_ratio.p99": Metric(
        "1", "latency while Redis was at fault, over that of like requests while it was not (p99)"
    ),
    "redis_fault_latency_ratio.p99_sure": Metric(
        "1", "the same ratio as far as the samples are sure of it: one-sided 95 % bounds of both quantiles"
    ),
    "redis_commands": Metric("count", "commands that Redis processed during the load"),
    "redis_commands_per_transition": Metric("1", "all of these commands (reads included) per accepted record"),
    "messages_per_transition": Metric("1", "messages published per accepted record"),
    "workers": Metric("count", "worker processes that lived", "neither"),
    "ready_workers": Metric("count", "worker processes that became ready", "higher"),
    "unsynced_starts": Metric("count", "workers that became ready without having read the fleet's records"),
    **_quantiles("ready", "from a worker's first sign of life until it was ready", "p50", "max"),
}
