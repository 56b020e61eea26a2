"""`neutral-is-neutral`: a caller's own error, or its leaving, never moves a breaker.

* At the moment at which an attempt ends NEUTRAL its worker's breaker for that provider makes no change that results
  make, unless another attempt on it ended with a result at that very moment.
* It goes to the caller: the request that met it asks nobody else.
* Where a caller left, the attempt that its leaving ended is nobody's failure.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from flexiai.core.circuit import Cause
from flexiai.core.outcome import Outcome, Trouble
from flexiai.events import AttemptEnded, RequestEnded, Transition
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.legal_transitions import TOGETHER_S
from harness.checkers.requests import Attempt

_THE_CALLERS = frozenset({Trouble.STATUS, Trouble.INVALID_REQUEST, Trouble.CONTENT_FILTER})
_NOT_FROM_RESULTS = frozenset(
    {Cause.PROBE_GRANTED, Cause.PROBE_ABANDONED, Cause.FORCED_OPEN, Cause.RESET, Cause.SYNC, Cause.START}
)


def look(case: Case, tally: Tally) -> None:
    """Every attempt that ended neutral, and every request whose caller left."""
    for execution in case.index.executions:
        if execution.ended is not None and execution.ended.result == "cancelled" and execution.attempts:
            _judge_leaving(execution.ended, execution.attempts[-1], tally)
    neutral = [e for e in case.all(AttemptEnded) if e.outcome is Outcome.NEUTRAL]
    tally.checked += len(neutral)
    if not neutral:
        return
    results: dict[tuple[str, str], list[float]] = defaultdict(list)
    for e in case.all(AttemptEnded):
        if e.outcome is not Outcome.NEUTRAL:
            results[e.worker, e.provider].append(e.t)
    _goes_to_the_caller(case, tally)
    for e in neutral:
        change = _change_with(case, e)
        near = change is not None and any(abs(t - change.t) <= TOGETHER_S for t in results[e.worker, e.provider])
        if change is not None and not near:
            text = (
                f"request {e.request} ended neutral, and {e.worker} took {e.provider} from {change.frm} to {change.to}"
            )
            tally.violate(e.t, text, e, change, worker=e.worker, provider=e.provider)


def _judge_leaving(ended: RequestEnded, last: Attempt, tally: Tally) -> None:
    tally.checked += 1
    if last.failed:
        text = f"the caller of request {ended.request} left, and {last.started.provider} was blamed for it"
        tally.violate(
            ended.t, text, last.started, last.ended, ended, worker=ended.worker, provider=last.started.provider
        )


def _goes_to_the_caller(case: Case, tally: Tally) -> None:
    for execution in case.index.executions:
        for attempt, after in pairwise(execution.attempts):
            ended = attempt.ended
            if ended is not None and ended.outcome is Outcome.NEUTRAL and ended.trouble in _THE_CALLERS:
                who = after.started.provider
                text = f"{ended.provider} found {ended.request} to be its caller's own error, and {who} was asked then"
                tally.violate(after.started.t, text, ended, after.started, worker=ended.worker, provider=ended.provider)


def _change_with(case: Case, ended: AttemptEnded) -> Transition | None:
    changes = case.index.transitions.get((ended.worker, ended.provider), [])
    return next((c for c in changes if abs(c.t - ended.t) <= TOGETHER_S and c.cause not in _NOT_FROM_RESULTS), None)


CHECKER = Checker(
    id="neutral-is-neutral",
    holds="A caller's own error, or its leaving, never moves a breaker.",
    vacuous="no attempt ended neutral, and no caller left",
    look=look,
)
