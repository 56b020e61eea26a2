"""What the load and its workers saw: counts, availability, latency."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from flexiai.core.outcome import Outcome
from harness.checkers.case import Case
from harness.checkers.requests import Execution, Sent
from harness.quantiles import of_sorted

Figures = dict[str, float | None]
End = Literal["ok", "fail", "rejected", "left", "info"]


class RequestSample(NamedTuple):
    """One request as its sender saw it. `t`: when it was meant to be sent; latency_s from then until it was answered,
    or got its first token (None: it left, or has no end). `broken`: it failed after its first token."""

    t: float
    end: End
    latency_s: float | None
    provider: str | None
    attempts: int
    stream: bool = False
    broken: bool = False


def request_samples(case: Case) -> list[RequestSample]:
    """Every request sent, in the order in which it was meant to be."""
    samples = [_sample(sent) for sent in case.index.sent.values()]
    return sorted(samples, key=lambda s: s.t)


def request_figures(case: Case) -> Figures:
    """The metrics of this file."""
    samples = request_samples(case)
    executions = case.index.executions
    attempts = len(case.index.attempts)
    latencies = sorted(s.latency_s for s in samples if s.end == "ok" and s.latency_s is not None)
    first_tokens = sorted(s.latency_s for s in samples if s.end == "ok" and s.stream and s.latency_s is not None)
    added = sorted(failover_added(executions))
    return {
        "requests": len(samples),
        "ok_requests": _count(samples, "ok"),
        "failed_requests": _count(samples, "fail"),
        "lost_requests": _count(samples, "info"),
        "rejected_requests": _count(samples, "rejected"),
        "cancelled_requests": _count(samples, "left"),
        "streams": sum(s.stream for s in samples),
        "broken_streams": sum(s.broken for s in samples),
        "attempts": attempts,
        "amplification": attempts / len(executions) if executions else None,
        **_availability(case, samples),
        **{f"latency.{name}": of_sorted(latencies, q) for name, q in _QS.items()},
        **{f"first_token.{name}": of_sorted(first_tokens, _QS[name]) for name in ("p50", "p99", "max")},
        **{f"failover_added_latency.{name}": of_sorted(added, _QS[name]) for name in ("p50", "p99", "max")},
    }


_QS = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "max": 1.0}


def failover_added(executions: Iterable[Execution]) -> Iterator[float]:
    """What failed attempts added to each answered request that had any, seconds."""
    for execution in executions:
        if execution.ok and execution.ended is not None and any(a.failed for a in execution.attempts):
            last = execution.attempts[-1]
            if last.ended is not None:
                yield (execution.ended.t - execution.started.t) - (last.ended.t - last.started.t)


def _sample(sent: Sent) -> RequestSample:
    begun, done = sent.sent, sent.done
    attempts = sum(len(e.attempts) for e in sent.executions)
    if done is None:
        return RequestSample(begun.intended, "info", None, None, attempts, begun.stream)
    end: End = "rejected" if done.result == "fail" and _rejected(sent) else done.result
    heard = done.t if done.first_token_s is None else begun.t + done.first_token_s
    latency_s = heard - begun.intended if end != "left" else None
    broken = done.result == "fail" and bool(done.chunks)
    return RequestSample(begun.intended, end, latency_s, done.provider, attempts, begun.stream, broken)


def _rejected(sent: Sent) -> bool:
    """Whether the worker says so: it was rejected, or its last attempt ended neutral."""
    return sent.rejected or any(
        a.ended is not None and a.ended.outcome is Outcome.NEUTRAL for e in sent.executions for a in e.attempts[-1:]
    )


def _count(samples: Iterable[RequestSample], end: End) -> int:
    return sum(s.end == end for s in samples)


def _availability(case: Case, samples: list[RequestSample]) -> Figures:
    first = min((w.start for w in case.windows), default=math.inf)
    last = max((w.end for w in case.windows), default=math.inf)
    return {
        "availability": _share(samples),
        "availability.before": _share(s for s in samples if s.t < first),
        "availability.during": _share(s for s in samples if first <= s.t <= last),
        "availability.after": _share(s for s in samples if s.t > last),
    }


def _share(samples: Iterable[RequestSample]) -> float | None:
    ends = [s.end for s in samples if s.end not in ("rejected", "left")]
    return ends.count("ok") / len(ends) if ends else None
