"""`converges`: after the last fault has healed, all live workers hold the same record within the bound.

Judged per provider and worker when the observation ends, against the newest record that any survivor holds. A worker
agrees when it applied exactly that record and its breaker says the same. HALF_OPEN is the probing worker's own form of
OPEN; and where the fleet asks a quorum, a worker may in private keep away from what the record says is CLOSED. Who
disagrees is in breach once `settle` has passed since the last Redis or worker fault, and `propagate` since the record
appeared, since the worker was ready, and since its own last change; before that it is undecided. While a Redis fault
lasts to the end there is no agreement to demand.
"""

from __future__ import annotations

from flexiai.core.circuit import Cause, State
from flexiai.events import RecordApplied, Transition
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.lives import Life


def look(case: Case, tally: Tally) -> None:
    """Every provider of which a record is known, and every worker at the end."""
    for provider in case.providers:
        held = {w.worker: _held(case, w, provider) for w in case.survivors}
        known = [r for r in held.values() if r is not None]
        if not known:
            continue
        newest = max(known, key=lambda r: r.epoch)
        for life in case.survivors:
            _judge(case, life, held[life.worker], newest, tally)


def _judge(case: Case, life: Life, held: RecordApplied | None, newest: RecordApplied, tally: Tally) -> None:
    state = case.state(life.worker, newest.provider, case.observed_until)
    private = newest.state is State.CLOSED and _in_private(case, life, newest.provider)
    if held is not None and _same(held, newest) and (private or _matches(state, newest.state)):
        tally.checked += 1
        return
    if any(not w.healed and w.touches(life) for w in case.redis_windows):
        return
    if case.observed_until <= _deadline(case, life, newest):
        tally.undecided(f"the run ended before {life.worker} had to agree about {newest.provider}")
        return
    tally.checked += 1
    at = f"record {held.epoch} ({held.state})" if held is not None else "no record"
    text = (
        f"in the end {life.worker} held {at} of {newest.provider} and was {state}; "
        f"{newest.worker} held record {newest.epoch} ({newest.state})"
    )
    tally.violate(case.observed_until, text, held, newest, worker=life.worker, provider=newest.provider)


def _deadline(case: Case, life: Life, newest: RecordApplied) -> float:
    provider = newest.provider
    appeared = min(r.t for r in case.applied(provider) if r.epoch == newest.epoch)
    disturbed = [w.over for w in case.windows if w.fault.of != "provider"] + [p.end for p in life.pauses]
    changed = [c.t for c in case.index.transitions.get((life.worker, provider), []) if _own(c)]
    settled = max(disturbed, default=0.0) + (case.bounds.settle if disturbed else 0.0)
    return max(settled, max([appeared, life.ready or 0.0, *changed]) + case.bounds.propagate)


def _own(change: Transition) -> bool:
    """Whether the worker changed its mind by itself, which the fleet has yet to learn."""
    return change.to is not State.HALF_OPEN and change.cause not in (Cause.SYNC, Cause.PROBE_ABANDONED)


def _in_private(case: Case, life: Life, provider: str) -> bool:
    """Whether its last change was its own affair, by a rule that the scenario has."""
    changes = [c for c in case.index.transitions.get((life.worker, provider), []) if c.t <= case.observed_until]
    return case.scenario.sync.open_quorum > 1 and bool(changes) and changes[-1].private


def _held(case: Case, life: Life, provider: str) -> RecordApplied | None:
    records = case.index.records.get((life.worker, provider), [])
    return next((r for r in reversed(records) if r.t <= case.observed_until), None)


def _same(a: RecordApplied, b: RecordApplied) -> bool:
    return (a.epoch, a.state, a.origin, a.since_ms) == (b.epoch, b.state, b.origin, b.since_ms)


def _matches(own: State, record: State) -> bool:
    return own is record or (own is State.HALF_OPEN and record is State.OPEN)


CHECKER = Checker(
    id="converges",
    holds="After the last fault has healed all live workers hold the same record of each provider.",
    vacuous="no worker held a record at the end",
    look=look,
)
