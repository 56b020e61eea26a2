"""`one-outcome`: every request ends exactly once: an answer or a clear error.

* A request sent has one end at its sender; a request begun on a worker has one end there, and so has each attempt.
* `ok` at the sender needs an `ok` on a worker; a whole stream at the sender has as many pieces as its worker told.
* Excused is the worker's side of what a dead worker had begun (then its sender must not claim to know how it ended),
  of what a worker had begun that is still frozen, and of what was still within its deadline when the run ended.
"""

from __future__ import annotations

from harness.checkers.bounds import SLACK_S
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.requests import Execution, Sent


def look(case: Case, tally: Tally) -> None:
    """Every request, execution and attempt."""
    for entry, wrong in case.index.strays:
        request = getattr(entry, "request", "?")
        tally.violate(entry.t, f"request {request} {wrong}", entry, worker=getattr(entry, "worker", None))
    for sent in case.index.sent.values():
        tally.checked += 1
        _sender_side(case, sent, tally)
    for execution in case.index.executions:
        tally.checked += 1
        _worker_side(case, execution, tally)


def _sender_side(case: Case, sent: Sent, tally: Tally) -> None:
    request, done = sent.sent.request, sent.done
    if done is None:
        if case.complete:
            tally.violate(sent.sent.t, f"request {request} was sent and never ended", sent.sent)
    elif done.result == "ok" and not any(e.ok for e in sent.executions):
        tally.violate(done.t, f"request {request} was answered, but no worker says that it answered", sent.sent, done)
    elif done.result == "ok" and done.chunks is not None and done.chunks not in _told(sent):
        text = f"the stream of request {request} had {done.chunks} pieces at its sender, and not so many on its worker"
        tally.violate(done.t, text, sent.sent, done, worker=sent.executions[0].started.worker)
    elif done.result == "fail" and sent.executions and all(_cut_off(case, e) for e in sent.executions):
        text = f"request {request} ended in a clear error, but its worker died before it could say so"
        tally.violate(done.t, text, sent.sent, done, worker=sent.executions[0].started.worker)


def _worker_side(case: Case, execution: Execution, tally: Tally) -> None:
    started, worker = execution.started, execution.started.worker
    if case.lives[worker].died or _still_running(case, execution):
        return
    if execution.ended is None:
        tally.violate(started.t, f"request {started.request} never ended on {worker}", started, worker=worker)
    for attempt in execution.attempts:
        if attempt.ended is None:
            begun = attempt.started
            text = f"attempt {begun.attempt} of request {begun.request} never ended"
            tally.violate(begun.t, text, begun, execution.ended, worker=worker, provider=begun.provider)


def _told(sent: Sent) -> list[int]:
    """How many pieces the workers that answered it told."""
    return [e.attempts[-1].ended.chunks for e in sent.executions if e.ok and e.attempts and e.attempts[-1].ended]


def _cut_off(case: Case, execution: Execution) -> bool:
    return execution.ended is None and case.lives[execution.started.worker].died


def _still_running(case: Case, execution: Execution) -> bool:
    """Whether the run ended before this request could be expected to."""
    if execution.ended is not None:
        return False
    allowed = case.scenario.request.deadline_s + SLACK_S
    frozen = case.lives[execution.started.worker].paused(case.observed_until, case.observed_until)
    return frozen or execution.started.t + allowed > case.observed_until


CHECKER = Checker(
    id="one-outcome",
    holds="Every request ends exactly once, in an answer or in a clear error, and so does each of its attempts.",
    vacuous="no request was sent",
    look=look,
)
