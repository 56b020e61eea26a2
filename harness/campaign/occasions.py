"""What a drawn fault needs so that it can show something: requests while it lasts, of somebody who wants what it is put
on, and something that the fleet decides meanwhile. Pure: told from the plan of the load, before anything runs.

Rules
-----
* Requests are counted as the load plans them; which worker takes one is chance, so that a fault on a part of the
  workers needs more of them.
* A provider is wanted if it is the best, or while all better ones are out.
* What loses writes or notices needs an outage: only then is something written, and told.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from harness.faults import ANSWERS, Fault, OperatorOpen, ProviderCapacity, ProviderLatency, Some
from harness.scenario import ClosedLoad, Scenario
from harness.workload import arrivals

ENOUGH_OF_ALL, ENOUGH_OF_SOME = 3, 3.0
"""So many requests are to meet a fault on all workers; on a part of them, so many on average (none of them does then
in e^-3, 5 %)."""

OF_DECISIONS = frozenset({"drop_messages", "readonly", "oom", "failover", "flush"})
"""The faults of Redis that touch nothing but what is written, or told."""


HELD_S = 1.0
"""So long after a decision Redis' loss of it is likely to be felt."""


def takes_answers(kind: type[Fault]) -> bool:
    """Whether faults of that kind take answers away."""
    return kind.of == "provider" and kind.name in ANSWERS


def touches_decisions(kind: type[Fault]) -> bool:
    """Whether faults of that kind touch nothing but what is decided."""
    return kind.of == "redis" and kind.name in OF_DECISIONS


@dataclass(frozen=True, slots=True)
class Drawn:
    """A fault that was drawn, and from about when to when it is in effect (seconds)."""

    fault: Fault
    begins: float
    ends: float

    def meets(self, other: Drawn) -> bool:
        """Whether both are in effect at some time, as far as is known."""
        return self.begins <= other.ends and other.begins <= self.ends

    @property
    def is_outage(self) -> bool:
        """Whether it takes all answers of a provider away."""
        return takes_answers(type(self.fault)) and getattr(self.fault, "share", 1.0) == 1.0


class Occasions:
    """What a scenario's load gives occasion to, up to `until_s`."""

    def __init__(self, scenario: Scenario, seed: int, until_s: float) -> None:
        self._scenario = scenario
        self._workers = len(scenario.topology.places)
        self._ranks = [provider.name for provider in scenario.ordered_providers]
        self.requests = sorted(_planned(scenario, seed, until_s))
        self.per_s = len(self.requests) / until_s

    def exist_for(self, it: Drawn, others: Sequence[Drawn]) -> bool:
        """Whether a fault among others has what it needs."""
        fault = it.fault
        if fault.of == "provider" and not self._is_wanted(it, others):
            return False
        if isinstance(fault, ProviderCapacity) and not self._is_crowded(it, fault.most, others):
            return False
        if touches_decisions(type(fault)) and not any(self._is_decided_in(it, t) for t in self.decisions(others)):
            return False
        if fault.instant or (fault.of == "worker" and self._has_role(fault)):
            return True  # who has just opened or probes a provider is asked for something
        return self._between(it.begins, it.ends) * self.share(fault) >= self._enough(fault)

    def _is_crowded(self, it: Drawn, most: int, others: Sequence[Drawn]) -> bool:
        """Whether more than `most` requests should be at its provider at once."""
        name = it.fault.provider
        beside = (o.fault for o in others if o.fault.of == "provider" and o.fault.provider == name and o.meets(it))
        slow_s = sum(fault.add for fault in beside if isinstance(fault, ProviderLatency))
        lasts_s = slow_s + next(p.latency.median for p in self._scenario.providers if p.name == name)
        come = self.requests[bisect_left(self.requests, it.begins) : bisect_left(self.requests, it.ends)]
        return any(late - early < lasts_s for early, late in zip(come, come[most:], strict=False))

    def decisions(self, drawn: Sequence[Drawn]) -> list[float]:
        """When the outages among them should have opened their providers."""
        return [t for it in drawn if (t := self.opened(it, drawn)) is not None]

    def opened(self, it: Drawn, drawn: Sequence[Drawn]) -> float | None:
        """When enough requests have failed of it to open its provider: of one worker, or of the fleet, as they are
        counted. None: never."""
        if not it.is_outage or not self._is_wanted(it, drawn):
            return None
        world = self._scenario
        alone = world.sync.evidence == "worker" or world.sync.open_quorum > 1
        last = self.after(it.begins, world.breaker.failure_threshold * (self._workers if alone else 1))
        fails_s = world.request.attempt_timeout_s if it.fault.name == "hang" else world.providers[0].latency.median
        return last + fails_s if last is not None and last + fails_s <= it.ends else None

    def _is_decided_in(self, it: Drawn, t: float) -> bool:
        """Whether what is decided at `t` is lost by it: on the way, or with all that Redis holds."""
        return it.begins - HELD_S <= t <= it.begins if it.fault.instant else it.begins <= t <= it.ends

    def lasting_s(self, fault: Fault) -> float:
        """How long a fault must last to meet enough requests, on average."""
        return self._enough(fault) / (self.share(fault) * self.per_s) if self.per_s else 0.0

    def share(self, fault: Fault) -> float:
        """The share of the workers that it is put on."""
        some, workers = fault.workers_choice, self._workers
        if not isinstance(some, Some) or (fault.of == "provider" and fault.name != "partition"):
            return 1.0  # what one worker is told by an operator all follow
        if some.place is not None or some.role is not None:
            return 1 / workers
        return (some.k or workers) / workers

    def _has_role(self, fault: Fault) -> bool:
        return isinstance(fault.workers_choice, Some) and fault.workers_choice.role is not None

    def after(self, t: float, count: int) -> float | None:
        """When so many requests have come after `t`, if they do."""
        index = bisect_right(self.requests, t) + count - 1
        return self.requests[index] if index < len(self.requests) else None

    def _enough(self, fault: Fault) -> float:
        return ENOUGH_OF_ALL if self.share(fault) == 1.0 else ENOUGH_OF_SOME

    def _between(self, a: float, b: float) -> int:
        return bisect_left(self.requests, b) - bisect_left(self.requests, a)

    def _is_wanted(self, it: Drawn, others: Sequence[Drawn]) -> bool:
        better = self._ranks[: self._ranks.index(it.fault.provider)]
        return all(any(_takes_out(o, name) and o.meets(it) for o in others) for name in better)


def _takes_out(it: Drawn, provider: str) -> bool:
    held = it.is_outage or isinstance(it.fault, OperatorOpen)
    return held and it.fault.provider == provider


def _planned(scenario: Scenario, seed: int, until_s: float) -> Iterator[float]:
    """When requests are sent; a user's, were each answered before the next is due."""
    yield from takewhile(lambda t: t < until_s, (t for t, _ in arrivals(scenario, seed)))
    for load in scenario.load:
        if isinstance(load, ClosedLoad):
            for user in range(load.users):
                t = load.pace * user / load.users
                while t < until_s:
                    yield t
                    t += load.pace
