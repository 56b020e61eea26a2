"""How each fault is done in simulation, undone, and proven to have had an effect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, cast

from harness.faults import (
    Fault,
    Place,
    ProviderError,
    ProviderHang,
    ProviderLatency,
    ProviderPartition,
    ProviderRateLimit,
    ProviderRefuse,
    RedisFlush,
    RedisKill,
    RedisLatency,
    RedisPartition,
    RedisPause,
    WorkerKill,
    WorkerPause,
    WorkerRestart,
)
from harness.history import Recorder, RedisDown, RedisUp, WorkerPaused, WorkerResumed
from harness.scenario import Scenario
from harness.sim.fleet import Fleet, host_of
from harness.sim.network import Listener, Network
from harness.sim.provider import SimProvider
from harness.sim.redis import SimRedis
from harness.sim.standing import Standing
from harness.sim.wire import Disturbance
from harness.world import Unsupported

REDIS = "redis"
REDIS_PORT = 6379
GRACE_S = 5.0


@dataclass(slots=True)
class Scene:
    """What an injector works on; happenings go to `record` in the time of `now`, `sample` records Redis' counters."""

    scenario: Scenario
    seed: int
    network: Network
    redis: SimRedis
    providers: dict[str, SimProvider]
    fleet: Fleet
    record: Recorder
    now: Callable[[], float]
    sample: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Effect:
    """What a fault has changed, and how often."""

    what: str
    count: int


class Injector(Protocol):
    """One fault in effect."""

    def inject(self) -> tuple[str, ...]:
        """Put it in effect; on what."""
        ...

    def heal(self) -> None:
        """End it."""
        ...

    def effect(self) -> Effect:
        """What it has changed so far."""
        ...


class ProviderBreaks:
    """A provider answers badly, late, not at all, or not to everybody."""

    def __init__(self, scene: Scene, index: int, fault: Fault, places: tuple[Place, ...]) -> None:
        self._scene = scene
        self._provider = scene.providers[fault.provider]
        self._standing = Standing(index, fault, places)

    def inject(self) -> tuple[str, ...]:
        self._provider.put(self._standing)
        if not self._standing.places:
            return (self._provider.name,)
        return tuple(w.name for w in self._scene.fleet.at(self._standing.places))

    def heal(self) -> None:
        self._provider.heal(self._standing)

    def effect(self) -> Effect:
        return Effect(self._standing.what, self._standing.touched)


class RedisFar:
    """The way between Redis and some workers' hosts is cut or stretched."""

    def __init__(self, scene: Scene, fault: Fault, places: tuple[Place, ...]) -> None:
        self._scene = scene
        self._cut = isinstance(fault, RedisPartition)
        self._places = places
        add_s = fault.add if isinstance(fault, RedisLatency) else 0.0
        self._disturbance = Disturbance(
            frozenset(host_of(place) for place in places),
            frozenset([REDIS]),
            "hold" if self._cut else "delay",
            add_s=add_s,
        )

    def inject(self) -> tuple[str, ...]:
        self._scene.network.disturb(self._disturbance)
        return tuple(w.name for w in self._scene.fleet.at(self._places)) if self._cut else (REDIS,)

    def heal(self) -> None:
        self._scene.network.heal(self._disturbance)

    def effect(self) -> Effect:
        done = "held" if self._cut else "delayed"
        return Effect(f"segments {done} on the way to and from {REDIS}", self._disturbance.affected)


