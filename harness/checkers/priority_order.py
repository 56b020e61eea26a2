"""`priority-order`: a request goes to the best provider that its worker knows to be available.

Available is a provider whose breaker on that worker is CLOSED, or HALF_OPEN with no probe under way (a slot is free
for certain). At each attempt, no better provider that this request has not asked yet may be available, unless the
worker spared it, and had reason to: a ramp or an operator's drain, until their end, which is by the worker's own clock
(not judged if a fault moved that). One that is asked as the last resort must have been so spared, and then no other
provider at all may be available that was not.
"""

from __future__ import annotations

import math

from flexiai.core.circuit import Mode, State
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.requests import Attempt, Execution
from harness.checkers.spans import meets_any


def look(case: Case, tally: Tally) -> None:
    """Every attempt of every request."""
    rank = {name: n for n, name in enumerate(case.providers)}
    for execution in case.index.executions:
        tally.checked += len(execution.attempts)
        for n, attempt in enumerate(execution.attempts):
            if rank.get(attempt.started.provider, 0) > n or attempt.started.skipped or attempt.started.last_resort:
                _judge(case, execution, n, tally)


def _judge(case: Case, execution: Execution, n: int, tally: Tally) -> None:
    attempt = execution.attempts[n]
    s = attempt.started
    asked = {a.started.provider for a in execution.attempts[:n]}
    better = case.providers[: case.providers.index(s.provider)]
    others = tuple(name for name in case.providers if name != s.provider)
    for name in others if s.last_resort else better:
        if name not in asked and _available(case, attempt, name) and not _spared(case, attempt, name):
            text = f"request {s.request} went to {s.provider} although {name} was {_state(attempt, name)} on {s.worker}"
            tally.violate(s.t, text, execution.started, s, worker=s.worker, provider=name)
            return


def _spared(case: Case, attempt: Attempt, provider: str) -> bool:
    """Whether the worker held the provider back, and had reason to."""
    s, key = attempt.started, (attempt.started.worker, provider)
    why = attempt.spared.get(provider)
    moved = case.clock_was_set(s.worker, s.t)
    in_ramp = moved or meets_any(case.ramps.get(key, ()), s.t, s.t)
    drains = (h.span for h in case.holds.get(key, ()) if h.mode is Mode.DRAIN)
    drained = any(span.meets(s.t, s.t) or (moved and span.start <= s.t) for span in drains)
    if s.last_resort:  # who was spared before it was asked for is not told
        return in_ramp or drained
    return (why == "ramp" and in_ramp) or (why == "drain" and drained)


def _available(case: Case, attempt: Attempt, provider: str) -> bool:
    state = _state(attempt, provider)
    if state is State.HALF_OPEN:
        return not any(_under_way(a, attempt.started.t) for a in case.probes if _same(a, attempt, provider))
    return state is State.CLOSED


def _state(attempt: Attempt, provider: str) -> State:
    return attempt.view.get(provider, State.CLOSED)


def _same(probe: Attempt, attempt: Attempt, provider: str) -> bool:
    return probe.started.worker == attempt.started.worker and probe.started.provider == provider


def _under_way(probe: Attempt, t: float) -> bool:
    return probe.started.t <= t <= (probe.end if probe.end is not None else math.inf)


CHECKER = Checker(
    id="priority-order",
    holds="A request goes to the best provider that its worker knows to be available.",
    vacuous="no provider was asked",
    look=look,
)
