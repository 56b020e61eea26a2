"""What is to be done when: each fault's beginnings and ends, some of which wait for something to happen.

Rules
-----
* At one moment, what heals makes way for what comes; else the scenario's order holds.
* A fault that waits for something (`after`) begins, or is over (`until`), when that has been heard.
* Which workers a fault is put on is drawn by the seed, anew each time; a role is whoever has it when the fault begins.
* Pure: `hear` is told what happens, `take` says what is due. What never happens is never due.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random

from flexiai.core.circuit import Cause, State
from flexiai.events import AttemptStarted, RecordApplied, Transition, WorkerReady
from harness.faults import Fault, Moment, Place, Role
from harness.faults.moment import EventName
from harness.history import Entry, FaultHealed, FaultInjected, WorkerDown, WorkerUp
from harness.scenario import Scenario

CLOCK_S = 1e-8
"""A time that has come to within this has come: a world's clock is rounded, and a sleep may be too short to move it."""


_GIVES: dict[Role | None, tuple[EventName, ...]] = {"opener": ("opened",), "probe_holder": ("half_open", "probed")}
"""The events by which a worker has a role."""


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """Something to be done: a fault begins for the `time`th time (from 0), or is over. `seen`: who got the role that it
    is put on by the event that it waited for."""

    at: float
    begins: bool
    fault: int
    time: int
    seen: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class _Told:
    """Something that happened, as a Moment names it."""

    event: EventName
    provider: str | None = None
    fault: str | None = None
    worker: str | None = None

    def is_of(self, moment: Moment) -> bool:
        """Whether `moment` means this."""
        same_provider = moment.provider is None or moment.provider == self.provider
        return moment.event == self.event and same_provider and (moment.fault is None or moment.fault == self.fault)


class Agenda:
    """All that is still to be done in a run. `listens`: whether it depends on what happens."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._scenario = scenario
        self._seed = seed
        self._steps: list[Step] = []
        self._times = [0] * len(scenario.faults)
        self._standing: dict[int, tuple[int, float]] = {}  # fault -> which time, and since when
        self._heard: dict[tuple[int, bool], int] = {}
        self._places: dict[str, Place] = {}
        self._open: set[str] = set()  # providers that are open for the fleet
        self._opener: str | None = None
        self.listens = any(map(_waits, scenario.faults))
        self._probing: dict[str, str] = {}  # provider -> the worker in HALF_OPEN, the latest last
        for index, fault in enumerate(scenario.faults):
            if fault.after is None:
                self._plan(index, 0.0, None)

    @property
    def next_at(self) -> float | None:
        """When the next thing is due that is known of."""
        return self._steps[0].at if self._steps else None

    def take(self, now: float) -> Step | None:
        """What is due now, if anything."""
        while self._steps and self._steps[0].at - now <= CLOCK_S:
            step = heappop(self._steps)
            if step.begins:
                self._begin(step)
                return step
            if self._standing.get(step.fault, (None,))[0] == step.time:
                del self._standing[step.fault]
                return step
        return None

    def places(self, step: Step) -> tuple[Place, ...]:
        """The workers' places that the fault is put on, as it begins."""
        some = self._scenario.faults[step.fault].workers_choice
        if some is None or some.role is None:
            return self._scenario.targets_of(step.fault, self._seed, step.time)
        latest = self._opener if some.role == "opener" else next(reversed(self._probing.values()), None)
        worker = step.seen or latest
        return (self._places[worker],) if worker in self._places else ()

    def hear(self, entry: Entry, t: float) -> bool:
        """Something happened at `t`; whether that put something on the agenda."""
        if not self.listens:
            return False
        told = self._understood(entry)
        if told is None or t < 0:
            return False
        count = len(self._steps)
        for index, fault in enumerate(self._scenario.faults):
            if fault.after is not None and told.is_of(fault.after) and self._is_nth(index, fault.after, begins=True):
                some = fault.workers_choice
                has_role = some is not None and told.event in _GIVES.get(some.role, ())
                self._plan(index, t, told.worker if has_role else None)
            if isinstance(fault.until_, Moment) and index in self._standing and told.is_of(fault.until_):
                self._end(index, fault.until_, t)
        return len(self._steps) > count

    def _plan(self, index: int, base: float, seen: str | None) -> None:
        fault, duration = self._scenario.faults[index], self._scenario.duration
        for at in fault.begins(base, duration, Random(f"{self._seed}/fault/{index}/times")):
            if at < duration:
                heappush(self._steps, Step(at, True, index, self._times[index], seen))
                self._times[index] += 1

    def _begin(self, step: Step) -> None:
        fault, duration = self._scenario.faults[step.fault], self._scenario.duration
        if not fault.instant:
            self._standing[step.fault] = (step.time, step.at)
            self._heard.pop((step.fault, False), None)
            heappush(self._steps, Step(fault.ends(step.at, duration), False, step.fault, step.time))

    def _end(self, index: int, moment: Moment, t: float) -> None:
        time, since = self._standing[index]
        if t >= since and self._is_nth(index, moment, begins=False):
            heappush(self._steps, Step(t, False, index, time))

    def _is_nth(self, index: int, moment: Moment, *, begins: bool) -> bool:
        self._heard[index, begins] = self._heard.get((index, begins), 0) + 1
        return self._heard[index, begins] == moment.nth

    def _understood(self, entry: Entry) -> _Told | None:
        match entry:
            case WorkerUp():
                self._places[entry.worker] = (entry.instance, entry.slot)
            case Transition():
                return self._changed(entry)
            case RecordApplied():
                return self._recorded(entry)
            case AttemptStarted() if entry.probe:
                return _Told("probed", entry.provider, worker=entry.worker)
            case WorkerDown() | WorkerReady():
                return _Told("worker_down" if isinstance(entry, WorkerDown) else "worker_ready", worker=entry.worker)
            case FaultInjected() | FaultHealed():
                event: EventName = "injected" if isinstance(entry, FaultInjected) else "healed"
                return _Told(event, fault=self._scenario.faults[entry.fault].id)
            case _:
                pass
        return None

    def _changed(self, change: Transition) -> _Told | None:
        if self._probing.get(change.provider) == change.worker:
            del self._probing[change.provider]
        if change.to is State.HALF_OPEN:
            self._probing.pop(change.provider, None)
            self._probing[change.provider] = change.worker
            return _Told("half_open", change.provider, worker=change.worker)
        if change.cause is Cause.SYNC:
            return None
        if change.to is State.OPEN:
            return self._opened(change.provider, change.worker)
        self._open.discard(change.provider)
        return _Told("closed", change.provider, worker=change.worker)

    def _recorded(self, record: RecordApplied) -> _Told | None:
        """The store may have opened a provider by what several workers had seen: the last of them is who opened it."""
        if record.state is State.OPEN:
            return self._opened(record.provider, record.origin)
        self._open.discard(record.provider)
        return None

    def _opened(self, provider: str, worker: str) -> _Told | None:
        if provider in self._open:
            return None
        self._open.add(provider)
        self._opener = worker
        return _Told("opened", provider, worker=worker)


def _waits(fault: Fault) -> bool:
    """Whether a fault's beginning, end or place depends on what happens."""
    some = fault.workers_choice
    return fault.after is not None or isinstance(fault.until_, Moment) or (some is not None and some.role is not None)
