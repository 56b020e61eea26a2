"""`no-failover-after-first-token`: what a provider began to tell, no other goes on with.

* Once an attempt has told its caller the first token of a stream, its request makes no further attempt.
* The sender of a stream never gets more pieces than the one attempt told that began to answer: nothing is told twice,
  whatever the worker says of itself. (Of a request that several workers had, or a dead one, nothing can be said.)
* A stream comes from who began it: the answer names no other provider.
"""

from __future__ import annotations

from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.requests import Attempt, Execution, Sent


def look(case: Case, tally: Tally) -> None:
    """Every request with a stream that began to be told."""
    for execution in case.index.executions:
        if answering := execution.answering:
            tally.checked += 1
            _on_worker(execution, answering, tally)
    for sent in case.index.sent.values():
        if sent.done is not None and len(sent.executions) == 1:
            _at_sender(sent, sent.executions[0], tally)


def _on_worker(execution: Execution, answering: Attempt, tally: Tally) -> None:
    later = [a for a in execution.attempts if a.started.attempt > answering.started.attempt]
    if later:
        begun, other = answering.started, later[0].started
        text = f"request {begun.request} went on to {other.provider} after {begun.provider} had told its first token"
        tally.violate(other.t, text, begun, answering.ended, other, worker=other.worker, provider=other.provider)


def _at_sender(sent: Sent, execution: Execution, tally: Tally) -> None:
    done, answering = sent.done, execution.answering
    if done is None or not done.chunks or execution.ended is None:
        return
    told = answering.ended.chunks if answering is not None and answering.ended is not None else 0
    by = answering.started.provider if answering is not None else None
    worker = execution.started.worker
    if done.chunks > told:
        text = f"request {sent.sent.request} got {done.chunks} pieces of a stream of which {by or 'nobody'} told {told}"
        tally.violate(done.t, text, sent.sent, done, execution.ended, worker=worker, provider=by)
    elif done.provider is not None and done.provider != by:
        text = f"the stream of request {sent.sent.request} says it is of {done.provider}, and {by} told it"
        tally.violate(done.t, text, sent.sent, done, execution.ended, worker=worker, provider=by)


CHECKER = Checker(
    id="no-failover-after-first-token",
    holds="After the first token of a stream no other provider is asked, and nobody gets text twice.",
    vacuous="no stream told a first token",
    look=look,
)
