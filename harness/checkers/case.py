"""A case: a scenario, a seed, and the history of its run, with everything the checkers and metrics look up."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar, cast

import msgspec

from flexiai.core.circuit import State
from flexiai.events import AttemptEnded, RecordApplied, Transition
from harness.checkers.bounds import Bounds
from harness.checkers.holds import Hold, holds_of, ramps_of
from harness.checkers.index import Index, Key
from harness.checkers.lives import Life, lives_of
from harness.checkers.recovery import Recovery, recoveries_of
from harness.checkers.requests import Attempt
from harness.checkers.spans import Span
from harness.checkers.windows import Window, cuts_of, quiet_since, windows_of
from harness.faults import WorkerBlock
from harness.history import History, RunEnded, RunStarted
from harness.scenario import Scenario

E_ = TypeVar("E_", bound=msgspec.Struct)


@dataclass(frozen=True)
class Case:
    """Times are seconds since the run began. The indexes are computed once, when first asked for."""

    scenario: Scenario
    seed: int
    history: History

    @cached_property
    def index(self) -> Index:
        """Requests, attempts, transitions and records, joined."""
        return Index(self.history.entries)

    def all(self, kind: type[E_]) -> list[E_]:
        """The entries of one kind, in time order."""
        return cast(list[E_], self.index.kinds.get(kind, []))

    @cached_property
    def complete(self) -> bool:
        """Whether the run came to its end."""
        ends = self.all(RunEnded)
        return bool(self.all(RunStarted)) and len(ends) == 1 and ends[0].complete

    @cached_property
    def end(self) -> float:
        """When the last thing happened."""
        return self.history.entries[-1].t if self.history.entries else 0.0

    @cached_property
    def bounds(self) -> Bounds:
        """How long things may take."""
        return Bounds.of(self.scenario)

    @cached_property
    def providers(self) -> tuple[str, ...]:
        """The providers' names, best first."""
        return tuple(p.name for p in self.scenario.ordered_providers)

    @cached_property
    def lives(self) -> dict[str, Life]:
        """Every worker process, by its identity."""
        return lives_of(self.index.kinds)

    @cached_property
    def windows(self) -> tuple[Window, ...]:
        """The faults as they happened."""
        return windows_of(self.scenario, self.seed, self.index.kinds, self.end)

    @cached_property
    def redis_windows(self) -> tuple[Window, ...]:
        """The faults that were put on Redis, or on the way to it."""
        return tuple(w for w in self.windows if w.fault.on_redis)

    @cached_property
    def quiet_since(self) -> float:
        """When the last fault was over."""
        return quiet_since(self.windows, self.index.kinds)

    @cached_property
    def observed_until(self) -> float:
        """When the end of the run began to take workers away: nothing about the fleet is known after it."""
        ends = [w.gone for w in self.lives.values() if w.gone >= self.scenario.duration]
        return min([*ends, self.end])

    @cached_property
    def survivors(self) -> list[Life]:
        """The workers that were ready and running when the observation ended."""
        t = self.observed_until
        return [w for w in self.lives.values() if w.ready is not None and w.ready <= t <= w.gone and not w.paused(t, t)]

    @cached_property
    def cuts(self) -> dict[str, list[Span]]:
        """For each worker, when a fault stood between it and the store, the way back included."""
        return {name: cuts_of(life, self.windows, self.bounds) for name, life in self.lives.items()}

    @cached_property
    def recoveries(self) -> dict[str, tuple[Recovery, ...]]:
        """For each provider, the reasons to hold it unavailable, and until when they are good."""
        return recoveries_of(self)

    @cached_property
    def probes(self) -> list[Attempt]:
        """The attempts that were half-open probes."""
        return [a for a in self.index.attempts if a.started.probe]

    @cached_property
    def retry_afters(self) -> dict[Key, list[AttemptEnded]]:
        """What each worker's providers answered with a Retry-After, in order."""
        found: dict[Key, list[AttemptEnded]] = {}
        for ended in self.all(AttemptEnded):
            if ended.retry_after_s is not None:
                found.setdefault((ended.worker, ended.provider), []).append(ended)
        return found

    @cached_property
    def holds(self) -> dict[Key, tuple[Hold, ...]]:
        """What each worker knew of an operator's holds."""
        return holds_of(self.index)

    @cached_property
    def ramps(self) -> dict[Key, tuple[Span, ...]]:
        """When each provider's traffic may have been returning by degrees, on each worker."""
        return ramps_of(self.index, self.scenario)

    @cached_property
    def pauses(self) -> list[Span]:
        """When any worker was frozen."""
        return [p for life in self.lives.values() for p in life.pauses]

    def excuses_slowness(self, worker: str, a: float, b: float) -> bool:
        """Whether a fault slowed this worker's own code, or its clock, at a moment of [a, b], or it was frozen."""
        life = self.lives[worker]
        slowed = (w for w in self.windows if w.fault.of in ("worker", "clock") and not w.fault.instant)
        slow = life.paused(a, b) or any(w.touches(life) and w.span.meets(a, b) for w in slowed)
        return slow or self.clock_was_set(worker, b)

    def clock_was_set(self, worker: str, t: float) -> bool:
        """Whether a fault has touched a worker's own clock by `t`: what it timed is no measure any more."""
        life = self.lives.get(worker)
        clocks = (w for w in self.windows if w.fault.of == "clock" and w.start <= t)
        return life is not None and any(w.touches(life) for w in clocks)

    def stood_still(self, worker: str, a: float, b: float) -> bool:
        """Whether a worker was frozen, or its event loop blocked, at a moment of [a, b]."""
        life = self.lives[worker]
        blocked = (w for w in self.windows if isinstance(w.fault, WorkerBlock) and w.touches(life))
        return life.paused(a, b) or any(w.span.meets(a, b) for w in blocked)

    def word_waits(self, worker: str, provider: str, t: float) -> bool:
        """Whether, just before `t`, the store has not yet taken an operator's word that this worker was told: all that
        it tells goes with that word, and the record is of the store's making where it is late."""
        spoken = [e.t for e in self.index.words.get((worker, provider), ()) if e.t <= t]
        records = self.index.records.get((worker, provider), ())
        return bool(spoken) and not any(r.accepted and not r.reported and spoken[-1] < r.t < t for r in records)

    def state(self, worker: str, provider: str, t: float) -> State:
        """A worker's breaker at `t`, after all that happened until then."""
        changes = self.index.transitions.get((worker, provider), [])
        at = bisect_right(changes, t, key=_time)
        return changes[at - 1].to if at else State.CLOSED

    def closed_throughout(self, worker: str, provider: str, a: float, b: float) -> bool:
        """Whether a worker's breaker was CLOSED at every moment of [a, b]."""
        changes = self.index.transitions.get((worker, provider), [])
        inside = (c.to for c in changes[bisect_right(changes, a, key=_time) : bisect_right(changes, b, key=_time)])
        return self.state(worker, provider, a) is State.CLOSED and all(to is State.CLOSED for to in inside)

    def changes(self, provider: str) -> Iterator[Transition]:
        """All workers' changes of one provider, in time order."""
        return (t for t in self.all(Transition) if t.provider == provider)

    def applied(self, provider: str) -> Iterator[RecordApplied]:
        """All workers' applications of one provider's records, in time order."""
        return (r for r in self.all(RecordApplied) if r.provider == provider)

    def keys(self) -> list[Key]:
        """Every (worker, provider) of which something is known, in a stable order."""
        return sorted({*self.index.transitions, *self.index.records})

    def leaves_half_open(self, probe: Attempt) -> float:
        """When the worker's breaker left the HALF_OPEN life in which `probe` began (inf: never)."""
        started = probe.started
        changes = self.index.transitions.get((started.worker, started.provider), [])
        at = bisect_right(changes, started.t, key=_time)
        return changes[at].t if at < len(changes) else math.inf


def _time(change: Transition) -> float:
    return change.t
