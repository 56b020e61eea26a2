"""`redis-off-path`: no request's latency or outcome depends on Redis.

What a request costs inside its worker beyond its attempts is `RequestEnded.t - RequestStarted.t - (its attempts)`.
Over requests that a Redis fault could have touched (those of a worker that it was put on, while it lasted):

* none may cost more than `limit`: 3 × the 99.9 % quantile of the requests that no fault touched, but at least FLOOR_S,
  and at most 0.9 × the lesser of CEILING_S and Redis' own `operation_timeout`: a request that awaited a Redis
  operation to its timeout is always caught, machine noise hardly ever. If noise alone (3 × the quantile) is above that
  ceiling, nothing can be said and the finding is undecided;
* their median may not exceed the others' by more than SHIFT_S, given ENOUGH of each: every request paying a round trip
  is caught even where one round trip is short.

Requests of a worker that was frozen or died are left out: they cost what they cost for another reason.
That no request *fails* because of Redis is `no-failure-while-served`, for which a Redis fault is no excuse.
"""

from __future__ import annotations

from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.requests import Execution
from harness.checkers.spans import Span, meets_any
from harness.quantiles import quantile

FLOOR_S = 0.1
CEILING_S = 0.5
SHIFT_S = 0.01
ENOUGH = 20


def look(case: Case, tally: Tally) -> None:
    """Every request that ended on a worker, if Redis was ever at fault."""
    if not case.redis_windows:
        return
    spans = {w: [x.span for x in case.redis_windows if x.touches(life)] for w, life in case.lives.items()}
    touched: list[tuple[float, Execution]] = []
    others: list[float] = []
    for execution in case.index.executions:
        cost = _cost(case, execution)
        if cost is None:
            continue
        if _during(execution, spans[execution.started.worker]):
            touched.append((cost, execution))
        else:
            others.append(cost)
    tally.checked += len(touched)
    _each(case, touched, others, tally)
    _together(touched, others, tally)


def _cost(case: Case, execution: Execution) -> float | None:
    started, ended = execution.started, execution.ended
    if ended is None or case.lives[started.worker].paused(started.t, ended.t):
        return None
    asked = sum(a.ended.t - a.started.t for a in execution.attempts if a.ended is not None)
    return ended.t - started.t - asked


def _during(execution: Execution, spans: list[Span]) -> bool:
    ended = execution.ended
    return ended is not None and meets_any(spans, execution.started.t, ended.t)


def _each(case: Case, touched: list[tuple[float, Execution]], others: list[float], tally: Tally) -> None:
    ceiling = 0.9 * min(CEILING_S, case.scenario.sync.operation_timeout_s)
    noise = 3 * (quantile(others, 0.999) or 0.0)
    limit = min(max(FLOOR_S, noise), ceiling)
    slow = [(cost, e) for cost, e in touched if cost > limit]
    if slow and noise > ceiling:
        tally.undecided(f"requests that no Redis fault touched cost up to {noise / 3:.3f} s too: too noisy to tell")
        return
    for cost, execution in slow:
        s = execution.started
        text = f"request {s.request} spent {cost:.3f} s in {s.worker} outside its attempts while Redis was at fault"
        tally.violate(s.t, text, s, execution.ended, worker=s.worker)


def _together(touched: list[tuple[float, Execution]], others: list[float], tally: Tally) -> None:
    if min(len(touched), len(others)) < ENOUGH:
        return
    with_fault, without = quantile([c for c, _ in touched], 0.5) or 0.0, quantile(others, 0.5) or 0.0
    if with_fault - without > SHIFT_S:
        text = (
            f"the median request cost {with_fault:.3f} s outside its attempts under Redis faults, else {without:.3f} s"
        )
        tally.violate(touched[0][1].started.t, text, touched[0][1].started)


CHECKER = Checker(
    id="redis-off-path",
    holds="A Redis that is down, slow or gone adds nothing to any request.",
    vacuous="no request ran while Redis was at fault",
    look=look,
)
