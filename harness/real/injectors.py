"""How each fault is done for real, undone, and proven to have had an effect."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from redis.exceptions import RedisError

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
from harness.history import Happening, RedisDown, RedisSample, RedisUp, WorkerPaused, WorkerResumed
from harness.real.freezer import becomes_stopped, stopped
from harness.real.proxy_client import Rule
from harness.real.stack import REDIS, Stack
from harness.real.workers import Worker
from harness.world import WorldError

END_S = 10.0


@dataclass(frozen=True, slots=True)
class Effect:
    """What a fault has changed, and how often."""

    what: str
    count: int


@dataclass(slots=True)
class Scene:
    """What an injector works on. `record` stamps nothing: happenings carry `now()`, seconds of the run."""

    stack: Stack
    now: Callable[[], float]
    record: Callable[[Happening], None]


class Injector(Protocol):
    """One fault in effect."""

    async def inject(self) -> tuple[str, ...]:
        """Put it in effect; on what."""
        ...

    async def heal(self) -> None:
        """End it."""
        ...

    async def effect(self) -> Effect:
        """What it has changed so far."""
        ...


class Answers:
    """A provider answers badly, by its control API."""

    def __init__(self, scene: Scene, index: int, fault: Fault) -> None:
        self._provider = scene.stack.providers[fault.provider]
        self._index = index
        self._fault = fault

    async def inject(self) -> tuple[str, ...]:
        await self._provider.inject(self._index, self._fault)
        return (self._fault.provider,)

    async def heal(self) -> None:
        await self._provider.heal(self._index)

    async def effect(self) -> Effect:
        told = (await self._provider.state()).faults
        count = sum(fault.shaped + fault.cut for fault in told if fault.index == self._index)
        return Effect(_SHAPED[type(self._fault)](self._fault), count)


_SHAPED: Mapping[type[Fault], Callable[[Fault], str]] = {
    ProviderError: lambda f: f"requests answered {getattr(f, 'status', '')}",
    ProviderRateLimit: lambda _: "requests answered 429",
    ProviderHang: lambda _: "requests never answered",
    ProviderRefuse: lambda _: "connections refused or reset",
    ProviderLatency: lambda _: "requests delayed",
}


class Wire:
    """The way to Redis or to a provider is cut or stretched, by the proxy."""

    def __init__(self, scene: Scene, index: int, fault: Fault, places: tuple[Place, ...]) -> None:
        self._stack = scene.stack
        self._index = index
        self._upstream = REDIS if fault.target == REDIS else fault.provider
        self._delay_s = fault.add if isinstance(fault, RedisLatency) else None
        self._places = places

    async def inject(self) -> tuple[str, ...]:
        await self._stack.proxy.put(self._index, self._rule())
        return tuple(w.name for w in self._workers()) if self._delay_s is None else (self._upstream,)

    async def heal(self) -> None:
        await self._stack.proxy.drop(self._index)

    async def follow(self) -> None:
        """Workers have come or gone: the rule is for the places."""
        await self._stack.proxy.put(self._index, self._rule())

    async def effect(self) -> Effect:
        what = "chunks of bytes held" if self._delay_s is None else "chunks of bytes delayed"
        return Effect(f"{what} on the way to {self._upstream}", (await self._stack.proxy.counts()).get(self._index, 0))

    def _workers(self) -> list[Worker]:
        return [w for place, w in self._stack.fleet.live.items() if place in self._places]

    def _rule(self) -> Rule:
        if self._delay_s is not None:
            return Rule(upstream=self._upstream, action="delay", delay_s=self._delay_s)
        return Rule(upstream=self._upstream, action="hold", pids=tuple(w.pid for w in self._workers()))


class RedisEnd:
    """Redis is killed; healing starts it again, empty."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._ended = 0

    async def inject(self) -> tuple[str, ...]:
        await sample(self._scene)
        self._scene.stack.redis_wanted = False
        await self._scene.stack.redis.kill()
        self._ended = int(not self._scene.stack.redis.alive)
        self._scene.record(RedisDown(t=self._scene.now(), how="killed"))
        return (REDIS,)

    async def heal(self) -> None:
        await self._scene.stack.redis.start_again()
        self._scene.stack.redis_wanted = True
        self._scene.record(RedisUp(t=self._scene.now(), empty=True))
        await sample(self._scene)

    async def effect(self) -> Effect:
        return Effect("redis-server ended", self._ended)


