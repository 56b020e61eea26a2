"""The simulated world: a scenario's fleet, Redis, providers and load in one engine, and the driver beside them.

Rules
-----
* The driver is a coroutine on a loop of its own in the same engine, so its sleeps take no time at all.
* Everything happens in the engine's time; the history is in the run's, which begins `_start_s` later, when every worker
  is ready.
* What reaches for Python's global `random` (a library's jitter) gets the seed's chance too.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, TypeVar

import msgspec

from flexiai.client import AsyncFlexiAI
from flexiai.events import Event
from harness.faults import Fault, Place
from harness.history import Entry, FaultEffect, Happening, History, RedisSample
from harness.scenario import OpenLoad, Scenario
from harness.sim.chance import Chance, Sampler
from harness.sim.costs import Costs
from harness.sim.engine import Engine, Stuck
from harness.sim.fleet import Fleet
from harness.sim.injectors import GRACE_S, MAKERS, REDIS, REDIS_PORT, Injector, Scene, injector, open_door
from harness.sim.load import SimLoad
from harness.sim.loop import SimLoop
from harness.sim.network import Network
from harness.sim.process import SimProcess
from harness.sim.provider import SimProvider
from harness.sim.redis import SimRedis
from harness.sim.runner import run_until, simulation
from harness.sim.worker import SimWorker
from harness.world import Hear, WorldError, refusal_of

T = TypeVar("T")

MARGIN_S = 120.0  # simulated time a run may take beyond its scenario's
MAX_STEPS = 200_000_000


class SimWorld:
    """A scenario, simulated. `costs`: what takes time besides what the scenario says."""

    mode: Literal["sim", "real"] = "sim"

    def __init__(self, scenario: Scenario, seed: int, costs: Costs | None = None) -> None:
        self._scenario = scenario
        self._costs = costs or Costs()
        self._chance = Chance(seed)
        self._start_s = 1.0 + scenario.sync.join_timeout_s + self._costs.stagger_s * 2 * len(scenario.topology.places)
        self._entries: list[Any] = []
        self._history = History([])
        self._hear: Callable[[Any, float], None] | None = None
        self._injected: dict[int, Injector] = {}
        self._told: dict[int, int] = {}
        self._times: dict[int, int] = {}
        self._stopped = False
        self._sync = scenario.sync.model_copy(update={"redis_host": REDIS, "redis_port": REDIS_PORT, "redis_url": None})
        self._engine = Engine()
        self._network = Network(self._engine, self._path_latency)
        self._director = SimLoop(self._engine, self._network, "director", callback_cost_s=0.0)
        self._providers = {
            spec.name: SimProvider(spec, self._chance, self.now, self.record) for spec in scenario.providers
        }
        self._redis = SimRedis(lambda: self._engine._now, self._engine.call_later)
        self._fleet = Fleet(
            scenario.topology.places,
            self._engine,
            self._network,
            self._costs,
            self._chance.stream("fleet"),
            late=scenario.late_instances,
            equip=self._equip,
            record=self.record,
            now=self.now,
        )
        self._load = SimLoad(
            scenario,
            seed,
            self._engine,
            self._chance.latency(self._costs.edge, "edge"),
            self._chance.stream("balancer"),
            connect=self._fleet.connect,
            disconnect=self._fleet.disconnect,
            serves=self._fleet.serves,
            record=self.record,
            now=self.now,
        )
        self._scene = Scene(
            scenario,
            seed,
            self._network,
            self._redis,
            self._providers,
            self._fleet,
            self.record,
            self.now,
            self._sample,
            self._entries,
            lambda index: self._times.get(index, 0),
        )

    # -- a world

    def refuses(self, fault: Fault) -> str | None:
        """Whether a fault cannot be simulated, and why."""
        return refusal_of(fault, "sim", MAKERS)

    def execute(self, drive: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run the driver to its end in simulated time."""
        with self.alive():
            return self.until(drive())

    @contextmanager
    def alive(self) -> Iterator[None]:
        """While it lasts, time may pass here (`until`); then everything is over, and the history whole."""
        try:
            with _global_random(self._chance.stream("global")), simulation():
                yield
        except Stuck as stuck:
            raise WorldError(str(stuck)) from stuck
        finally:
            self._history = History.of(self._in_run_time())
            self._end()

    def until(self, main: Coroutine[Any, Any, T]) -> T:
        """Let time pass until a coroutine of the driver's has come to its end; its result."""
        horizon_s = self._start_s + self._scenario.duration + self._scenario.drain + MARGIN_S
        return run_until(self._director, main, horizon_s=horizon_s, max_steps=MAX_STEPS)

    def now(self) -> float:
        """Seconds since the run began."""
        return round(self._engine._now - self._start_s, 9)

    def record(self, entry: Happening) -> None:
        """Add a happening of the harness's own, in the run's time."""
        self._entries.append(entry)
        if self._hear is not None:
            self._hear(entry, entry.t)

    def listen(self, hear: Hear) -> None:
        """Tell `hear` of everything, as it happens."""
        self._hear = hear

    async def start(self) -> None:
        """Start Redis and the workers; returns at time 0, with every worker ready."""
        open_door(self._network, self._redis)
        self._fleet.start()
        await asyncio.sleep(self._start_s - self._engine.now)
        self.check()
        if not self._fleet.all_ready:
            raise WorldError(f"not every worker was ready after {self._start_s:g} s: {self._first_trouble()}")

    def check(self) -> None:
        """Nothing of this world breaks by itself: what its processes die of is in the history."""

    async def start_load(self) -> None:
        """Begin to send the scenario's load."""
        self._sample()
        self._load.start()

    async def inject(self, index: int, places: tuple[Place, ...]) -> tuple[str, ...]:
        """Put a fault in effect; one that is repeated leaves its evidence first."""
        if index in self._injected:
            self._tell_effect(index)
        self._told.pop(index, None)
        self._times[index] = self._times.get(index, -1) + 1
        self._injected[index] = injector(self._scene, index, places)
        return self._injected[index].inject()

    def break_too(self, fault: Fault) -> int:
        """Take one more fault into the scenario, for whoever does not know them all beforehand; its index."""
        self._extend({"faults": (*self._scenario.faults, fault)})
        return len(self._scenario.faults) - 1

    def load_too(self, load: OpenLoad) -> None:
        """Take one more load into the scenario, and begin to send it."""
        self._extend({"load": (*self._scenario.load, load)})
        self._load.add(self._scenario)

    def cease(self) -> None:
        """Send nothing more: the load ends now, and with it the scenario's duration."""
        self._load.cease()
        self._extend({"duration": self.now()})

    @property
    def scenario(self) -> Scenario:
        """What it is a world of, with all that was added."""
        return self._scenario

    async def heal(self, index: int) -> None:
        """End a fault, and record what it changed."""
        self._injected[index].heal()
        self._tell_effect(index)

    async def finish_load(self, timeout_s: float) -> None:
        """Await the end of every request; what is still open after `timeout_s` is recorded as such."""
        over = asyncio.get_running_loop().create_future()
        self._load.when_over(partial(over.set_result, None))
        try:
            async with asyncio.timeout(timeout_s):
                await over
        except TimeoutError:
            self._load.give_up()
        self._sample()

    async def stop(self) -> None:
        """End every worker in good order, and Redis."""
        if self._stopped:
            return
        self._stopped = True
        for index in self._injected:
            self._tell_effect(index)
        self._load.give_up()
        self._fleet.close(GRACE_S)
        empty = asyncio.get_running_loop().create_future()
        self._fleet.when_empty(partial(empty.set_result, None))
        await empty
        self._network.unlisten(REDIS, REDIS_PORT)
        self._redis.kill()

    def history(self) -> History:
        """All that happened."""
        return self._history

    # -- its parts

    def _extend(self, more: dict[str, object]) -> None:
        self._scenario = self._scene.scenario = self._scenario.model_copy(update=more)

    def _path_latency(self, source: str, target: str) -> Sampler:
        return self._chance.latency(self._scenario.redis.latency, f"path/{source}/{target}")

    def _equip(
        self,
        name: str,
        place: Place,
        generation: int,
        process: SimProcess,
        on_ready: Callable[[SimWorker], None],
    ) -> SimWorker:
        lines = {provider.name: provider.line(place) for provider in self._providers.values()}
        make = partial(
            AsyncFlexiAI,
            providers=[spec.config for spec in self._scenario.providers],
            sync=self._sync,
            breaker=self._scenario.breaker,
            request=self._scenario.request,
            custom=lines,
            listeners=[partial(self._take, process.loop)],
            worker=name,
            pid=process.pid,
            rng=self._chance.stream(f"worker/{place[0]}.{place[1]}/{generation}"),
        )
        return SimWorker(name, place, process, make, lines, on_ready=on_ready)

    def _take(self, loop: SimLoop, event: Event) -> None:
        """Something happened on a worker, by whose own clock it is stamped: the history has one clock for all."""
        if loop.clock_offset_s or loop.clock_rate != 1.0:
            at = self._engine.now - (loop.time() - event.t) / loop.clock_rate
            msgspec.structs.force_setattr(event, "t", at)
        self._entries.append(event)
        if self._hear is not None:
            self._hear(event, event.t - self._start_s)

    def _sample(self) -> None:
        stats = self._redis.stats
        self.record(RedisSample(t=self.now(), commands=stats.commands, published=stats.published))

    def _tell_effect(self, index: int) -> None:
        effect = self._injected[index].effect()
        if effect.count > self._told.get(index, 0):
            self._told[index] = effect.count
            time = self._times[index]
            self.record(FaultEffect(t=self.now(), fault=index, what=effect.what, count=effect.count, time=time))

    def _in_run_time(self) -> Iterator[Entry]:
        """What was recorded, with flexiai's events (stamped by their workers' clocks) in the run's time."""
        for entry in self._entries:
            if isinstance(entry, Event):
                msgspec.structs.force_setattr(entry, "t", round(entry.t - self._start_s, 9))
            yield entry

    def _first_trouble(self) -> str:
        return next((str(e.error) for e in self._entries if hasattr(e, "error") and e.error), "it is not known why")

    def _end(self) -> None:
        self._fleet.kill_all()
        self._fleet.bury()
        self._director.die()
        self._director.bury()


@contextmanager
def _global_random(seeded: random.Random) -> Iterator[None]:
    before = random.getstate()
    random.setstate(seeded.getstate())
    try:
        yield
    finally:
        random.setstate(before)
