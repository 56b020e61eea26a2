"""`deadline`: no request, and no attempt, lasts longer than it may.

A request that is answered whole lasts at most `deadline`, and each of its attempts at most `attempt_timeout`; of a
stream that bounds the time to its first token. `SLACK_S` is allowed beyond. Left out: workers that were frozen or
blocked meanwhile, or were about to end.
"""

from __future__ import annotations

from harness.checkers.bounds import SLACK_S
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.requests import Execution


def look(case: Case, tally: Tally) -> None:
    """Every request that ended on its worker."""
    for execution in case.index.executions:
        ended = execution.ended
        if ended is None or case.excuses_slowness(execution.started.worker, execution.started.t, ended.t):
            continue
        tally.checked += 1
        _judge(case, execution, tally)


def _judge(case: Case, execution: Execution, tally: Tally) -> None:
    limits, s, ended = case.scenario.request, execution.started, execution.ended
    assert ended is not None  # noqa: S101 - only ended executions come here
    if not ended.streamed and ended.t - s.t > limits.deadline_s + SLACK_S:
        text = (
            f"request {s.request} lasted {ended.t - s.t:.2f} s on {s.worker}; its deadline was {limits.deadline_s:g} s"
        )
        tally.violate(ended.t, text, s, ended, worker=s.worker)
    for attempt in execution.attempts:
        began, over = attempt.started, attempt.ended
        if over is None or over.streamed:
            continue
        allowed_s = min(limits.attempt_timeout_s, max(0.0, s.t + limits.deadline_s - began.t))
        if over.t - began.t > allowed_s + SLACK_S:
            lasted_s = over.t - began.t
            text = f"attempt {began.attempt} of {s.request} lasted {lasted_s:.2f} s; it might last {allowed_s:.2f} s"
            tally.violate(over.t, text, began, over, worker=s.worker, provider=began.provider)


CHECKER = Checker(
    id="deadline",
    holds="No request and no attempt lasts longer than it may.",
    vacuous="no request ended on a worker that could have kept its time",
    look=look,
)
