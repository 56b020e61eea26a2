"""Which providers, in which order, and when it is worth asking again.

Rules
-----
* Lower priority numbers are asked first; among equals, the one declared first.
* A provider may be asked again when its breaker's open time is over, and at once while it is not OPEN.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from flexiai.core.breaker import Breaker
from flexiai.core.circuit import State


class Ranked(Protocol):
    """Something with a priority."""

    @property
    def priority(self) -> int: ...


R = TypeVar("R", bound=Ranked)


def in_order(providers: Iterable[R]) -> tuple[R, ...]:
    """The providers in the order in which they are asked."""
    return tuple(sorted(providers, key=lambda provider: provider.priority))


def soonest_s(breakers: Iterable[Breaker], now: float) -> float:
    """Seconds until the first of the providers may be asked again. ValueError if there is none."""
    return min(max(0.0, b.open_until - now) if b.state is State.OPEN else 0.0 for b in breakers)
