"""`no-failure-while-served`: no request fails while a provider it could use was healthy and reachable.

A request (begun at a on worker w, failed at b) *could use* provider p when all of these hold:

1. Healthy: no fault that takes p's answers away (error, rate_limit, hang, refuse, cut, malformed, error_body, reset),
   and no bound on how many it serves at once (capacity), was in effect at a moment of [a, b].
2. Reachable: no partition between w and p was in effect at a moment of [a, b].
3. In time: p was not asked in vain for the whole time that an attempt, or the request, may take; and the request's
   deadline was not used up (by others) before p could be asked.
4. Known: w's breaker for p was CLOSED throughout [a, b]; or it was not, without a reason that was still good
   (`recovery`: a fault on p, or a worker that stood still, no longer ago than the fleet needs to notice its end).

A stream that broke off after its first token could use only the provider that had begun it: another may not go on.

Excused are the caller's own errors; requests that could pay for no further attempt, as their error says (`retry-budget`
counts whether that was so); and failures on a worker that died, was frozen or slowed, or had its clock set, at a moment
of [a, b]. A clear error from nowhere (no worker took the request) is excused if one of that instance's workers
was then absent.
"""

from __future__ import annotations

from flexiai.core.outcome import Trouble
from harness.checkers.bounds import SLACK_S
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.lives import Life
from harness.checkers.recovery import reason_in
from harness.checkers.requests import Attempt, Execution, Sent, budget_was_spent
from harness.checkers.windows import Window

ALMOST = 0.9
"""An attempt that lasted this share of the time it may take was cut short by its timeout, not by an answer."""


def look(case: Case, tally: Tally) -> None:
    """Every request that ended, at its sender or on its worker."""
    for execution in case.index.executions:
        ended = execution.ended
        if ended is None:
            continue
        if ended.result == "ok":
            tally.checked += 1
        elif ended.result == "failed":
            _judge(case, execution, tally)
    for sent in case.index.sent.values():
        if sent.done is not None and sent.done.result == "fail" and not _told_by_worker(sent):
            _judge_unserved(case, sent, tally)


def _judge(case: Case, execution: Execution, tally: Tally) -> None:
    started, ended = execution.started, execution.ended
    life = case.lives[started.worker]
    assert ended is not None  # noqa: S101 - only ended executions come here
    if life.died and life.gone <= ended.t:
        return
    if case.excuses_slowness(life.worker, started.t, ended.t) or budget_was_spent(ended):
        return
    answering = execution.answering
    candidates = case.providers if answering is None else (answering.started.provider,)
    usable = [p for p in candidates if could_use(case, life, p, execution)]
    tally.checked += bool(usable)
    if usable:
        tried = ", ".join(a.started.provider for a in execution.attempts) or "nobody"
        text = f"request {started.request} failed (it asked {tried}) while {usable[0]} was healthy and usable"
        proof = [e for a in execution.attempts for e in (a.started, a.ended)]
        tally.violate(ended.t, text, started, *proof, ended, worker=life.worker, provider=usable[0])


def could_use(case: Case, life: Life, provider: str, execution: Execution) -> bool:
    """The definition above, for one provider of a failed request."""
    a, b = execution.started.t, execution.ended.t if execution.ended is not None else case.end
    if any(w.span.meets(a, b) and _denies(w, life, provider) for w in case.windows):
        return False
    asked = [x for x in execution.attempts if x.started.provider == provider]
    allowed = case.scenario.request.deadline_s
    if any(_in_vain(case, x, a) for x in asked) or (not asked and b - a >= ALMOST * allowed):
        return False
    return case.closed_throughout(life.worker, provider, a, b) or not reason_in(case.recoveries[provider], a, b)


def _denies(window: Window, life: Life, provider: str) -> bool:
    if window.takes_answers(provider):
        return True
    if not window.spoils(provider):
        return False
    return window.fault.name == "capacity" or (window.fault.name in ("partition", "swizzle") and window.touches(life))


def _in_vain(case: Case, attempt: Attempt, request_began: float) -> bool:
    if attempt.ended is None:
        return True
    limits = case.scenario.request
    lasted, spent = attempt.ended.t - attempt.started.t, attempt.ended.t - request_began
    if attempt.ended.first_token_s is not None:
        lasted, allowed, spent = lasted - attempt.ended.first_token_s, limits.between_tokens_timeout_s, 0.0
    else:
        allowed = limits.first_token_timeout_s if attempt.ended.streamed else limits.attempt_timeout_s
    fruitless = attempt.failed or attempt.ended.trouble is Trouble.DEADLINE
    return fruitless and (lasted >= ALMOST * allowed or spent >= ALMOST * limits.deadline_s)


def _told_by_worker(sent: Sent) -> bool:
    """Whether a worker ended it as failed (judged there) or as the caller's own error."""
    return any(e.ended is not None and e.ended.result in ("failed", "rejected") for e in sent.executions)


def _judge_unserved(case: Case, sent: Sent, tally: Tally) -> None:
    """A clear error that no worker had given as its answer."""
    done = sent.done
    assert done is not None  # noqa: S101 - only ended requests come here
    if _absent_worker(case, sent.sent.instance, sent.sent.t - SLACK_S, done.t + SLACK_S):
        return
    spoiled = all(
        any(w.takes_answers(p) and w.span.meets(sent.sent.t, done.t) for w in case.windows) for p in case.providers
    )
    if not spoiled:
        tally.checked += 1
        text = f"request {sent.sent.request} got an error ({done.status or done.error}) that no worker gave it"
        tally.violate(done.t, text, sent.sent, done)


def _absent_worker(case: Case, instance: int, a: float, b: float) -> bool:
    """Whether one of the instance's workers was gone, not ready yet, or frozen, at a moment of [a, b]."""
    there = [w for w in case.lives.values() if w.place is None or w.place[0] == instance]
    return not there or any(
        w.paused(a, b) or w.gone <= b or (w.began <= b and (w.ready is None or w.ready >= a)) for w in there
    )


CHECKER = Checker(
    id="no-failure-while-served",
    holds="No request fails while a provider that it could use is healthy and reachable.",
    vacuous="no request ended while a provider could be used",
    look=look,
)
