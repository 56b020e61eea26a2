"""When a provider may rightly be held unavailable: while a fault spoils it, and until its end can be known.

For a fault that ends at h, that is until

    max(the last result of an attempt that began before h, the end of every open time that such evidence caused)
    + `Bounds.recovery` of the longest of those open times

put off by whatever else is wrong meanwhile (a Redis or worker fault, a frozen worker) until that is over and settled.
A worker that was frozen, or whose event loop was blocked, is such a reason itself: it wakes to attempts that have timed
out, and what it saw is true to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flexiai.core.circuit import State
from flexiai.events import Transition
from harness.checkers.spans import Span
from harness.checkers.windows import Window

if TYPE_CHECKING:
    from harness.checkers.case import Case


@dataclass(frozen=True, slots=True)
class Recovery:
    """A reason to hold a provider unavailable: over at `healed`, no excuse after `deadline` (seconds).

    `window` is None for a worker that was frozen or blocked.
    """

    window: Window | None
    began: float
    healed: float
    deadline: float


def recoveries_of(case: Case) -> dict[str, tuple[Recovery, ...]]:
    """For each provider its reasons, in the order in which they began."""
    return {provider: _of_provider(case, provider) for provider in case.providers}


def reason_in(reasons: Iterable[Recovery], a: float, b: float) -> bool:
    """Whether any of the reasons excuses a moment of [a, b]."""
    return any(r.began <= b and a <= r.deadline for r in reasons)


def _of_provider(case: Case, provider: str) -> tuple[Recovery, ...]:
    faults = [(w, w.span) for w in case.windows if w.spoils(provider)]
    stood_still = [*case.pauses, *(w.span for w in case.windows if w.fault.name == "block")]
    if not faults and not stood_still:
        return ()
    opens = [t for t in case.changes(provider) if t.to is State.OPEN]
    last_results = _last_results(case, provider)
    reasons = [*faults, *((None, p) for p in stood_still)]
    return tuple(
        Recovery(w, s.start, s.end, _deadline(case, s, opens, last_results))
        for w, s in sorted(reasons, key=lambda r: r[1])
    )


def _last_results(case: Case, provider: str) -> list[tuple[float, float]]:
    """(began, ended) of the provider's failed attempts."""
    return [
        (a.started.t, a.ended.t)
        for a in case.index.attempts
        if a.failed and a.ended is not None and a.started.provider == provider
    ]


def _deadline(case: Case, span: Span, opens: list[Transition], results: list[tuple[float, float]]) -> float:
    if math.isinf(span.end):
        return span.end
    late = max((ended for began, ended in results if began <= span.end), default=span.end)
    horizon = max(span.end, late) + case.bounds.propagate
    caused = [t for t in opens if t.t <= horizon]
    due = max((t.t + t.open_for_s for t in caused), default=horizon)
    longest = max((t.open_for_s for t in caused), default=0.0)
    allowance = case.bounds.recovery(longest)
    return _put_off(case, span.end, max(horizon, due) + allowance, allowance)


def _put_off(case: Case, healed: float, deadline: float, allowance: float) -> float:
    """`deadline`, later if something else is wrong between `healed` and it."""
    others = [Span(w.start, w.over) for w in case.windows if w.fault.of != "provider"] + case.pauses
    for other in sorted(others):
        if other.meets(healed, deadline):
            deadline = max(deadline, other.end + case.bounds.settle + allowance)
    return deadline
