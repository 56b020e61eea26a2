"""One request, tried on one provider after another.

Rules (docs/failover.md, section 2)
-----
* Providers are asked in order of priority; one whose breaker refuses is skipped. The breaker is asked before every
  attempt, and gets its permit back with the outcome however the attempt ends, cancellation included.
* One deadline covers all attempts, each attempt has a time of its own, and further attempts are paid from the budget.
* `classify` decides alone: a failure of the provider fails over; the caller's own error goes to the caller.
* Only a plain failure is tried again on the same provider; one that refused us would refuse us again.
* Everything that happens is an event, in the order in which it happens. Nothing here waits for the fleet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from random import Random
from typing import Literal

from flexiai.attempt import Attempt, Candidate, refused, to_caller, understood
from flexiai.budget import RetryBudget
from flexiai.chat import ChatCompletion, ChatRequest
from flexiai.clock import clock_of
from flexiai.core.breaker import Permit, Refusal
from flexiai.core.outcome import Outcome, Trouble
from flexiai.core.routing import soonest_s
from flexiai.errors import InvalidRequestError, NoProviderAvailable, ProviderError, Said
from flexiai.events import AttemptEnded, AttemptStarted, Event, RequestEnded, RequestStarted
from flexiai.sync.port import SyncPort
from flexiai.transitions import transition_event
from flexiai.types import RequestConfig


class _Course:
    """How far a request has come. `deadline`: in the loop's time."""

    __slots__ = ("attempts", "chat", "deadline", "failure", "id", "said", "skipped")

    def __init__(self, chat: ChatRequest, deadline: float) -> None:
        self.chat = chat
        self.id = chat.request_id or ""
        self.deadline = deadline
        self.attempts = 0
        self.skipped: tuple[str, ...] = ()
        self.said: list[Said] = []
        self.failure: ProviderError | None = None

    def note(self, provider: str, reason: str, message: str) -> None:
        """Keep what a provider said, or why it was not asked."""
        self.said.append(Said(provider, reason, message))


