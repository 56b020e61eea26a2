"""`evidence-age`: a record says when its evidence was seen, not when the store heard of it.

`since_ms` is the store's time of what the record tells of. Of a worker's own transition: the last one before it was
told. Of what a worker's report opened: the last of the failures that the store knew of, so neither before the last one
of that worker nor after the last one of all. Between the store's clock and the history's there is one offset, which the
records that were accepted at once show; every other record must agree with it within TOLERANCE_S and some round trips,
whatever held it up: what was seen before a partition must not pass for news after it. Only a worker that the store
had not answered yet knows nothing of its clock; what that one tells may be younger by an operation's time.

Left out: records that were not made by a transition of that state on that worker (a restored record, an operator's
word, a longer Retry-After), workers whose clock was disturbed, and runs in which Redis changed its clock or place.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from flexiai.core.circuit import Cause, State
from flexiai.events import AttemptEnded, EvidenceSent, ProposalSent, RecordApplied, Transition
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.index import Key

AT_ONCE_S = 0.05
TOLERANCE_S = 0.25
TRIPS = 6
_NOT_ITS_OWN = frozenset({Cause.SYNC, Cause.RESET, Cause.RETRY_AFTER, Cause.FORCED_OPEN, Cause.PROBE_ABANDONED})


class _Seen(NamedTuple):
    """What a record tells of: what was seen neither before `after` nor after `by`, and was told at `told`."""

    after: float
    by: float
    told: float
    proof: Transition | AttemptEnded


def look(case: Case, tally: Tally) -> None:
    """Every record that a worker's own transition or report has made."""
    if any(w.fault.of == "clock" or w.fault.name in ("failover",) for w in case.windows):
        return
    telling = _Telling(case)
    made = [(r, seen) for r in case.all(RecordApplied) if r.accepted and (seen := telling.seen(r)) is not None]
    offsets = sorted(r.since_ms / 1000 - s.by for r, s in made if s.after == s.by and r.t - s.by <= AT_ONCE_S)
    if not offsets:
        return
    offset, allowed_s = offsets[len(offsets) // 2], TOLERANCE_S + TRIPS * case.scenario.redis.latency.p99
    for record, seen in made:
        tally.checked += 1
        ups = (t for t, up in case.lives[record.worker].sync if up)
        stranger = seen.told <= next(ups, math.inf)
        may_s = allowed_s + case.scenario.sync.operation_timeout_s * stranger
        at = record.since_ms / 1000 - offset
        if not seen.after - allowed_s <= at <= seen.by + may_s:
            late_s = at - (seen.by if at > seen.by else seen.after)
            text = f"record {record.epoch} says that {record.worker} saw it {late_s:.2f} s later than it did"
            tally.violate(record.t, text, seen.proof, record, worker=record.worker, provider=record.provider)


class _Telling:
    """What the workers told the store, and what they could tell of."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._changes = case.index.transitions
        self._proposed = _times(case.all(ProposalSent))
        self._reported = _times(e for e in case.all(EvidenceSent) if e.failures)
        self._failed: dict[str, list[AttemptEnded]] = defaultdict(list)
        for ended in case.all(AttemptEnded):
            if ended.counted and ended.outcome.fails_over:
                self._failed[ended.provider].append(ended)

    def seen(self, record: RecordApplied) -> _Seen | None:
        """What the record tells of; None: it is not of its worker's making, or not in a way that shows."""
        if record.origin != record.worker:
            return None
        return self._in_a_row(record) if record.reported else self._change(record)

    def _in_a_row(self, record: RecordApplied) -> _Seen | None:
        told = _last_before(record.t, self._reported[record.worker, record.provider])
        failed = [e for e in self._failed[record.provider] if e.t <= record.t]
        own = [e.t for e in failed if e.worker == record.worker and e.t <= told]
        return _Seen(own[-1], failed[-1].t, told, failed[-1]) if own else None

    def _change(self, record: RecordApplied) -> _Seen | None:
        key = record.worker, record.provider
        told = _last_before(record.t, self._proposed[key])
        changes = self._changes.get(key, [])
        own = [c for c in changes[: bisect_right(changes, told, key=_time)] if c.to is not State.HALF_OPEN]
        if not own or record.reason in _NOT_ITS_OWN or (own[-1].to, own[-1].cause) != (record.state, record.reason):
            return None
        if self._case.word_waits(*key, record.t):
            return None  # a drain tells the state as it stands
        return _Seen(own[-1].t, own[-1].t, told, own[-1])


def _times(events: Iterable[ProposalSent | EvidenceSent]) -> defaultdict[Key, list[float]]:
    times: defaultdict[Key, list[float]] = defaultdict(list)
    for event in events:
        times[event.worker, event.provider].append(event.t)
    return times


def _last_before(t: float, times: list[float]) -> float:
    """The last of `times` before `t`: what is sent at the moment of a reply is the next. `t` where there is none."""
    at = bisect_left(times, t)
    return times[at - 1] if at else t


def _time(change: Transition) -> float:
    return change.t


CHECKER = Checker(
    id="evidence-age",
    holds="A record says when its evidence was seen, not when the store heard of it.",
    vacuous="no record of a worker's own transition was accepted",
    look=look,
)
