"""`opens-when-due`: a breaker opens when its worker has seen enough, at once, and for its own count not before.

The results of a worker's attempts on a provider are counted again, from nothing: those its breaker counted, in the
order in which they ended, since the breaker last became CLOSED or was reset: by an operator's word to this worker (when
it was said, and not again when the store takes it), or by the record of another's, unless a word of its own waits.

* The result that makes the row of failures as long as `failure_threshold`, that says MISCONFIGURED, or that asks for
  peace (Retry-After), takes the breaker out of CLOSED at that moment.
* A breaker that opens for CONSECUTIVE_FAILURES has such a row behind it: no success may stand in it.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import cast

from flexiai.core.circuit import Cause, State
from flexiai.core.outcome import Outcome
from flexiai.events import AttemptEnded, OperatorActed, RecordApplied, Transition
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.legal_transitions import TOGETHER_S

Counted = AttemptEnded | OperatorActed | RecordApplied | Transition


def look(case: Case, tally: Tally) -> None:
    """Every worker's count of every provider."""
    for key, happened in _by_key(case).items():
        _recount(case, key, happened, tally)


def _recount(case: Case, key: tuple[str, str], happened: list[Counted], tally: Tally) -> None:
    state, row, last = State.CLOSED, 0, None
    for e in happened:
        if isinstance(e, Transition):
            if e.cause is Cause.CONSECUTIVE_FAILURES:
                tally.checked += 1
                _enough(case, e, row, last, tally)
            state, row = e.to, 0
        elif isinstance(e, AttemptEnded):
            last = e
            if state is State.CLOSED and e.counted and e.outcome is not Outcome.NEUTRAL:
                row = 0 if e.outcome is Outcome.SUCCESS else row + 1
                if _decides(case, e, row):
                    tally.checked += 1
                    _must_open(case, key, e, row, tally)
        elif _is_reset(case, e):
            row = 0


def _decides(case: Case, e: AttemptEnded, row: int) -> bool:
    if e.outcome is Outcome.SUCCESS:
        return False
    asked = e.outcome in (Outcome.FAILURE, Outcome.RATE_LIMITED) and (e.retry_after_s or 0.0) > 0
    return row >= case.scenario.breaker.failure_threshold or asked or e.outcome is Outcome.MISCONFIGURED


def _must_open(case: Case, key: tuple[str, str], e: AttemptEnded, row: int, tally: Tally) -> None:
    changes = case.index.transitions.get(key, [])
    at = bisect_left(changes, e.t, key=lambda c: c.t)
    if at == len(changes) or changes[at].t > e.t + TOGETHER_S:
        text = (
            f"{e.worker} saw {e.provider} end as {e.outcome} ({row} failures in a row), and its breaker stayed CLOSED"
        )
        tally.violate(e.t, text, e, worker=e.worker, provider=e.provider)


def _enough(case: Case, change: Transition, row: int, last: AttemptEnded | None, tally: Tally) -> None:
    needed = case.scenario.breaker.failure_threshold
    if row < needed:
        text = f"{change.worker} opened {change.provider} after {row} failed attempts in a row; it takes {needed}"
        tally.violate(change.t, text, last, change, worker=change.worker, provider=change.provider)


def _is_reset(case: Case, e: OperatorActed | RecordApplied) -> bool:
    if isinstance(e, OperatorActed):
        return e.action == "reset"
    if e.reason is not Cause.RESET or e.accepted:
        return False
    words = (w.note for w in case.index.words.get((e.worker, e.provider), ()) if w.t <= e.t)
    return not case.word_waits(e.worker, e.provider, e.t) or e.note in list(words)[-1:]


def _by_key(case: Case) -> dict[tuple[str, str], list[Counted]]:
    """What counts for each (worker, provider), in the order in which it happened."""
    found: dict[tuple[str, str], list[Counted]] = {}
    kinds = (AttemptEnded, OperatorActed, RecordApplied, Transition)
    counted = [cast(Counted, e) for e in case.history.entries if type(e) in kinds]
    for e in counted:
        found.setdefault((e.worker, e.provider), []).append(e)
    return found


CHECKER = Checker(
    id="opens-when-due",
    holds="A breaker opens when its worker has seen enough failures in a row, and for its own count not before.",
    vacuous="no worker saw enough of a provider to have to open its breaker",
    look=look,
)
