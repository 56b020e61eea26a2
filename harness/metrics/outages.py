"""What outages cost: detection, attempts in vain, probes, recovery.

A provider's *opening* is one stretch of the fleet's time: from a first worker's own change from CLOSED to OPEN, or from
the report by which the fleet's evidence opened it, until a first worker closes it again by a probe that succeeded or by
a reset. Workers that trip meanwhile open nothing new; what a worker does in private opens and closes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from flexiai.core.circuit import Cause, State
from flexiai.events import Transition
from harness.checkers.case import Case
from harness.checkers.requests import Attempt
from harness.checkers.spans import Span, meets_any
from harness.checkers.windows import Window
from harness.metrics.sync import made
from harness.quantiles import of_sorted

Figures = dict[str, float | None]

_QS = {"p50": 0.5, "p90": 0.9, "max": 1.0}
_CLOSING = frozenset({Cause.PROBE_SUCCEEDED, Cause.RESET})
_FAILED_ROUND = frozenset({Cause.PROBE_FAILED, Cause.RETRY_AFTER, Cause.MISCONFIGURED})


def openings(case: Case, provider: str) -> list[Span]:
    """The stretches during which the provider was open for the fleet; the last one may last to infinity."""
    found: list[Span] = []
    began: float | None = None
    closed_on = -1.0
    for t, closes, epoch in sorted(_turns(case, provider)):
        if began is None and not closes and epoch > closed_on:
            began = t
        elif began is not None and closes:
            found.append(Span(began, t))
            began, closed_on = None, epoch
    return [*found, Span(began, math.inf)] if began is not None else found


def _turns(case: Case, provider: str) -> Iterator[tuple[float, bool, float]]:
    """What may open or close a provider for the fleet: (when, closes it?, the epoch it stands on or says).

    A worker's own opening is news whatever it stands on; a record is, unless it is older than the closing.
    """
    for change in case.changes(provider):
        if change.private:
            continue
        if change.to is State.OPEN and change.frm is State.CLOSED and change.cause is not Cause.SYNC:
            yield change.t, False, math.inf
        elif change.to is State.CLOSED and change.cause in _CLOSING:
            yield change.t, True, change.epoch
    for news in made(case):
        if news.provider == provider and news.state is State.OPEN:
            yield news.t, False, news.record.epoch


def outage_figures(case: Case) -> Figures:
    """The metrics of this file."""
    opened = {p: openings(case, p) for p in case.providers}
    of_providers = (w for w in case.windows if w.fault.of == "provider")
    spoiled = [(w, opened[w.fault.provider]) for w in of_providers if w.spoils(w.fault.provider)]
    detections = sorted(d for w, spans in spoiled if (d := _detection(w, spans)) is not None)
    recoveries = sorted(r for w, _ in spoiled if w.healed and (r := _recovery(case, w)) is not None)
    spans = [s for each in opened.values() for s in each]
    firsts = [(w, s) for w, opened_at in spoiled if (s := _first(w, opened_at)) is not None]
    return {
        "failing_attempts": sum(a.failed for a in case.index.attempts),
        "duplicate_attempts": sum(_duplicates(case, w) for w, _ in spoiled),
        "attempts_to_open": max((_in_a_row(case, w, s) for w, s in firsts), default=None),
        "attempts_in_flight_at_open": max((_under_way(case, w, s) for w, s in firsts), default=None),
        "stale_attempts": _stale(case, opened),
        "probes": len(case.probes),
        "probing_workers_max": max((_most_probing(case, p) for p in case.providers), default=0),
        "detection_s": max(detections, default=None),
        "recovery_s": max(recoveries, default=None),
        **{f"detection.{n}": of_sorted(detections, q) for n, q in _QS.items()},
        **{f"recovery.{n}": of_sorted(recoveries, q) for n, q in _QS.items()},
        "opens": len(spans),
        "closes": sum(math.isfinite(s.end) for s in spans),
        "reopens": sum(_failed_round(c) for c in case.all(Transition)),
        "private_opens": sum(c.private and c.frm is State.CLOSED for c in case.all(Transition)),
    }


def _failed_round(change: Transition) -> bool:
    return change.frm is State.HALF_OPEN and change.to is State.OPEN and change.cause in _FAILED_ROUND


def _first(window: Window, spans: list[Span]) -> float | None:
    """When the fault first opened the provider; None if it did not, or if it was open already."""
    if meets_any(spans, window.start, window.start):
        return None
    return min((s.start for s in spans if window.start < s.start <= window.end), default=None)


def _in_a_row(case: Case, window: Window, opened_at: float) -> int:
    """The failing attempts that had ended when it was opened, since any of the fleet last succeeded."""
    ended = [a for a in _attempts(case, window) if a.end is not None and a.end <= opened_at]
    ok_at = max((a.end for a in ended if a.end is not None and a.succeeded), default=-math.inf)
    return sum(a.failed and a.end is not None and a.end > ok_at for a in ended)


def _under_way(case: Case, window: Window, opened_at: float) -> int:
    """The failing attempts that had begun then, and ended later."""
    return sum(a.failed and a.end is not None and a.started.t <= opened_at < a.end for a in _attempts(case, window))


def _attempts(case: Case, window: Window) -> list[Attempt]:
    return [a for a in case.index.attempts if a.started.provider == window.fault.provider]


def _detection(window: Window, spans: list[Span]) -> float | None:
    """From the fault to the opening it caused."""
    opened_at = _first(window, spans)
    return None if opened_at is None else opened_at - window.start


def _recovery(case: Case, window: Window) -> float | None:
    """From the fault's end until no survivor was other than CLOSED, if they all got there before the next fault."""
    provider = window.fault.provider
    later = [w.start for w in case.windows if w.spoils(provider) and w.start > window.end]
    until = min([*later, case.observed_until])
    closed = 0.0
    for life in case.survivors:
        if case.state(life.worker, provider, until) is not State.CLOSED:
            return None
        changes = case.index.transitions.get((life.worker, provider), [])
        closed = max([closed, *(c.t - window.end for c in changes if window.end < c.t <= until)])
    return closed


def _duplicates(case: Case, window: Window) -> int:
    """Failing attempts that began in the window, beyond the first `failure_threshold` that nobody could avoid."""
    provider = window.fault.provider
    failing = sum(
        a.failed and not a.started.probe and window.start <= a.started.t <= window.end
        for a in case.index.attempts
        if a.started.provider == provider
    )
    return max(0, failing - case.scenario.breaker.failure_threshold)


def _stale(case: Case, opened: dict[str, list[Span]]) -> int:
    if not any(opened.values()):
        return 0
    return sum(
        not a.started.probe and any(s.start < a.started.t < s.end for s in opened.get(a.started.provider, ()))
        for a in case.index.attempts
    )


def _most_probing(case: Case, provider: str) -> int:
    """Most workers with probes of one provider under way at a time (each probe within its own HALF_OPEN life)."""
    spans = [
        (a.started.worker, a.started.t, min(a.end if a.end is not None else math.inf, case.leaves_half_open(a)))
        for a in case.probes
        if a.started.provider == provider
    ]
    return max((len({w for w, s, e in spans if s <= at < e or at == s}) for _, at, _ in spans), default=0)
