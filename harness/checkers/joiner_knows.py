"""`joiner-knows`: a worker started during an outage does not rediscover it.

An occasion is a worker that started after the run began, a provider whose newest record, as its fleet had applied it
before that start, said OPEN, and a request on that worker while this was still the newest. Until somebody applies a
newer record, or a probe of the joiner's own has closed it, the joiner may send that provider nothing but probes. Left
out: joiners that a fault kept from Redis, and those that joined a Redis which had just lost what it held.
"""

from __future__ import annotations

import math

from flexiai.core.circuit import Cause, State
from flexiai.events import RecordApplied
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.lives import Life
from harness.checkers.spans import meets_any


def look(case: Case, tally: Tally) -> None:
    """Every worker that joined, and every provider that was OPEN then."""
    for life in case.lives.values():
        if life.began > 0 and life.ready is not None and not _kept_away(case, life):
            for provider in case.providers:
                _judge(case, life, provider, tally)


def _judge(case: Case, life: Life, provider: str, tally: Tally) -> None:
    record = _fleets(case, life, provider)
    if record is None or record.state is not State.OPEN:
        return
    newer = (r.t for r in case.applied(provider) if r.epoch > record.epoch)
    changes = case.index.transitions.get((life.worker, provider), ())
    closed = (c.t for c in changes if c.cause in (Cause.PROBE_SUCCEEDED, Cause.RESET))
    until = min([*newer, *closed], default=math.inf)
    served = [e for e in case.index.executions if e.started.worker == life.worker and e.started.t < until]
    tally.checked += bool(served)
    for attempt in (a for e in served for a in e.attempts):
        s = attempt.started
        if s.provider == provider and not s.probe and s.t < until:
            text = f"{life.worker} joined while {provider} was known to be OPEN (record {record.epoch}), and asked it"
            tally.violate(s.t, text, record, s, worker=life.worker, provider=provider)
            return


def _fleets(case: Case, life: Life, provider: str) -> RecordApplied | None:
    """The newest record that another worker had applied before this one began."""
    earlier = [r for r in case.applied(provider) if r.t < life.began and r.worker != life.worker]
    return max(earlier, key=lambda r: r.epoch, default=None)


def _kept_away(case: Case, life: Life) -> bool:
    ready = life.ready if life.ready is not None else math.inf
    lost = (w.span for w in case.redis_windows if w.fault.forgets)
    return meets_any(case.cuts[life.worker], life.began, ready) or meets_any(
        lost, life.began - case.bounds.settle, ready
    )


CHECKER = Checker(
    id="joiner-knows",
    holds="A worker that starts during an outage does not rediscover it.",
    vacuous="no worker that could reach Redis joined while a provider was OPEN",
    look=look,
)
