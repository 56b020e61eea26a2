"""What breaks at the simulated Redis, or on the way to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from harness.faults import (
    Fault,
    Place,
    RedisDropMessages,
    RedisFailover,
    RedisFlush,
    RedisKill,
    RedisLatency,
    RedisLoading,
    RedisNoAuth,
    RedisOom,
    RedisOverflow,
    RedisPartition,
    RedisPause,
    RedisReadonly,
    RedisRefuse,
    RedisReset,
    RedisRestart,
    RedisSubscribersKilled,
)
from harness.history import RedisDown, RedisUp
from harness.sim.chance import Chance
from harness.sim.fleet import host_of
from harness.sim.injectors.scene import Effect, Maker, Scene
from harness.sim.network import Listener, Network
from harness.sim.redis import NEEDS_MEMORY, WRITES, Denial, SimRedis
from harness.sim.redis.store import Database
from harness.sim.wire import Disturbance

REDIS = "redis"
REDIS_PORT = 6379
_FAR = frozenset([REDIS])


class RedisFar:
    """The way between Redis and some workers' hosts is cut or stretched."""

    def __init__(self, scene: Scene, places: tuple[Place, ...], disturbance: Disturbance, what: str) -> None:
        self._scene = scene
        self._places = places
        self._disturbance = disturbance
        self._what = what

    def inject(self) -> tuple[str, ...]:
        self._scene.network.disturb(self._disturbance)
        return tuple(w.name for w in self._scene.fleet.at(self._places))

    def heal(self) -> None:
        self._scene.network.heal(self._disturbance)

    def effect(self) -> Effect:
        return Effect(f"{self._what} on the way to and from {REDIS}", self._disturbance.affected)


class RedisRefuses:
    """Redis resets the connections of some workers, and does not let them connect again."""

    def __init__(self, scene: Scene, places: tuple[Place, ...]) -> None:
        self._scene = scene
        self._places = places
        self._hosts = frozenset(host_of(place) for place in places)
        self._disturbance = Disturbance(self._hosts, _FAR, "refuse")
        self._cut = 0

    def inject(self) -> tuple[str, ...]:
        self._scene.network.disturb(self._disturbance)
        self._cut = self._scene.redis.cut(self._hosts)
        return tuple(w.name for w in self._scene.fleet.at(self._places))

    def heal(self) -> None:
        self._scene.network.heal(self._disturbance)

    def effect(self) -> Effect:
        return Effect("connections reset or refused", self._cut + self._disturbance.affected)


class RedisEnds:
    """Redis is killed or shut down; healing starts it again, empty or with what it held."""

    def __init__(self, scene: Scene, *, empty: bool) -> None:
        self._scene = scene
        self._empty = empty
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
        scene.redis.start(empty=self._empty)
        open_door(scene.network, scene.redis)
        scene.record(RedisUp(t=scene.now(), empty=self._empty))
        scene.sample()

    def effect(self) -> Effect:
        return Effect("connections broken or refused, keys lost", self._touched() - self._before)

    def _touched(self) -> int:
        stats = self._scene.redis.stats
        return stats.cut + stats.lost_keys + self._scene.network.host(REDIS).refused


