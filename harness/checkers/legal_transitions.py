"""`legal-transitions`: only edges of the state machine, each with its recorded cause.

* `EDGES` is the machine: which cause may lead from which state to which.
* Each change starts where the worker's last one on that provider ended; the first starts from CLOSED.
* CONSECUTIVE_FAILURES needs `failure_threshold` failures: counted by the breaker, and seen in the worker's own
  attempts since it was last CLOSED anew.
* Who opens a provider by itself does so for no longer than the settings' cap on what made it do so (jitter included).
* What an operator holds open is neither probed nor closed before the hold ends, but by the fleet's word. It ends by
  its worker's clock: left out are workers whose clock a fault has moved.
* A record that the fleet's evidence opened (no worker changed to OPEN by itself; what one did may reach the store late,
  after it was reset there, but is younger than any closing the store knew of, or it forgot) needs as many failures,
  counted over all workers since one of them last closed the provider, and the store knew of it; and as many workers as
  the quorum asks, if none has voted. An operator's drain tells the state as it stands, and is none; and who had its
  clock moved does not know how old a finding of its own is.
* Only where a quorum is asked for may a change be private, and only a worker's own.
* A change caused by SYNC comes with a fleet record of the same epoch, applied by that worker, that says the same state.
"""

from __future__ import annotations

import math

from flexiai.core.circuit import Cause, Mode, State
from flexiai.events import RecordApplied, Transition
from flexiai.types import BreakerConfig
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally

_TRIPPED = frozenset({Cause.CONSECUTIVE_FAILURES, Cause.FAILURE_RATE, Cause.SLOW_RATE})
_TOLD_BY_PROVIDER = frozenset({Cause.RETRY_AFTER, Cause.MISCONFIGURED})

EDGES: dict[tuple[State, State], frozenset[Cause]] = {
    (State.CLOSED, State.OPEN): _TRIPPED | _TOLD_BY_PROVIDER | {Cause.SYNC, Cause.FORCED_OPEN},
    (State.OPEN, State.HALF_OPEN): frozenset({Cause.PROBE_GRANTED}),
    (State.OPEN, State.CLOSED): frozenset({Cause.SYNC, Cause.RESET}),
    (State.HALF_OPEN, State.CLOSED): frozenset({Cause.PROBE_SUCCEEDED, Cause.SYNC, Cause.RESET}),
    (State.HALF_OPEN, State.OPEN): _TOLD_BY_PROVIDER
    | {Cause.PROBE_FAILED, Cause.PROBE_ABANDONED, Cause.SYNC, Cause.FORCED_OPEN},
}

TOGETHER_S = 0.005
"""A worker emits what belongs to one decision within this time."""


def look(case: Case, tally: Tally) -> None:
    """Every change of every breaker."""
    failures = _failures(case)
    for key, changes in case.index.transitions.items():
        before, since = State.CLOSED, float("-inf")
        for change in changes:
            tally.checked += 1
            _edge(change, before, tally)
            _privacy(case, change, tally)
            _capped(case, change, tally)
            if change.cause is Cause.SYNC:
                _told(case, change, tally)
            elif change.to is not State.OPEN and change.cause is not Cause.RESET:
                _not_held(case, change, tally)
            if change.cause is Cause.CONSECUTIVE_FAILURES:
                seen = sum(since <= t <= change.t + TOGETHER_S for t in failures.get(key, ()))
                _threshold(case, change, seen, tally)
            before = change.to
            since = change.t if change.to is State.CLOSED else since

    for provider in case.providers:
        _by_evidence(case, provider, failures, tally)


def _privacy(case: Case, change: Transition, tally: Tally) -> None:
    if change.private and (case.scenario.sync.open_quorum < 2 or change.cause is Cause.SYNC):
        text = (
            f"{change.worker} went from {change.frm} to {change.to} on {change.provider} in private, without a reason"
        )
        tally.violate(change.t, text, change, worker=change.worker, provider=change.provider)


def _capped(case: Case, change: Transition, tally: Tally) -> None:
    longest = _longest_s(case.scenario.breaker, change.cause)
    of_itself = change.to is State.OPEN and change.cause not in (Cause.SYNC, Cause.FORCED_OPEN)
    if of_itself and change.open_for_s > longest + TOGETHER_S:
        text = f"{change.worker} opened {change.provider} for {change.open_for_s:.1f} s; {longest:.1f} s is the cap"
        tally.violate(change.t, text, change, worker=change.worker, provider=change.provider)


def _longest_s(breaker: BreakerConfig, cause: Cause) -> float:
    """For how long a provider may be opened for that cause."""
    if cause is Cause.MISCONFIGURED:
        return breaker.misconfigured_for_s
    if cause is Cause.RETRY_AFTER:
        return breaker.max_retry_after_s
    asked_s = breaker.max_retry_after_s if cause is Cause.PROBE_FAILED else 0.0
    return max(breaker.max_reset_timeout_s, asked_s)


