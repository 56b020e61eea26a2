"""One request, tried on one provider after another.

Rules (docs/failover.md, section 2)
-----
* Each attempt goes to the best provider whose breaker admits it and that has a turn left: one that was skipped is
  looked at again before every further attempt. One that its breaker only spares (a ramp, a drain) is asked if nobody
  else may be.
* The breaker is asked before every attempt, and gets its permit back with the outcome however the attempt ends,
  cancellation included.
* One deadline covers all attempts, each attempt has a time of its own, and further attempts are paid from the budget.
  A stream has kept the deadline, and has cost what it may cost, when its first token is there.
* After the first token of a stream no other provider is asked: if it breaks off, the caller is told (StreamBroken). Its
  permit is held to its end, whose outcome is the attempt's; a caller that leaves before is nobody's failure.
* `classify` decides alone: a failure of the provider fails over; the caller's own error goes to the caller. A provider
  whose format has no word for the request is passed over, and costs nothing; the caller hears of that if nobody else
  answers either.
* Only a plain failure is tried again on the same provider; one that refused us would refuse us again.
* Everything that happens is an event, in the order in which it happens. Nothing here waits for the fleet.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import replace
from random import Random
from typing import Literal, TypeVar

from flexiai.attempt import Attempt, Candidate, refused, to_caller, understood
from flexiai.budget import RetryBudget
from flexiai.chat import ChatChunk, ChatCompletion, ChatRequest
from flexiai.clock import clock_of
from flexiai.core.breaker import Permit, Refusal
from flexiai.core.outcome import Outcome, Trouble
from flexiai.core.permit import SPARED, Why
from flexiai.core.routing import soonest_s
from flexiai.errors import InvalidRequestError, NoProviderAvailable, ProviderError, Said, StreamBroken
from flexiai.events import AttemptEnded, AttemptStarted, Event, RequestEnded, RequestStarted
from flexiai.limit import Limit
from flexiai.pieces import Pieces, streams
from flexiai.sync.port import SyncPort
from flexiai.transitions import transition_event
from flexiai.types import RequestConfig

T = TypeVar("T")


class _Course:
    """How far a request has come. `deadline`: in the loop's time; `counted`: by the retry budget.

    skipped      who refused, and why, while the provider to be asked next was chosen
    refused      whose refusal is among what is `said`
    turns        how many each provider has had
    passed_over  attempts in which nobody was asked, for want of a word
    """

    __slots__ = (
        "attempts",
        "chat",
        "counted",
        "deadline",
        "failure",
        "id",
        "last_resort",
        "passed_over",
        "refused",
        "said",
        "skipped",
        "streamed",
        "turns",
        "unsupported",
    )

    def __init__(self, chat: ChatRequest, deadline: float, *, streamed: bool) -> None:
        self.chat = chat
        self.id = chat.request_id or ""
        self.deadline = deadline
        self.streamed = streamed
        self.attempts = 0
        self.passed_over = 0
        self.counted = False
        self.last_resort = False
        self.skipped: dict[str, Why] = {}
        self.refused: set[str] = set()
        self.turns: dict[str, int] = {}
        self.said: list[Said] = []
        self.failure: ProviderError | None = None
        self.unsupported: ProviderError | None = None

    def refuse(self, said: Said) -> None:
        """Keep why a provider was not asked, the first time."""
        if said.provider not in self.refused:
            self.refused.add(said.provider)
            self.said.append(said)

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
        self._turns = 1 + config.retries
        self._deadline_s = config.deadline_s
        self._attempt_timeout_s = config.attempt_timeout_s
        self._first_token_timeout_s = config.first_token_timeout_s
        self._between_tokens_timeout_s = config.between_tokens_timeout_s
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
        course = self._set_out(chat, streamed=False)
        try:
            candidate, completion = await self._served(course, self._asked)
        except BaseException as error:
            self._emit(self._unanswered(course, error))
            raise
        self._emit(self._answered(course, candidate))
        return completion

    async def stream(self, chat: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        """The pieces of the first answer of which a provider gives a first token. The request must have an id.

        Raises as `answer` does before the first piece, and StreamBroken after it. Must be closed, or read to the end.
        """
        course = self._set_out(chat, streamed=True)
        try:
            candidate, (attempt, pieces) = await self._served(course, self._opened)
            try:
                while (chunk := await pieces.next(attempt.allowed_s)) is not None:
                    yield chunk
            except BaseException as error:
                if broken := self._broken(course, attempt, pieces, error):
                    raise broken from error
                raise
            finally:
                await pieces.aclose()
            self._ended(course, attempt, None, pieces)
        except BaseException as error:
            self._emit(self._unanswered(course, error))
            raise
        self._emit(self._answered(course, candidate))

    def _set_out(self, chat: ChatRequest, *, streamed: bool) -> _Course:
        now = self._clock()
        self._emit(RequestStarted(t=now, worker=self._worker, request=chat.request_id or ""))
        return _Course(chat, now + self._deadline_s, streamed=streamed)

    async def _served(
        self, course: _Course, make: Callable[[_Course, Attempt], Awaitable[T | ProviderError]]
    ) -> tuple[Candidate, T]:
        """What `make` gets from the first provider that gives something, and who that is."""
        while chosen := self._chosen(course):
            candidate, permit = chosen
            result = await make(course, self._begun(course, candidate, permit))
            if not isinstance(result, ProviderError):
                return candidate, result
            if not self._may_repeat(course, candidate, result):
                course.turns[candidate.name] = self._turns
        if course.unsupported is not None:
            raise to_caller(course.unsupported)
        raise self._nobody(course) from course.failure

    def _chosen(self, course: _Course) -> tuple[Candidate, Permit] | None:
        """The best provider that may be asked now, with leave for it; None: there is none. Raises as `_leave` does."""
        for course.last_resort in (False, True):
            course.skipped = {}
            for candidate in self._route:
                if course.turns.get(candidate.name, 0) < self._turns and (permit := self._leave(course, candidate)):
                    return candidate, permit
            if SPARED.isdisjoint(course.skipped.values()):
                break
        return None

    def _leave(self, course: _Course, candidate: Candidate) -> Permit | None:
        """Leave for an attempt, or None if the breaker refuses. Raises if the request may go no further."""
        now = self._clock()
        if course.attempts:
            self._check_means(course, candidate, now)
        breaker = candidate.breaker
        answer = breaker.admit(now, last_resort=course.last_resort)
        if isinstance(answer, Refusal) and answer.probe_due and self._sync.want_probe(candidate.name):
            if change := breaker.grant_probe(now):
                self._emit(transition_event(change, provider=candidate.name, worker=self._worker, t=now))
            answer = breaker.admit(now, last_resort=course.last_resort)
        if isinstance(answer, Permit):
            return answer
        course.skipped[candidate.name] = answer.why
        if answer.spared is None:
            course.refuse(refused(breaker, answer, now))
        return None

    def _check_means(self, course: _Course, candidate: Candidate, now: float) -> None:
        if now >= course.deadline:
            course.note(candidate.name, "deadline", "not asked, the request's time was over")
        elif course.attempts > course.passed_over and not self._budget.affords(now):
            course.note(candidate.name, "retry_budget", "not asked, the retry budget was spent")
        else:
            return
        raise self._nobody(course) from course.failure

    def _begun(self, course: _Course, candidate: Candidate, permit: Permit) -> Attempt:
        now = self._clock()
        in_pieces = course.streamed and streams(candidate.provider)
        own_s = self._first_token_timeout_s if in_pieces else self._attempt_timeout_s
        allowed_s = min(own_s, course.deadline - now)
        # The first attempt has all the time a request ever gets: if that is too short, it is so for every request.
        curtailed = course.attempts > 0 and allowed_s < own_s
        if course.attempts > course.passed_over:
            self._budget.spend(now)
        course.attempts += 1
        course.turns[candidate.name] = course.turns.get(candidate.name, 0) + 1
        self._emit(
            AttemptStarted(
                t=now,
                worker=self._worker,
                request=course.id,
                attempt=course.attempts,
                provider=candidate.name,
                probe=permit.probe,
                skipped=tuple(course.skipped),
                skipped_for=tuple(course.skipped.values()),
                last_resort=course.last_resort,
            )
        )
        waits_for: Literal["answer", "first token"] = "first token" if in_pieces else "answer"
        return Attempt(course.attempts, candidate, permit, now, allowed_s, curtailed, waits_for)

    async def _asked(self, course: _Course, attempt: Attempt) -> ChatCompletion | ProviderError:
        try:
            async with Limit(attempt.allowed_s) as limit:
                completion = await attempt.candidate.provider.complete(course.chat, timeout_s=attempt.allowed_s)
        except BaseException as error:
            failure = understood(attempt, error, limit.expired())
            self._ended(course, attempt, failure)
            if failure.trouble is Trouble.CANCELLED and failure is not error:
                raise
            return failure
        self._ended(course, attempt, None)
        return completion

    async def _opened(self, course: _Course, attempt: Attempt) -> tuple[Attempt, Pieces] | ProviderError:
        """A stream that has begun to answer, and its attempt as it goes on; or why there is none."""
        pieces = Pieces(attempt.candidate.name)
        try:
            begun = await pieces.open(attempt.candidate.provider, course.chat, attempt.allowed_s)
        except BaseException as error:
            failure = understood(attempt, error, pieces.out_of_time)
            self._ended(course, attempt, failure, pieces)
            await pieces.aclose()
            if failure.trouble is Trouble.CANCELLED and failure is not error:
                raise
            return failure
        now = self._clock()
        if begun:
            pieces.first_token_s = now - attempt.began
        self._count(course, now)
        running = replace(attempt, allowed_s=self._between_tokens_timeout_s, curtailed=False, waits_for="next token")
        return running, pieces

    def _broken(self, course: _Course, attempt: Attempt, pieces: Pieces, error: BaseException) -> StreamBroken | None:
        """What the caller is told of a stream that ended in `error`; None if it was the caller who left."""
        failure = understood(attempt, error, pieces.out_of_time)
        self._ended(course, attempt, failure, pieces)
        if failure.trouble is Trouble.CANCELLED and failure is not error:
            return None
        return StreamBroken(failure, pieces.told)

    def _ended(
        self, course: _Course, attempt: Attempt, failure: ProviderError | None, pieces: Pieces | None = None
    ) -> None:
        """Give the permit back with the outcome, and tell of it."""
        now, name, breaker = self._clock(), attempt.candidate.name, attempt.candidate.breaker
        first_token_s = pieces.first_token_s if pieces is not None else None
        pending = breaker.proposal
        recorded = breaker.record(
            attempt.permit,
            Outcome.SUCCESS if failure is None else failure.outcome,
            now,
            took_s=now - attempt.began if first_token_s is None else first_token_s,
            retry_after_s=failure.retry_after_s if failure else None,
            jitter=self._rng.random(),
        )
        self._count(course, now)
        self._emit(self._attempt_ended(course, attempt, failure, pieces, now=now, counted=recorded.counted))
        if recorded.transition is not None:
            self._emit(transition_event(recorded.transition, provider=name, worker=self._worker, t=now))
        if breaker.proposal is not pending:
            self._sync.announce(name)
        if recorded.counted and (failure is None or failure.outcome is not Outcome.NEUTRAL):
            self._sync.counted(name, failed=failure is not None)

    def _count(self, course: _Course, now: float) -> None:
        """The request's first attempt has ended, or has cost all that it may: the budget counts the request, once."""
        if not course.counted:
            course.counted = True
            self._budget.count_request(now)

    def _may_repeat(self, course: _Course, candidate: Candidate, failure: ProviderError) -> bool:
        """Note what a provider said that failed. InvalidRequestError if the fault is the caller's."""
        outcome = failure.outcome
        course.failure = failure
        if failure.trouble is Trouble.DEADLINE:
            course.note(candidate.name, failure.trouble.value, str(failure))
        elif failure.trouble is Trouble.UNSUPPORTED:
            course.unsupported = course.unsupported or failure
            course.passed_over += 1
        elif outcome is Outcome.NEUTRAL:
            raise to_caller(failure)
        else:
            course.note(candidate.name, outcome.value, str(failure))
        return outcome is Outcome.FAILURE

    def _nobody(self, course: _Course) -> NoProviderAvailable:
        soonest = soonest_s((candidate.breaker for candidate in self._route), self._clock())
        return NoProviderAvailable(tuple(course.said), soonest)

    def _attempt_ended(
        self,
        course: _Course,
        attempt: Attempt,
        failure: ProviderError | None,
        pieces: Pieces | None,
        *,
        now: float,
        counted: bool,
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
            streamed=pieces is not None,
            first_token_s=pieces.first_token_s if pieces is not None else None,
            chunks=pieces.told if pieces is not None else 0,
        )

    def _answered(self, course: _Course, candidate: Candidate) -> RequestEnded:
        return RequestEnded(
            t=self._clock(),
            worker=self._worker,
            request=course.id,
            result="ok",
            attempts=course.attempts,
            provider=candidate.name,
            streamed=course.streamed,
        )

    def _unanswered(self, course: _Course, error: BaseException) -> RequestEnded:
        ours = isinstance(error, NoProviderAvailable | InvalidRequestError | StreamBroken)
        return RequestEnded(
            t=self._clock(),
            worker=self._worker,
            request=course.id,
            result=_result_of(error),
            attempts=course.attempts,
            provider=error.provider if isinstance(error, InvalidRequestError | StreamBroken) else None,
            error=str(error) if ours else type(error).__name__,
            retry_after_s=error.retry_after_s if isinstance(error, NoProviderAvailable) else None,
            streamed=course.streamed,
        )


def _result_of(error: BaseException) -> Literal["failed", "rejected", "cancelled"]:
    if isinstance(error, InvalidRequestError):
        return "rejected"
    if isinstance(error, StreamBroken) and error.outcome is Outcome.NEUTRAL:
        return "rejected"
    return "failed" if isinstance(error, Exception) else "cancelled"
