"""`result-before-lease`: a probe's result reaches the store before the right to probe goes back.

An occasion is a worker that gave the lease back after a probe of its own had closed or re-opened the provider. Between
the two it must have heard the store's answer: the record that this made. Else the next holder probes what has just been
probed, and knows nothing of it. Left out: a result that concerned this worker alone, one that waited for as long as a
lease lives, one that an operator's word replaced, and workers that a fault kept from Redis, or that were about to end.
"""

from __future__ import annotations

from flexiai.core.circuit import Cause
from flexiai.events import OperatorActed, ProbeLease, Transition
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.spans import meets_any

_RESULTS = frozenset({Cause.PROBE_SUCCEEDED, Cause.PROBE_FAILED})
SURELY = 0.5
"""The share of a lease that is left for certain when a result comes: it is renewed three times in its life."""


def look(case: Case, tally: Tally) -> None:
    """Every lease that was given back."""
    for lease in case.all(ProbeLease):
        if lease.action != "released":
            continue
        result = _result(case, lease)
        if result is None or _excused(case, result, lease):
            continue
        tally.checked += 1
        records = case.index.records.get((lease.worker, lease.provider), [])
        if not any(result.t <= r.t <= lease.t for r in records):
            text = f"{lease.worker} gave back the right to probe {lease.provider} before the store knew its result"
            tally.violate(lease.t, text, result, lease, worker=lease.worker, provider=lease.provider)


def _result(case: Case, lease: ProbeLease) -> Transition | None:
    """The result with which this holder's round ended, if that was its last change."""
    changes = case.index.transitions.get((lease.worker, lease.provider), [])
    last = next((c for c in reversed(changes) if c.t <= lease.t), None)
    return last if last is not None and last.cause in _RESULTS and not last.private else None


def _excused(case: Case, result: Transition, lease: ProbeLease) -> bool:
    sync, life = case.scenario.sync, case.lives[lease.worker]
    since = result.t - sync.lease_s - sync.operation_timeout_s
    told = (e for e in case.all(OperatorActed) if (e.worker, e.provider) == (lease.worker, lease.provider))
    return (
        lease.t - result.t >= SURELY * sync.lease_s
        or any(result.t <= e.t <= lease.t for e in told)
        or meets_any(case.cuts[lease.worker], since, lease.t)
        or case.excuses_slowness(lease.worker, since, lease.t)
        or life.gone <= lease.t + 2 * sync.operation_timeout_s + case.bounds.prompt
    )


CHECKER = Checker(
    id="result-before-lease",
    holds="A probe's result reaches the store before the right to probe goes back.",
    vacuous="nobody who could reach Redis gave the right to probe back after a result",
    look=look,
)