class RedisFrozen:
    """Redis is stopped by SIGSTOP and woken by SIGCONT."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._seen = 0

    async def inject(self) -> tuple[str, ...]:
        self._scene.stack.redis.pause()
        self._seen = int(await becomes_stopped(self._scene.stack.redis.pid))
        self._scene.record(RedisDown(t=self._scene.now(), how="paused"))
        return (REDIS,)

    async def heal(self) -> None:
        self._scene.stack.redis.resume()
        self._scene.record(RedisUp(t=self._scene.now(), empty=False))

    async def effect(self) -> Effect:
        return Effect("redis-server stopped", self._seen)


class RedisEmptied:
    """Redis loses all it holds, by FLUSHALL."""

    def __init__(self, scene: Scene) -> None:
        self._redis = scene.stack.redis
        self._lost = 0

    async def inject(self) -> tuple[str, ...]:
        with _asking_redis():
            async with self._redis.client() as redis:
                self._lost = int(await redis.dbsize())
            await self._redis.flush()
        return (REDIS,)

    async def heal(self) -> None:
        """It is over at once."""

    async def effect(self) -> Effect:
        return Effect("keys lost", self._lost)


class WorkersEnd:
    """Workers are killed, or asked to end; uvicorn starts others in their place."""

    def __init__(self, scene: Scene, places: tuple[Place, ...], number: signal.Signals) -> None:
        self._fleet = scene.stack.fleet
        self._places = places
        self._signal = number
        self._ended = 0

    async def inject(self) -> tuple[str, ...]:
        workers = [w for place, w in self._fleet.live.items() if place in self._places]
        for worker in workers:
            self._fleet.expect_end(worker, "killed" if self._signal is signal.SIGKILL else "terminated")
            self._fleet.send(worker, self._signal)
        for worker in workers:
            self._ended += await self._fleet.gone(worker, END_S)
        return tuple(w.name for w in workers)

    async def heal(self) -> None:
        """uvicorn heals it."""

    async def effect(self) -> Effect:
        return Effect("workers ended", self._ended)


class WorkersFrozen:
    """Workers are stopped by SIGSTOP and woken by SIGCONT."""

    def __init__(self, scene: Scene, places: tuple[Place, ...]) -> None:
        self._scene = scene
        self._workers = [w for place, w in scene.stack.fleet.live.items() if place in places]
        self._seen = 0

    async def inject(self) -> tuple[str, ...]:
        for worker in self._workers:
            self._scene.record(WorkerPaused(t=self._scene.now(), worker=worker.name))
        self._seen = await self._scene.stack.freezer.freeze(self._pids)
        return tuple(w.name for w in self._workers)

    async def heal(self) -> None:
        for worker in self._workers:
            self._scene.record(WorkerResumed(t=self._scene.now(), worker=worker.name))
        await self._scene.stack.freezer.thaw(self._pids)

    async def effect(self) -> Effect:
        return Effect("workers stopped", self._seen)

    @property
    def _pids(self) -> tuple[int, ...]:
        return tuple(w.pid for w in self._workers)


def injector(scene: Scene, index: int) -> Injector:
    """The injector of a scenario's fault."""
    fault = scene.stack.scenario.faults[index]
    places = scene.stack.scenario.targets_of(index, scene.stack.seed)
    make = _MAKERS.get(type(fault))
    if make is None:
        raise WorldError(f"no way is known to inject '{fault.name}' on {fault.of} for real")
    return make(scene, index, fault, places)


_Maker = Callable[[Scene, int, Fault, tuple[Place, ...]], Injector]
_MAKERS: Mapping[type[Fault], _Maker] = {
    **dict.fromkeys(_SHAPED, lambda scene, index, fault, _: Answers(scene, index, fault)),
    ProviderPartition: Wire,
    RedisPartition: Wire,
    RedisLatency: Wire,
    RedisKill: lambda scene, *_: RedisEnd(scene),
    RedisPause: lambda scene, *_: RedisFrozen(scene),
    RedisFlush: lambda scene, *_: RedisEmptied(scene),
    WorkerKill: lambda scene, _, __, places: WorkersEnd(scene, places, signal.SIGKILL),
    WorkerRestart: lambda scene, _, __, places: WorkersEnd(scene, places, signal.SIGTERM),
    WorkerPause: lambda scene, _, __, places: WorkersFrozen(scene, places),
}


@contextlib.contextmanager
def _asking_redis() -> Iterator[None]:
    """Redis not answering the harness itself, which no fault stands between, is the world's own trouble."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise WorldError(f"redis-server does not answer the harness: {type(error).__name__}") from error


async def sample(scene: Scene) -> None:
    """Record Redis' own counters, unless a fault keeps it from answering; WorldError if it does not."""
    if scene.stack.redis_wanted and not stopped(scene.stack.redis.pid):
        with _asking_redis():
            counters = await scene.stack.redis.sample()
        scene.record(RedisSample(t=scene.now(), commands=counters.commands, published=counters.published))
