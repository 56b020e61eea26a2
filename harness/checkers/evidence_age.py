"""`evidence-age`: a record says when its evidence was seen, not when the store heard of it.

`since_ms` is the store's time of the worker's transition: the last one before it was sent. Between the store's clock
and the history's there is one offset, which the records that were accepted at once show; every other record of an own
transition must agree with it within TOLERANCE_S and some round trips; and within an operation's time besides, if a
fault stood in its way. What was seen before a partition must not pass for news after it.

Left out: records that were not made by a transition of that state on that worker (a restored record, an operator's
word, a longer Retry-After; what the fleet's evidence opened, when the worker's own proposal had failed), workers whose
clock was disturbed, and runs in which Redis changed its clock or place.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from flexiai.core.circuit import Cause, State
from flexiai.events import ProposalFailed, ProposalSent, RecordApplied, Transition
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.index import Key
from harness.checkers.spans import meets_any

AT_ONCE_S = 0.05
TOLERANCE_S = 0.25
TRIPS = 6
_NOT_ITS_OWN = frozenset({Cause.SYNC, Cause.RESET, Cause.RETRY_AFTER, Cause.FORCED_OPEN, Cause.PROBE_ABANDONED})


def look(case: Case, tally: Tally) -> None:
    """Every accepted record of a worker's own transition."""
    if any(w.fault.of == "clock" or w.fault.name in ("failover",) for w in case.windows):
        return
    sent: dict[Key, list[float]] = {}
    for proposal in case.all(ProposalSent):
        sent.setdefault((proposal.worker, proposal.provider), []).append(proposal.t)
    failed: dict[Key, list[float]] = {}
    for lost in case.all(ProposalFailed):
        failed.setdefault((lost.worker, lost.provider), []).append(lost.t)
    accepted = (r for r in case.all(RecordApplied) if r.accepted)
    made = [(r, t) for r in accepted if (t := _made_by(case, r, sent, failed)) is not None]
    offsets = sorted(r.since_ms / 1000 - t.t for r, t in made if r.t - t.t <= AT_ONCE_S)
    if not offsets:
        return
    offset, allowed_s = offsets[len(offsets) // 2], TOLERANCE_S + TRIPS * case.scenario.redis.latency.p99
    for record, change in made:
        tally.checked += 1
        # an age is counted when a command is sent: what a fault then holds on its way arrives later, and still counts
        held = meets_any(case.cuts[record.worker], change.t, record.t)
        may_s = allowed_s + case.scenario.sync.operation_timeout_s * held
        late_s = record.since_ms / 1000 - offset - change.t
        if not -allowed_s <= late_s <= may_s:
            text = f"record {record.epoch} says that {record.worker} saw it {late_s:.2f} s later than it did"
            tally.violate(record.t, text, change, record, worker=record.worker, provider=record.provider)


def _made_by(
    case: Case, record: RecordApplied, sent: dict[Key, list[float]], failed: dict[Key, list[float]]
) -> Transition | None:
    """The worker's own transition that the record tells of."""
    if record.reason in _NOT_ITS_OWN or record.origin != record.worker:
        return None
    key = record.worker, record.provider
    times, changes = sent.get(key, []), case.index.transitions.get(key, [])
    at = bisect_left(times, record.t)  # what is sent at the moment of a reply is the next
    told_s = times[at - 1] if at else record.t
    if any(told_s <= t <= record.t for t in failed.get(key, ())):
        return None
    own = [c for c in changes[: bisect_right(changes, told_s, key=lambda c: c.t)] if c.to is not State.HALF_OPEN]
    if not own or own[-1].to is not record.state or own[-1].cause is not record.reason:
        return None
    return own[-1]


CHECKER = Checker(
    id="evidence-age",
    holds="A record says when its evidence was seen, not when the store heard of it.",
    vacuous="no record of a worker's own transition was accepted",
    look=look,
)