class RedisEnds:
    """Redis is killed; healing starts it again, empty."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._before = 0

    def inject(self) -> tuple[str, ...]:
        scene = self._scene
        scene.sample()
        self._before = self._touched()
        scene.network.unlisten(REDIS, REDIS_PORT)
        scene.redis.kill()
        scene.record(RedisDown(t=scene.now(), how="killed"))
        return (REDIS,)

    def heal(self) -> None:
        scene = self._scene
        scene.redis.start()
        open_door(scene.network, scene.redis)
        scene.record(RedisUp(t=scene.now(), empty=True))
        scene.sample()

    def effect(self) -> Effect:
        return Effect("connections broken or refused, keys lost", self._touched() - self._before)

    def _touched(self) -> int:
        stats = self._scene.redis.stats
        return stats.cut + stats.lost_keys + self._scene.network.host(REDIS).refused


class RedisFreezes:
    """Redis is stopped by SIGSTOP and woken by SIGCONT."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._before = 0

    def inject(self) -> tuple[str, ...]:
        self._before = self._scene.redis.stats.waited
        self._scene.redis.pause()
        self._scene.record(RedisDown(t=self._scene.now(), how="paused"))
        return (REDIS,)

    def heal(self) -> None:
        self._scene.redis.resume()
        self._scene.record(RedisUp(t=self._scene.now(), empty=False))

    def effect(self) -> Effect:
        return Effect("reads that waited", self._scene.redis.stats.waited - self._before)


class RedisForgets:
    """Redis loses all it holds, by FLUSHALL."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._lost = 0

    def inject(self) -> tuple[str, ...]:
        self._lost = self._scene.redis.flush()
        return (REDIS,)

    def heal(self) -> None:
        """It is over at once."""

    def effect(self) -> Effect:
        return Effect("keys lost", self._lost)


class WorkersEnd:
    """Workers are killed, or asked to end; their supervisor starts others in their place."""

    def __init__(self, scene: Scene, places: tuple[Place, ...], how: Literal["kill", "terminate"]) -> None:
        self._workers = scene.fleet.at(places)
        self._how = how

    def inject(self) -> tuple[str, ...]:
        for worker in self._workers:
            if self._how == "kill":
                worker.process.kill()
            else:
                worker.terminate(GRACE_S)
        return tuple(w.name for w in self._workers)

    def heal(self) -> None:
        """The supervisor heals it."""

    def effect(self) -> Effect:
        return Effect("workers ended", sum(w.process.ended for w in self._workers))


class WorkersFreeze:
    """Workers are stopped by SIGSTOP and woken by SIGCONT."""

    def __init__(self, scene: Scene, places: tuple[Place, ...]) -> None:
        self._scene = scene
        self._workers = scene.fleet.at(places)

    def inject(self) -> tuple[str, ...]:
        for worker in self._workers:
            worker.process.pause()
            self._scene.record(WorkerPaused(t=self._scene.now(), worker=worker.name))
        return tuple(w.name for w in self._workers)

    def heal(self) -> None:
        for worker in self._workers:
            if not worker.process.ended:
                self._scene.record(WorkerResumed(t=self._scene.now(), worker=worker.name))
                self._scene.fleet.resume(worker)

    def effect(self) -> Effect:
        return Effect("events that waited", sum(w.process.loop.waited for w in self._workers))


def open_door(network: Network, redis: SimRedis) -> None:
    """Let connections to Redis come."""
    network.listen(REDIS, REDIS_PORT, cast("Listener", redis))  # it sets its own kind of receiver, which is one


def injector(scene: Scene, index: int) -> Injector:  # noqa: PLR0911 - a table, one line for each kind
    """The injector of a scenario's fault, made when the fault is injected."""
    fault = scene.scenario.faults[index]
    places = scene.scenario.targets_of(index, scene.seed)
    match fault:
        case ProviderError() | ProviderRateLimit() | ProviderHang() | ProviderRefuse() | ProviderLatency():
            return ProviderBreaks(scene, index, fault, ())
        case ProviderPartition():
            return ProviderBreaks(scene, index, fault, places)
        case RedisPartition():
            return RedisFar(scene, fault, places)
        case RedisLatency():
            return RedisFar(scene, fault, scene.fleet.places)
        case RedisKill():
            return RedisEnds(scene)
        case RedisPause():
            return RedisFreezes(scene)
        case RedisFlush():
            return RedisForgets(scene)
        case WorkerKill():
            return WorkersEnd(scene, places, "kill")
        case WorkerRestart():
            return WorkersEnd(scene, places, "terminate")
        case WorkerPause():
            return WorkersFreeze(scene, places)
        case _:
            raise Unsupported(f"'{fault.name}' on {fault.of} cannot be simulated")