def _by_evidence(case: Case, provider: str, failures: dict[tuple[str, str], list[float]], tally: Tally) -> None:
    """Each record that opened the provider although its worker had not."""
    if any(life.died for life in case.lives.values()):
        return  # what a killed worker had told may be in no journal
    changes = [c for c in case.changes(provider) if c.cause is not Cause.SYNC]
    seen: set[int] = set()
    closings: dict[int, float] = {}  # when found, by epoch: who hears of it first says nothing of the store's order
    for record in case.applied(provider):
        known = record.epoch in seen
        seen.add(record.epoch)
        if record.state is State.CLOSED:
            closings.setdefault(record.epoch, record.t - record.age_s)
        if known or record.state is not State.OPEN or record.reason is not Cause.CONSECUTIVE_FAILURES:
            continue
        if not record.reported and case.word_waits(record.origin, provider, record.t):
            continue  # a drain tells the state as it stands
        if case.clock_was_set(record.origin, record.t):
            continue  # it does not know how old its own finding is
        closed = max((t for epoch, t in closings.items() if epoch < record.epoch), default=-math.inf)
        before = [c for c in changes if c.t <= record.t and not _told_later(case, c, record)]
        since = max((c.t for c in before if c.to is State.CLOSED and not c.private), default=-math.inf)
        own = [c for c in before if c.t >= since and c.to is State.OPEN]
        late = [c for c in before if (c.t >= closed or _forgot(case, closed, record)) and c.to is State.OPEN]
        if any(c.worker == record.origin for c in (*own, *late)):
            continue
        tally.checked += 1
        told = [sum(since <= t <= record.t for t in at) for (_, p), at in failures.items() if p == provider]
        workers = sum(n > 0 for n in told)
        few = workers < case.scenario.sync.open_quorum and not any(c.private for c in own)
        if few or sum(told) < case.scenario.breaker.failure_threshold:
            text = f"{provider} was opened by the fleet's evidence of {sum(told)} failures, of {workers} workers"
            tally.violate(record.t, text, record, worker=record.origin, provider=provider)


def _forgot(case: Case, closed: float, record: RecordApplied) -> bool:
    """Whether the store may have lost, since it said so, that the provider was closed: then it takes any opening."""
    return not record.reported and any(w.fault.forgets and w.span.meets(closed, record.t) for w in case.redis_windows)


def _told_later(case: Case, change: Transition, record: RecordApplied) -> bool:
    """Whether a worker closed the provider, and the store heard of that only after it had made `record`."""
    return change.to is State.CLOSED and any(
        r.origin == change.worker
        and r.epoch > record.epoch
        and r.state is State.CLOSED
        and abs(r.t - r.age_s - change.t) <= TOGETHER_S
        for r in case.applied(change.provider)
    )


def _edge(change: Transition, before: State, tally: Tally) -> None:
    told = f"{change.frm} to {change.to} ({change.cause})"
    if change.frm is not before:
        text = f"{change.worker} went from {told}, but its breaker for {change.provider} was {before}"
        tally.violate(change.t, text, change, worker=change.worker, provider=change.provider)
    elif change.cause not in EDGES.get((change.frm, change.to), frozenset()):
        text = f"{change.worker} went from {told} on {change.provider}: there is no such edge"
        tally.violate(change.t, text, change, worker=change.worker, provider=change.provider)


def _told(case: Case, change: Transition, tally: Tally) -> None:
    records = case.index.records.get((change.worker, change.provider), [])
    if not any(
        r.epoch == change.epoch and r.state is change.to and r.t <= change.t + TOGETHER_S for r in reversed(records)
    ):
        text = (
            f"{change.worker} became {change.to} on {change.provider} because of record {change.epoch}, "
            "but it applied no such record"
        )
        tally.violate(change.t, text, change, *records[-1:], worker=change.worker, provider=change.provider)


def _not_held(case: Case, change: Transition, tally: Tally) -> None:
    if case.clock_was_set(change.worker, change.t):
        return
    for hold in case.holds.get((change.worker, change.provider), ()):
        if hold.mode is Mode.OPEN and hold.sure.start < change.t < hold.sure.end - TOGETHER_S:
            text = f"{change.worker} became {change.to} on {change.provider}, which an operator holds open"
            tally.violate(change.t, text, hold.proof, change, worker=change.worker, provider=change.provider)


def _threshold(case: Case, change: Transition, seen: int, tally: Tally) -> None:
    needed = case.scenario.breaker.failure_threshold
    if min(change.failure_count, seen) < needed:
        text = (
            f"{change.worker} opened {change.provider} after {min(change.failure_count, seen)} failures in a row; "
            f"it takes {needed}"
        )
        tally.violate(change.t, text, change, worker=change.worker, provider=change.provider)


def _failures(case: Case) -> dict[tuple[str, str], list[float]]:
    """When each worker's counted attempts on each provider failed."""
    times: dict[tuple[str, str], list[float]] = {}
    for attempt in case.index.attempts:
        ended = attempt.ended
        if ended is not None and attempt.failed and ended.counted:
            times.setdefault((ended.worker, ended.provider), []).append(ended.t)
    return times


CHECKER = Checker(
    id="legal-transitions",
    holds="Breakers take only the edges of the state machine, each for a cause that leads there.",
    vacuous="no breaker ever changed its state",
    look=look,
)
