"""`priority-order`: a request goes to the best provider that its worker knows to be available.

Available is a provider whose breaker on that worker is CLOSED, or HALF_OPEN with no probe under way (a slot is free
for certain). At each attempt, no better provider that this request has not asked yet may be available.
"""

from __future__ import annotations

import math

from flexiai.core.circuit import State
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.requests import Attempt, Execution


def look(case: Case, tally: Tally) -> None:
    """Every attempt of every request."""
    rank = {name: n for n, name in enumerate(case.providers)}
    for execution in case.index.executions:
        tally.checked += len(execution.attempts)
        for n, attempt in enumerate(execution.attempts):
            if rank.get(attempt.started.provider, 0) > n or attempt.started.skipped:
                _judge(case, execution, n, tally)


def _judge(case: Case, execution: Execution, n: int, tally: Tally) -> None:
    attempt = execution.attempts[n]
    s = attempt.started
    asked = {a.started.provider for a in execution.attempts[:n]}
    better = case.providers[: case.providers.index(s.provider)]
    for name in better:
        if name not in asked and _available(case, attempt, name):
            text = f"request {s.request} went to {s.provider} although {name} was {_state(attempt, name)} on {s.worker}"
            tally.violate(s.t, text, execution.started, s, worker=s.worker, provider=name)
            return


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
