"""`retry-budget`: further attempts are bounded, over all requests of a worker.

At each attempt beyond a request's first, the further attempts of that worker within `budget_window` before it must be
fewer than `retry_budget` times its requests, and FLOOR. The window is counted in tenths (flexiai.core.window): attempts
are counted over nine of them, requests over all ten and the time until their first attempt can have ended.

A request that failed because the budget was spent says so. Then the worker's further attempts within the whole window
must have reached FLOOR, or the budget would not have been spent. Left out: workers whose clock a fault has moved.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from flexiai.budget import FLOOR
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.holds import TOGETHER_S
from harness.checkers.requests import Attempt, budget_was_spent

SURELY = 0.9
"""The share of the window that is remembered for certain."""


def look(case: Case, tally: Tally) -> None:
    """Every further attempt."""
    window_s = case.scenario.request.budget_window_s
    requests = _first_times(case)
    for worker, further in _attempts(case).items():
        times = [a.started.t for a in further]
        began = requests.get(worker, [])
        for n, attempt in enumerate(further):
            tally.checked += 1
            t = attempt.started.t
            made = n - bisect_left(times, t - SURELY * window_s)
            asked = bisect_right(began, t) - bisect_left(began, t - window_s - case.scenario.request.deadline_s)
            _judge(case, attempt, made, asked, tally)
    _refusals(case, tally)


def _judge(case: Case, attempt: Attempt, made: int, asked: int, tally: Tally) -> None:
    allowed = max(FLOOR, case.scenario.request.retry_budget * asked)
    if made >= allowed:
        s = attempt.started
        text = f"{s.worker} made a further attempt for {s.request} although {made} of {allowed:g} had been made"
        tally.violate(s.t, text, s, worker=s.worker, provider=s.provider)


def _refusals(case: Case, tally: Tally) -> None:
    further = _attempts(case)
    for execution in case.index.executions:
        ended = execution.ended
        if ended is None or not budget_was_spent(ended) or case.clock_was_set(ended.worker, ended.t):
            continue
        window_s = case.scenario.request.budget_window_s + TOGETHER_S
        made = sum(ended.t - window_s <= a.started.t <= ended.t for a in further.get(ended.worker, []))
        tally.checked += 1
        if made < FLOOR:
            text = f"{ended.worker} refused {ended.request} another attempt although only {made} had been made"
            tally.violate(ended.t, text, execution.started, ended, worker=ended.worker)


def _attempts(case: Case) -> dict[str, list[Attempt]]:
    found: dict[str, list[Attempt]] = {}
    for attempt in case.index.attempts:
        if attempt.started.attempt > 1:
            found.setdefault(attempt.started.worker, []).append(attempt)
    return found


def _first_times(case: Case) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for attempt in case.index.attempts:
        if attempt.started.attempt == 1:
            found.setdefault(attempt.started.worker, []).append(attempt.started.t)
    return found


CHECKER = Checker(
    id="retry-budget",
    holds="The attempts beyond the requests' first ones stay within the retry budget.",
    vacuous="no request was tried a second time, or was refused that",
    look=look,
)
