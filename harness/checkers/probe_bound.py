"""`probe-bound`: with Redis reachable, one worker at most probes a provider at a time, with its number bounded.

* The number is `half_open_max_calls`.
* A probe counts from its start to its end, but no longer than the HALF_OPEN life of its breaker in which it began: one
  that outlives its round (another probe of it has failed) is no longer a probe of this one.
* The bound per worker holds always; in HALF_OPEN nothing but probes may be sent.
* The bound over workers holds for probes during which no fault stood between their worker and Redis, the worker was
  not frozen or blocked (it knows of Redis what it knew before), nor its clock moved (set back, it stops the timers, as
  if the worker were frozen: a lease may end meanwhile, and the way back to Redis begins after), and Redis had not just
  lost what it held (the lease goes with the rest). Nor may the worker have probed alone because it still took Redis for
  gone: after a fault it does until it has heard of it again, at its next reading at the latest (`propagate`).
"""

from __future__ import annotations

import math
from itertools import combinations

from flexiai.core.circuit import State
from flexiai.events import NoticeIgnored, ProbeLease, RecordApplied, SyncUp
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.requests import Attempt
from harness.checkers.spans import Span, meets_any


def look(case: Case, tally: Tally) -> None:
    """Every probe, and every attempt on a HALF_OPEN provider."""
    for attempt in case.index.attempts:
        started = attempt.started
        if not started.probe and attempt.view.get(started.provider) is State.HALF_OPEN:
            text = f"{started.worker} asked {started.provider}, which is HALF_OPEN, without its being a probe"
            tally.violate(started.t, text, started, worker=started.worker, provider=started.provider)
    for provider in case.providers:
        probes = [(a, _life_of(case, a)) for a in case.probes if a.started.provider == provider]
        tally.checked += len(probes)
        _per_worker(case, probes, tally)
        _over_workers(case, probes, tally)


def _life_of(case: Case, probe: Attempt) -> Span:
    ends = (probe.end, case.leaves_half_open(probe), case.lives[probe.started.worker].gone)
    return Span(probe.started.t, min(e if e is not None else math.inf for e in ends))


def _per_worker(case: Case, probes: list[tuple[Attempt, Span]], tally: Tally) -> None:
    most = case.scenario.breaker.half_open_max_calls
    for probe, life in probes:
        s = probe.started
        beside = [a for a, other in probes if a.started.worker == s.worker and other.start <= life.start < other.end]
        if len(beside) > most:
            text = f"{s.worker} had {len(beside)} probes of {s.provider} under way; {most} are allowed"
            tally.violate(s.t, text, *(a.started for a in beside), worker=s.worker, provider=s.provider)


def _over_workers(case: Case, probes: list[tuple[Attempt, Span]], tally: Tally) -> None:
    leased = [(a, life) for a, life in probes if _with_redis(case, a, life)]
    for (one, a), (two, b) in combinations(leased, 2):
        if one.started.worker != two.started.worker and a.start < b.end and b.start < a.end:
            s = two.started
            text = f"{one.started.worker} and {s.worker} probed {s.provider} at the same time"
            tally.violate(max(a.start, b.start), text, one.started, s, worker=s.worker, provider=s.provider)


def _with_redis(case: Case, probe: Attempt, life: Span) -> bool:
    worker, since = probe.started.worker, life.start - case.bounds.lease
    until = min(life.end, case.end)
    lost = (w.span for w in case.redis_windows if w.fault.forgets)
    moved = (w for w in case.windows if w.fault.of == "clock" and w.touches(case.lives[worker]))
    clocks = (Span(w.start, w.over + case.bounds.rejoin) for w in moved)
    return not (
        meets_any(case.cuts[worker], life.start, until)
        or _alone_unheard(case, probe)
        or meets_any(lost, since, until)
        or meets_any(clocks, since, until)
        or case.stood_still(worker, since, until)
    )


def _alone_unheard(case: Case, probe: Attempt) -> bool:
    """Whether a worker probed alone that a fault had kept from Redis, and that had heard nothing from there since."""
    worker, t = probe.started.worker, probe.started.t
    leases = [e for e in case.all(ProbeLease) if e.worker == worker and e.t <= t]
    own = [e.action for e in leases if e.provider == probe.started.provider]
    if own[-1:] != ["alone"]:
        return False
    cutting = (w for w in case.redis_windows if w.fault.name != "drop_messages" and w.touches(case.lives[worker]))
    over = max((w.end for w in cutting if w.end <= t), default=-math.inf)
    news = (*case.all(NoticeIgnored), *case.all(RecordApplied), *case.all(SyncUp))
    heard = [e.t for e in news if e.worker == worker] + [e.t for e in leases if e.action != "alone"]
    return t - over <= case.bounds.propagate and not any(over < at <= t for at in heard)


CHECKER = Checker(
    id="probe-bound",
    holds="With Redis reachable, one worker at most probes a provider at a time, with half_open_max_calls at most.",
    vacuous="nobody probed",
    look=look,
)
