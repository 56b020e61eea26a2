"""Requests as their senders saw them, and as the workers lived them. Filled by the index, then left alone."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from flexiai.core.circuit import State
from flexiai.core.outcome import Outcome
from flexiai.core.permit import SPARED, Why
from flexiai.events import AttemptEnded, AttemptStarted, RequestEnded, RequestStarted
from harness.history import RequestDone, RequestSent

View = Mapping[str, State]
"""A worker's breakers at a moment; a provider that is absent never left CLOSED."""


class Attempt(msgspec.Struct):
    """One provider asked once. `view`: what its worker knew when it began."""

    started: AttemptStarted
    view: View
    ended: AttemptEnded | None = None

    @property
    def end(self) -> float | None:
        """When it ended; None: it never did."""
        return self.ended.t if self.ended is not None else None

    @property
    def began_to_answer(self) -> bool:
        """Whether it is known to have told its caller the first token of a stream."""
        return self.ended is not None and self.ended.first_token_s is not None

    @property
    def spared(self) -> dict[str, Why]:
        """Who was not asked although they could have served, and why."""
        return {
            name: why
            for name, why in zip(self.started.skipped, self.started.skipped_for, strict=False)
            if why in SPARED
        }

    @property
    def refused(self) -> set[str]:
        """Who could not be asked."""
        return {*self.started.skipped} - self.spared.keys()

    @property
    def failed(self) -> bool:
        """Whether it ended as the provider's fault."""
        return self.ended is not None and self.ended.outcome.fails_over

    @property
    def succeeded(self) -> bool:
        """Whether it was answered."""
        return self.ended is not None and self.ended.outcome is Outcome.SUCCESS


class Execution(msgspec.Struct):
    """One request on one worker. `view`: what the worker knew when it came."""

    started: RequestStarted
    view: View
    attempts: list[Attempt]
    ended: RequestEnded | None = None

    @property
    def ok(self) -> bool:
        """Whether it was answered."""
        return self.ended is not None and self.ended.result == "ok"

    @property
    def answering(self) -> Attempt | None:
        """The attempt whose stream began to be told, if one did (the first: there may be no other)."""
        return next((attempt for attempt in self.attempts if attempt.began_to_answer), None)

    def refused(self, providers: tuple[str, ...]) -> set[str]:
        """The providers that this request wanted and whose breaker said no, and not only to spare them."""
        skipped = {name for attempt in self.attempts for name in attempt.refused}
        if self.ended is not None and self.ended.result == "failed" and self.answering is None:
            skipped |= set(providers)
        return skipped - {attempt.started.provider for attempt in self.attempts}


def budget_was_spent(ended: RequestEnded) -> bool:
    """Whether a request says that it could pay for no further attempt."""
    return ended.result == "failed" and "the retry budget was spent" in (ended.error or "")


class Sent(msgspec.Struct):
    """One request as its sender saw it, with what the workers made of it."""

    sent: RequestSent
    done: RequestDone | None = None
    executions: list[Execution] = []

    @property
    def rejected(self) -> bool:
        """Whether it was the caller's own error."""
        return any(e.ended is not None and e.ended.result == "rejected" for e in self.executions)