class RedisFailsOver:
    """A replica hears no more; healing puts it in the place of the server that is lost."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._replica: tuple[Database, ...] = ()
        self._missed = 0

    def inject(self) -> tuple[str, ...]:
        self._replica = self._scene.redis.replica()
        return (REDIS,)

    def heal(self) -> None:
        scene = self._scene
        scene.sample()
        scene.record(RedisDown(t=scene.now(), how="killed"))
        self._missed = scene.redis.fail_over(self._replica)
        scene.record(RedisUp(t=scene.now(), empty=False))
        scene.sample()

    def effect(self) -> Effect:
        return Effect("writes that the promoted replica had missed", self._missed)


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


class RedisHit:
    """Something is done to Redis at one moment."""

    def __init__(self, do: Callable[[], int], what: str, on: Callable[[], tuple[str, ...]] = lambda: (REDIS,)) -> None:
        self._do = do
        self._what = what
        self._on = on
        self._count = 0

    def inject(self) -> tuple[str, ...]:
        on = self._on()
        self._count = self._do()
        return on

    def heal(self) -> None:
        """It is over at once."""

    def effect(self) -> Effect:
        return Effect(self._what, self._count)


class RedisDenies:
    """Redis answers errors."""

    def __init__(self, scene: Scene, denial: Denial, *, cutting: bool = False) -> None:
        self._scene = scene
        self._denial = denial
        self._cutting = cutting
        self._before = 0

    def inject(self) -> tuple[str, ...]:
        scene = self._scene
        self._before = scene.redis.stats.denied
        scene.redis.deny(self._denial)
        if self._cutting:
            scene.redis.cut(frozenset(host_of(place) for place in scene.fleet.places))
        return (REDIS,)

    def heal(self) -> None:
        self._scene.redis.deny(None)

    def effect(self) -> Effect:
        code = self._denial.text.partition(" ")[0]
        return Effect(f"commands answered {code}", self._scene.redis.stats.denied - self._before)


class RedisMute:
    """Messages to some workers are lost."""

    def __init__(self, scene: Scene, index: int, fault: Fault, places: tuple[Place, ...]) -> None:
        self._scene = scene
        self._places = places
        self._hosts = frozenset(host_of(place) for place in places)
        self._share: float = getattr(fault, "share", 1.0)
        self._draw = Chance(scene.seed).stream(f"fault/{index}/messages").random
        self._before = 0

    def inject(self) -> tuple[str, ...]:
        self._before = self._scene.redis.stats.dropped
        self._scene.redis.lose(lambda host: host in self._hosts and (self._share >= 1 or self._draw() < self._share))
        return tuple(w.name for w in self._scene.fleet.at(self._places))

    def heal(self) -> None:
        self._scene.redis.lose(None)

    def effect(self) -> Effect:
        return Effect("messages lost", self._scene.redis.stats.dropped - self._before)


def _partition(scene: Scene, _: int, fault: Fault, places: tuple[Place, ...]) -> RedisFar:
    assert isinstance(fault, RedisPartition)  # noqa: S101 - made for no other
    hosts = frozenset(host_of(place) for place in places)
    near, far = (_FAR, hosts) if fault.direction == "from_redis" else (hosts, _FAR)
    held = fault.bytes_ == "held"
    cut = Disturbance(near, far, "hold" if held else "drop", one_way=fault.direction != "both")
    return RedisFar(scene, places, cut, f"segments {fault.bytes_}")


def _latency(scene: Scene, index: int, fault: Fault, places: tuple[Place, ...]) -> RedisFar:
    assert isinstance(fault, RedisLatency)  # noqa: S101 - made for no other
    add, spread, rng = fault.add, fault.spread, Chance(scene.seed).stream(f"fault/{index}/latency")
    hosts = frozenset(host_of(place) for place in places)
    longer = Disturbance(hosts, _FAR, "delay", add=lambda: add + rng.uniform(0.0, spread) if spread else add)
    return RedisFar(scene, places, longer, "segments delayed")


def _restart(scene: Scene, _: int, fault: Fault, __: tuple[Place, ...]) -> RedisEnds:
    return RedisEnds(scene, empty=getattr(fault, "data", "empty") == "empty")


def _reset(scene: Scene, _: int, __: Fault, places: tuple[Place, ...]) -> RedisHit:
    hosts = frozenset(host_of(place) for place in places)
    return RedisHit(
        lambda: scene.redis.cut(hosts), "connections reset", lambda: tuple(w.name for w in scene.fleet.at(places))
    )


READONLY = Denial("READONLY You can't write against a read only replica.", WRITES)
OOM = Denial("OOM command not allowed when used memory > 'maxmemory'.", NEEDS_MEMORY)
LOADING = Denial("LOADING Redis is loading the dataset in memory")
NOAUTH = Denial("NOAUTH Authentication required.")


def open_door(network: Network, redis: SimRedis) -> None:
    """Let connections to Redis come."""
    network.listen(REDIS, REDIS_PORT, cast("Listener", redis))  # it sets its own kind of receiver, which is one


MAKERS: Mapping[type[Fault], Maker] = {
    RedisPartition: _partition,
    RedisLatency: _latency,
    RedisKill: _restart,
    RedisRestart: _restart,
    RedisPause: lambda scene, *_: RedisFreezes(scene),
    RedisFailover: lambda scene, *_: RedisFailsOver(scene),
    RedisReset: _reset,
    RedisRefuse: lambda scene, _, __, places: RedisRefuses(scene, places),
    RedisSubscribersKilled: lambda scene, *_: RedisHit(scene.redis.kill_subscribers, "subscribers disconnected"),
    RedisOverflow: lambda scene, *_: RedisHit(scene.redis.overflow, "subscribers disconnected for slowness"),
    RedisFlush: lambda scene, *_: RedisHit(scene.redis.flush, "keys lost"),
    RedisDropMessages: RedisMute,
    RedisReadonly: lambda scene, *_: RedisDenies(scene, READONLY),
    RedisOom: lambda scene, *_: RedisDenies(scene, OOM),
    RedisLoading: lambda scene, *_: RedisDenies(scene, LOADING),
    RedisNoAuth: lambda scene, *_: RedisDenies(scene, NOAUTH, cutting=True),
}