class Failover:
    """Answers requests from a route of candidates. Belongs to the event loop in which it was made."""

    def __init__(
        self,
        route: Iterable[Candidate],
        config: RequestConfig,
        *,
        sync: SyncPort,
        emit: Callable[[Event], None],
        worker: str,
        rng: Random,
    ) -> None:
        self._route = tuple(route)
        self._turns = range(1 + config.retries)
        self._deadline_s = config.deadline_s
        self._attempt_timeout_s = config.attempt_timeout_s
        self._budget = RetryBudget(config.retry_budget, config.budget_window_s)
        self._sync = sync
        self._emit = emit
        self._worker = worker
        self._rng = rng
        self._clock = clock_of(asyncio.get_running_loop())

    async def answer(self, chat: ChatRequest) -> ChatCompletion:
        """The first answer that a provider gives. The request must have an id.

        Raises InvalidRequestError if a provider said that the request itself is at fault, NoProviderAvailable if none
        could answer. Whatever happens, one RequestEnded tells of it.
        """
        now = self._clock()
        course = _Course(chat, now + self._deadline_s)
        self._emit(RequestStarted(t=now, worker=self._worker, request=course.id))
        try:
            candidate, completion = await self._served(course)
        except BaseException as error:
            self._emit(self._unanswered(course, error))
            raise
        self._emit(self._answered(course, candidate))
        return completion

    async def _served(self, course: _Course) -> tuple[Candidate, ChatCompletion]:
        for candidate in self._route:
            for _ in self._turns:
                permit = self._leave(course, candidate)
                if permit is None:
                    break
                result = await self._made(course, self._begun(course, candidate, permit))
                if not isinstance(result, ProviderError):
                    return candidate, result
                if not self._may_repeat(course, candidate, result):
                    break
        raise self._nobody(course) from course.failure

    def _leave(self, course: _Course, candidate: Candidate) -> Permit | None:
        """Leave for an attempt, or None if the breaker refuses. Raises if the request may go no further."""
        now = self._clock()
        if course.attempts:
            self._check_means(course, candidate, now)
        breaker = candidate.breaker
        answer = breaker.admit(now)
        if isinstance(answer, Refusal) and answer.probe_due and self._sync.want_probe(candidate.name):
            if change := breaker.grant_probe(now):
                self._emit(transition_event(change, provider=candidate.name, worker=self._worker, t=now))
            answer = breaker.admit(now)
        if isinstance(answer, Permit):
            return answer
        course.skipped += (candidate.name,)
        course.said.append(refused(breaker, answer, now))
        return None

    def _check_means(self, course: _Course, candidate: Candidate, now: float) -> None:
        if now >= course.deadline:
            course.note(candidate.name, "deadline", "not asked, the request's time was over")
        elif not self._budget.affords(now):
            course.note(candidate.name, "retry_budget", "not asked, the retry budget was spent")
        else:
            return
        raise self._nobody(course) from course.failure

    def _begun(self, course: _Course, candidate: Candidate, permit: Permit) -> Attempt:
        now = self._clock()
        allowed_s = min(self._attempt_timeout_s, course.deadline - now)
        # The first attempt has all the time a request ever gets: if that is too short, it is so for every request.
        curtailed = course.attempts > 0 and allowed_s < self._attempt_timeout_s
        if course.attempts:
            self._budget.spend(now)
        course.attempts += 1
        self._emit(
            AttemptStarted(
                t=now,
                worker=self._worker,
                request=course.id,
                attempt=course.attempts,
                provider=candidate.name,
                probe=permit.probe,
                skipped=course.skipped,
            )
        )
        return Attempt(course.attempts, candidate, permit, now, allowed_s, curtailed)

    async def _made(self, course: _Course, attempt: Attempt) -> ChatCompletion | ProviderError:
        try:
            async with asyncio.timeout(attempt.allowed_s) as limit:
                completion = await attempt.candidate.provider.complete(course.chat, timeout_s=attempt.allowed_s)
        except BaseException as error:
            failure = understood(attempt, error, limit.expired())
            self._ended(course, attempt, failure)
            if failure.trouble is Trouble.CANCELLED and failure is not error:
                raise
            return failure
        self._ended(course, attempt, None)
        return completion

    def _ended(self, course: _Course, attempt: Attempt, failure: ProviderError | None) -> None:
        """Give the permit back with the outcome, and tell of it."""
        now, name, breaker = self._clock(), attempt.candidate.name, attempt.candidate.breaker
        pending = breaker.proposal
        recorded = breaker.record(
            attempt.permit,
            Outcome.SUCCESS if failure is None else failure.outcome,
            now,
            took_s=now - attempt.began,
            retry_after_s=failure.retry_after_s if failure else None,
            jitter=self._rng.random(),
        )
        if attempt.number == 1:
            self._budget.count_request(now)
        self._emit(self._attempt_ended(course, attempt, failure, now, recorded.counted))
        if recorded.transition is not None:
            self._emit(transition_event(recorded.transition, provider=name, worker=self._worker, t=now))
        if breaker.proposal is not pending:
            self._sync.announce(name)

    def _may_repeat(self, course: _Course, candidate: Candidate, failure: ProviderError) -> bool:
        """Note what a provider said that failed. InvalidRequestError if the fault is the caller's."""
        outcome = failure.outcome
        course.failure = failure
        if failure.trouble is Trouble.DEADLINE:
            course.note(candidate.name, failure.trouble.value, str(failure))
        elif outcome is Outcome.NEUTRAL:
            raise to_caller(failure)
        else:
            course.note(candidate.name, outcome.value, str(failure))
        return outcome is Outcome.FAILURE

    def _nobody(self, course: _Course) -> NoProviderAvailable:
        soonest = soonest_s((candidate.breaker for candidate in self._route), self._clock())
        return NoProviderAvailable(tuple(course.said), soonest)

    def _attempt_ended(
        self, course: _Course, attempt: Attempt, failure: ProviderError | None, now: float, counted: bool
    ) -> AttemptEnded:
        return AttemptEnded(
            t=now,
            worker=self._worker,
            request=course.id,
            attempt=attempt.number,
            provider=attempt.candidate.name,
            outcome=failure.outcome if failure else Outcome.SUCCESS,
            counted=counted,
            probe=attempt.permit.probe,
            trouble=failure.trouble if failure else None,
            status=failure.status if failure else None,
            retry_after_s=failure.retry_after_s if failure else None,
        )

    def _answered(self, course: _Course, candidate: Candidate) -> RequestEnded:
        return RequestEnded(
            t=self._clock(),
            worker=self._worker,
            request=course.id,
            result="ok",
            attempts=course.attempts,
            provider=candidate.name,
        )

    def _unanswered(self, course: _Course, error: BaseException) -> RequestEnded:
        ours = isinstance(error, NoProviderAvailable | InvalidRequestError)
        return RequestEnded(
            t=self._clock(),
            worker=self._worker,
            request=course.id,
            result=_result_of(error),
            attempts=course.attempts,
            provider=error.provider if isinstance(error, InvalidRequestError) else None,
            error=str(error) if ours else type(error).__name__,
            retry_after_s=error.retry_after_s if isinstance(error, NoProviderAvailable) else None,
        )


def _result_of(error: BaseException) -> Literal["failed", "rejected", "cancelled"]:
    if isinstance(error, InvalidRequestError):
        return "rejected"
    return "failed" if isinstance(error, Exception) else "cancelled"
