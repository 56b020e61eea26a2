"""One attempt on one provider, and what it means that it failed.

Rules
-----
* Whatever a provider raises becomes a ProviderError, so that `classify` can judge it. An exception of its own shows as
  its type only (its text may hold secrets); the exception itself is the error's cause.
* Out of time is TIMEOUT, whatever the provider raised when it was cancelled. If the attempt had less than its own time,
  earlier attempts having used up the request's, it is DEADLINE instead: that says nothing about its provider.
* A CancelledError is the caller's leaving only if this very task was cancelled; else the provider let one escape.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from flexiai.core.breaker import Breaker, Permit, Refusal
from flexiai.core.outcome import Trouble
from flexiai.errors import InvalidRequestError, ProviderError, Said

if TYPE_CHECKING:  # the package of providers imports aiohttp, which a client of custom providers does without
    from flexiai.providers.base import Provider


@dataclass(frozen=True, slots=True)
class Candidate:
    """A provider that may be asked, and its breaker."""

    name: str
    provider: Provider
    breaker: Breaker


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt under way: the request's `number`-th, begun at `began`.

    waits_for  what the provider is waited for
    allowed_s  how long that may take
    curtailed  that is less than an attempt's own time
    """

    number: int
    candidate: Candidate
    permit: Permit
    began: float
    allowed_s: float
    curtailed: bool
    waits_for: Literal["answer", "first token", "next token"] = "answer"


def understood(attempt: Attempt, raised: BaseException, out_of_time: bool) -> ProviderError:
    """What was raised in an attempt, as the failure it stands for."""
    name = attempt.candidate.name
    if out_of_time and isinstance(raised, Exception):
        silence = f"no {attempt.waits_for} within {attempt.allowed_s:.3g} s"
        failure = ProviderError(silence, provider=name, trouble=Trouble.TIMEOUT)
    elif isinstance(raised, ProviderError):
        failure = raised
    elif isinstance(raised, Exception) or (isinstance(raised, asyncio.CancelledError) and not _caller_left()):
        failure = ProviderError(type(raised).__name__, provider=name, trouble=Trouble.OTHER)
        failure.__cause__ = raised
    else:
        failure = ProviderError("the caller went away", provider=name, trouble=Trouble.CANCELLED)
    if failure.trouble is Trouble.TIMEOUT and attempt.curtailed:
        return ProviderError("the request's time was over", provider=name, trouble=Trouble.DEADLINE)
    return failure


def to_caller(failure: ProviderError) -> InvalidRequestError:
    """A neutral failure as the error that its caller gets."""
    if isinstance(failure, InvalidRequestError):
        return failure
    error = InvalidRequestError(
        str(failure), provider=failure.provider, trouble=failure.trouble, status=failure.status, code=failure.code
    )
    error.__cause__ = failure
    return error


def refused(breaker: Breaker, refusal: Refusal, now: float) -> Said:
    """Why a provider was not asked."""
    wait = "a probe is under way or due" if refusal.retry_at <= now else f"next probe in {refusal.retry_at - now:.1f} s"
    return Said(
        breaker.provider, breaker.reason.value, f"circuit {refusal.state.value} ({breaker.reason.value}), {wait}"
    )


def _caller_left() -> bool:
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
