"""The simulated fleet: instances of workers, each instance with a supervisor that replaces workers that end.

Rules (uvicorn's and the kernel's)
-----
* An instance's workers share its port: a new connection goes to one that accepts, at random; with none (all dead,
  starting or frozen) it waits in the backlog until one does.
* A worker that ends is replaced after the time that a supervisor takes to notice and a process to start.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from random import Random

from flexiai.client import AsyncFlexiAI
from harness.faults import Place
from harness.history import Recorder, WorkerDown, WorkerTrouble, WorkerUp
from harness.sim.costs import Costs
from harness.sim.engine import Engine
from harness.sim.network import Network
from harness.sim.process import How, SimProcess
from harness.sim.worker import Answered, SimWorker

Waiting = tuple[str, bool, Answered]
Equip = Callable[[str, Place, int, SimProcess, Callable[[SimWorker], None]], SimWorker]
"""Makes the worker of a process: its name, place and generation, and who is told when it is ready."""

FIRST_PID = 101


class Fleet:
    """All workers. `equip` gives a process its client; happenings go to `record` in the time of `now`."""

    def __init__(
        self,
        places: tuple[Place, ...],
        engine: Engine,
        network: Network,
        costs: Costs,
        rng: Random,
        *,
        late: frozenset[int],
        equip: Equip,
        record: Recorder,
        now: Callable[[], float],
    ) -> None:
        self.places = places
        self.workers: dict[Place, SimWorker] = {}
        self.ended: list[SimWorker] = []
        self.late = late  # instances that a fault starts
        self._engine, self._network, self._costs, self._rng = engine, network, costs, rng
        self._equip, self._record, self._now = equip, record, now
        self._generations: dict[Place, int] = {}
        self._backlog: dict[int, deque[Waiting]] = {instance: deque() for instance, _ in places}
        self._by_instance: dict[int, list[Place]] = {}
        for place in places:
            self._by_instance.setdefault(place[0], []).append(place)
        self._pids = FIRST_PID
        self._closing = False
        self._on_empty: Callable[[], None] | None = None

    @property
    def all_ready(self) -> bool:
        """Whether every place that is to have a worker by now has one that is ready."""
        there = (place for place in self.places if place[0] not in self.late)
        return all(place in self.workers and self.workers[place].ready for place in there)

    def serves(self, instance: int) -> bool:
        """Whether an instance is there for a balancer: one that comes late is once a worker of it is ready."""
        return instance not in self.late or any(w.ready for w in self._of(instance))

    def join(self, instance: int) -> list[SimWorker]:
        """Start the workers of an instance that was not there from the beginning; those that were started."""
        absent = tuple(place for place in self._by_instance[instance] if place not in self.workers)
        for place in absent:
            self._spawn(place)
        return self.at(absent)

    def at(self, places: tuple[Place, ...]) -> list[SimWorker]:
        """The workers that live at these places now."""
        return [self.workers[place] for place in places if place in self.workers]

    def start(self) -> None:
        """Start every worker, each a little after the one before it, in an order that the seed draws."""
        order = self._rng.sample(self.places, len(self.places))
        for number, place in enumerate(place for place in order if place[0] not in self.late):
            self._engine.call_later(number * self._costs.stagger_s * (0.5 + self._rng.random()), self._spawn, place)

    def connect(self, instance: int, request: str, stream: bool, answered: Answered) -> None:
        """A connection with a request has come to an instance's port."""
        accepting = [w for w in self._of(instance) if w.accepts]
        if accepting:
            self._rng.choice(accepting).take(request, stream, answered)
        else:
            self._backlog[instance].append((request, stream, answered))

    def disconnect(self, instance: int, request: str) -> None:
        """A request's caller has closed its connection to an instance (if it came so far)."""
        for worker in self._of(instance):
            worker.leave(request)
        waiting = self._backlog[instance]
        if any(w[0] == request for w in waiting):
            self._backlog[instance] = deque(w for w in waiting if w[0] != request)

    def operate(self, worker: SimWorker, speak: Callable[[AsyncFlexiAI], None]) -> None:
        """An operator's request comes to a worker."""
        self._engine.call_later(0.0, worker.operate, speak)

    def resume(self, worker: SimWorker) -> None:
        """Wake a frozen worker: it also takes what waits in the backlog."""
        worker.process.resume()
        # by the engine: whoever heals stands in a callback of a loop, within which no other loop may run
        self._engine.call_later(0.0, self._accept_waiting, worker)

    def close(self, grace_s: float) -> None:
        """End every worker in good order, and replace none."""
        self._closing = True
        for worker in list(self.workers.values()):
            worker.process.resume()
            worker.terminate(grace_s)

    def when_empty(self, call: Callable[[], None]) -> None:
        """Call once, when no worker lives (at once if that is so)."""
        self._on_empty = call
        self._look_whether_empty()

    def kill_all(self) -> None:
        """End every worker at once, and replace none."""
        self._closing = True
        for worker in list(self.workers.values()):
            worker.process.kill()

    def bury(self) -> None:
        """Let go of all that ended processes left."""
        for worker in self.ended:
            worker.process.bury()

    def _of(self, instance: int) -> Iterator[SimWorker]:
        return (self.workers[place] for place in self._by_instance[instance] if place in self.workers)

    def _spawn(self, place: Place) -> None:
        if self._closing or place in self.workers:  # whoever was to be replaced has been, by one that joined
            return
        pid, self._pids = self._pids, self._pids + 1
        generation = self._generations[place] = self._generations.get(place, -1) + 1
        name = f"sim:{pid}"
        process = SimProcess(
            self._engine,
            self._network,
            host_of(place),
            pid,
            callback_cost_s=self._costs.callback_s,
            trouble=lambda what, error: self._trouble(name, what, error),
            on_end=lambda how: self._gone(place, how),
        )
        worker = self.workers[place] = self._equip(name, place, generation, process, self._accept_waiting)
        self._record(WorkerUp(t=self._now(), worker=name, instance=place[0], slot=place[1], generation=generation))
        worker.start()

    def _gone(self, place: Place, how: How) -> None:
        worker = self.workers.pop(place)
        self.ended.append(worker)
        self._record(WorkerDown(t=self._now(), worker=worker.name, how=how))
        worker.break_off()
        if not self._closing:
            self._engine.call_later(self._rng.uniform(*self._costs.respawn_s), self._spawn, place)
        self._look_whether_empty()

    def _look_whether_empty(self) -> None:
        if self._on_empty is not None and not self.workers:
            call, self._on_empty = self._on_empty, None
            call()

    def _accept_waiting(self, worker: SimWorker) -> None:
        waiting = self._backlog[worker.place[0]]
        while waiting and worker.accepts:
            worker.take(*waiting.popleft())

    def _trouble(self, name: str, what: str, error: BaseException | None) -> None:
        told = what if error is None else f"{what}: {type(error).__name__}: {error}"
        self._record(WorkerTrouble(t=self._now(), worker=name, error=told))


def host_of(place: Place) -> str:
    """The name of a place's host in the network."""
    return f"worker-{place[0]}.{place[1]}"
