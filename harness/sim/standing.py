"""A provider fault in effect: whom it touches, what it answers, and how often it did."""

from __future__ import annotations

import math
from collections.abc import Callable

from flexiai.core.outcome import Outcome, Trouble, classify
from flexiai.errors import InvalidRequestError, ProviderError
from harness.faults import (
    Fault,
    NetworkPartition,
    NetworkSwizzle,
    Place,
    ProviderCapacity,
    ProviderPartition,
    ProviderRateLimit,
)
from harness.faults import ProviderError as AnswersError

_LIES = {
    "cut": (Trouble.DISCONNECT, "the connection broke before the answer was complete (ClientPayloadError)"),
    "reset": (Trouble.DISCONNECT, "the connection broke before the answer was complete (connection reset)"),
    "malformed": (Trouble.MALFORMED, "not a valid answer: Input data was truncated"),
    "error_body": (Trouble.ERROR_BODY, "an error inside a 200: the provider was told to fail"),
}
_WHAT = {
    "stall": "streams stalled",
    "cut": "answers cut off",
    "reset": "answers lost with their connections",
    "capacity": "requests turned away",
    "malformed": "answers that were malformed",
    "error_body": "answers with an error inside a 200",
    "rate_limit": "requests answered 429",
    "hang": "requests never answered",
    "refuse": "connections refused or reset",
    "latency": "requests delayed",
    "partition": "requests or answers held",
}


class Standing:
    """A fault that stands, between the provider and workers at `places`. `touched`: what it changed so far; `slow`: by
    how much it slows their way, drawn each time."""

    def __init__(
        self, index: int, fault: Fault, places: tuple[Place, ...] = (), slow: Callable[[], float] | None = None
    ) -> None:
        self.index = index
        self.slow = slow
        self.fault = fault
        self.places = places
        self.since = 0.0  # when it was put in effect, on the simulation's clock
        self.share: float = getattr(fault, "share", 1.0)
        self.touched = 0

    def touch(self) -> bool:
        """Count something that it changed."""
        self.touched += 1
        return True

    def parts(self, place: Place) -> bool:
        """Whether it keeps the worker at `place` from the provider."""
        return isinstance(self.fault, ProviderPartition | NetworkPartition | NetworkSwizzle) and place in self.places

    def delay_s(self, place: Place) -> float:
        """How much longer the worker at `place` waits for the provider, by the network alone; drawn anew each time."""
        if self.slow is None or place not in self.places:
            return 0.0
        self.touch()
        return self.slow()

    @property
    def what(self) -> str:
        """What `touched` counts."""
        return f"requests answered {self.status}" if self.fault.name == "error" else _WHAT[self.fault.name]

    @property
    def status(self) -> int:
        """The HTTP status of its answers."""
        if self.fault.name in _LIES:
            return 200
        return self.fault.status if isinstance(self.fault, AnswersError | ProviderCapacity) else 429

    @property
    def instead(self) -> bool:
        """Whether it comes in the place of an answer, and not within one."""
        return self.status >= 400 or self.fault.name == "reset"

    @property
    def after_tokens(self) -> int:
        """How many tokens of a stream come before its effect."""
        return getattr(self.fault, "after_tokens", 0)

    def answer(self, provider: str, now: float) -> ProviderError:
        """Its answer, as an HTTP adapter raises it, at `now` of the simulation's clock."""
        if self.fault.name in _LIES:
            return refusal(provider, *_LIES[self.fault.name])
        wait_s = self.fault.retry_after if isinstance(self.fault, ProviderRateLimit | ProviderCapacity) else None
        if wait_s is not None and isinstance(self.fault, ProviderRateLimit) and self.fault.date:
            wait_s = math.ceil(now + wait_s) - now  # dates are in whole seconds
        # The load names no model: what is not found is then the one that the provider is configured with.
        trouble = Trouble.MISCONFIGURED if self.status == 404 else Trouble.STATUS
        return refusal(provider, trouble, f"HTTP {self.status}", self.status, wait_s)


def refusal(
    provider: str, trouble: Trouble, message: str, status: int | None = None, wait_s: float | None = None
) -> ProviderError:
    """What an HTTP adapter raises."""
    kind = InvalidRequestError if classify(trouble, status) is Outcome.NEUTRAL else ProviderError
    return kind(message, provider=provider, trouble=trouble, status=status, retry_after_s=wait_s)
