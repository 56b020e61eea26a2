"""`settles`: no flapping, and requests are as fast as before, once the last fault is over and its bounds have passed.

Calm begins when every reason to hold a provider unavailable is past its deadline (`recovery`) and the fleet has had
`settle`. From then on

* no worker opens a breaker of itself, unless the attempt that made it do so had run out of its time (a latency tail is
  nobody's fault);
* the median of the requests' times on their workers is at most FACTOR times that before the first fault, and SHIFT_S,
  given ENOUGH of each. Streams are left out: they last as long as their answers, and where they are about half of the
  requests the median is one or the other by chance.
"""

from __future__ import annotations

from flexiai.core.circuit import Cause, State
from flexiai.core.outcome import Trouble
from flexiai.events import Transition
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.legal_transitions import TOGETHER_S
from harness.quantiles import quantile

FACTOR = 1.5
SHIFT_S = 0.1
ENOUGH = 20
_OF_ITSELF = frozenset(
    {Cause.CONSECUTIVE_FAILURES, Cause.FAILURE_RATE, Cause.SLOW_RATE, Cause.PROBE_FAILED, Cause.MISCONFIGURED}
)


def look(case: Case, tally: Tally) -> None:
    """What happened in the calm."""
    if not case.windows or any(not w.healed and not w.fault.instant for w in case.windows):
        return
    deadlines = [r.deadline for reasons in case.recoveries.values() for r in reasons]
    calm = max([case.quiet_since + case.bounds.settle, *deadlines])
    if calm < case.observed_until:
        _flapping(case, calm, tally)
        _latency(case, calm, tally)


def _flapping(case: Case, calm: float, tally: Tally) -> None:
    tally.checked += sum(e.started.t > calm for e in case.index.executions)
    for change in case.all(Transition):
        of_itself = change.to is State.OPEN and change.cause in _OF_ITSELF
        if of_itself and calm < change.t < case.observed_until and not _by_a_tail(case, change):
            text = f"{change.worker} opened {change.provider} ({change.cause}) in the calm that began at {calm:.1f} s"
            tally.violate(change.t, text, change, worker=change.worker, provider=change.provider)


def _by_a_tail(case: Case, change: Transition) -> bool:
    return any(
        a.ended is not None
        and a.started.worker == change.worker
        and a.started.provider == change.provider
        and abs(a.ended.t - change.t) <= TOGETHER_S
        and a.ended.trouble in (Trouble.TIMEOUT, Trouble.DEADLINE)
        for a in case.index.attempts
    )


def _latency(case: Case, calm: float, tally: Tally) -> None:
    first = min(w.start for w in case.windows)
    whole = [(e.started.t, e.ended) for e in case.index.executions if e.ended and e.ok and not e.ended.streamed]
    took = [(began, ended.t, ended.t - began) for began, ended in whole]
    before = [s for began, ended, s in took if began >= 0 and ended < first]
    after = [s for began, _, s in took if began > calm]
    if min(len(before), len(after)) < ENOUGH:
        return
    usual, now = quantile(before, 0.5) or 0.0, quantile(after, 0.5) or 0.0
    if now > FACTOR * usual + SHIFT_S:
        text = (
            f"the median request took {usual:.3f} s before the first fault, and {now:.3f} s in the calm after the last"
        )
        tally.violate(calm, text)


CHECKER = Checker(
    id="settles",
    holds="Once the last fault is over and its bounds have passed, nothing flaps and requests are as fast as before.",
    vacuous="no calm followed the last fault",
    look=look,
)
