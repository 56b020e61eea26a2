"""`refuse-when-open`: no attempt on a provider that the worker itself knows to be OPEN.

Known is what the worker's own events say: from its change to OPEN until its next change. An occasion is an attempt by
a worker that then knew some provider to be OPEN, or drained by an operator, and a request that was refused by all. What
is drained may be asked, but only as the last resort. A hold ends by its worker's clock: left out are the holds of a
worker whose clock a fault has moved.
"""

from __future__ import annotations

from flexiai.core.circuit import Mode, State
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.holds import TOGETHER_S
from harness.checkers.requests import Attempt


def look(case: Case, tally: Tally) -> None:
    """Every attempt, and every request without one."""
    for attempt in case.index.attempts:
        view, started = attempt.view, attempt.started
        _drained(case, attempt, tally)
        if State.OPEN not in view.values():
            continue
        tally.checked += 1
        if view.get(started.provider) is State.OPEN:
            opened = next(
                t
                for t in reversed(case.index.transitions[started.worker, started.provider])
                if t.t <= started.t and t.to is State.OPEN
            )
            text = f"{started.worker} asked {started.provider}, which it had known to be OPEN since {opened.t:.3f} s"
            tally.violate(started.t, text, opened, started, worker=started.worker, provider=started.provider)
    tally.checked += sum(not e.attempts and State.OPEN in e.view.values() for e in case.index.executions)


def _drained(case: Case, attempt: Attempt, tally: Tally) -> None:
    s = attempt.started
    tally.checked += "drain" in attempt.spared.values()
    if case.clock_was_set(s.worker, s.t):
        return
    for hold in case.holds.get((s.worker, s.provider), ()):
        if hold.mode is Mode.DRAIN and hold.sure.start < s.t < hold.sure.end - TOGETHER_S:
            tally.checked += 1
            if not s.last_resort:
                text = f"{s.worker} asked {s.provider}, which an operator drains, and not as the last resort"
                tally.violate(s.t, text, hold.proof, s, worker=s.worker, provider=s.provider)


CHECKER = Checker(
    id="refuse-when-open",
    holds="No worker asks a provider that it knows to be OPEN, or, but as the last resort, drained.",
    vacuous="no request came to a worker that knew a provider to be OPEN or drained",
    look=look,
)
