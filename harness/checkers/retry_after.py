"""`retry-after`: no attempt on a provider inside the time it asked to be left alone, once the worker knew.

A worker knows by its own failed answer with Retry-After (capped at `max_retry_after`; an answer that refused our
credentials says nothing about time). The fleet is not told again of a time that differs by less than a tenth, so the
last TENTH of the time is nobody's breach, nor is its last CLOCK_S. An operator's reset ends the time. (What the other
workers owe to it they owe as OPEN records: `refuse-when-open`.) Left out: workers whose clock a fault has moved.
"""

from __future__ import annotations

import math

from flexiai.core.circuit import Cause
from flexiai.core.outcome import Outcome
from flexiai.events import AttemptEnded
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.requests import Attempt

_HEEDED = frozenset({Outcome.FAILURE, Outcome.RATE_LIMITED})
TENTH = 0.1
CLOCK_S = 0.02


def look(case: Case, tally: Tally) -> None:
    """Every answer with Retry-After."""
    answers = (e for e in case.all(AttemptEnded) if e.retry_after_s is not None and e.outcome in _HEEDED)
    asked = [e for e in answers if _until(case, e) > e.t]  # of a shorter time nothing is left to check
    tally.checked += len(asked)
    attempts: dict[tuple[str, str], list[Attempt]] = {}
    for attempt in case.index.attempts if asked else ():
        attempts.setdefault((attempt.started.worker, attempt.started.provider), []).append(attempt)
    for e in asked:
        until = _until(case, e)
        early = next((a for a in attempts[e.worker, e.provider] if e.t < a.started.t < until), None)
        if early is not None and not case.clock_was_set(e.worker, early.started.t):
            s = early.started
            text = f"{e.worker} asked {e.provider} {s.t - e.t:.1f} s after being asked for {e.retry_after_s} s of peace"
            tally.violate(s.t, text, e, s, worker=e.worker, provider=e.provider)


def _until(case: Case, e: AttemptEnded) -> float:
    wish = min(e.retry_after_s or 0.0, case.scenario.breaker.max_retry_after_s)
    resets = (
        c.t
        for c in case.index.transitions.get((e.worker, e.provider), [])
        if c.t >= e.t and _is_reset(case, c.worker, c.provider, c.epoch, c.cause)
    )
    return min(e.t + wish * (1 - TENTH) - CLOCK_S, min(resets, default=math.inf))


def _is_reset(case: Case, worker: str, provider: str, epoch: int, cause: Cause) -> bool:
    records = case.index.records.get((worker, provider), [])
    return cause is Cause.RESET or any(r.epoch == epoch and r.reason is Cause.RESET for r in records)


CHECKER = Checker(
    id="retry-after",
    holds="No worker asks a provider inside the time it asked that worker to be left alone.",
    vacuous="no provider asked to be left alone for a time",
    look=look,
)
