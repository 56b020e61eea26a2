"""What breaks at the simulated Redis, or on the way to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from harness.faults import Fault, Place, RedisFlush, RedisKill, RedisLatency, RedisPartition, RedisPause
from harness.history import RedisDown, RedisUp
from harness.sim.fleet import host_of
from harness.sim.injectors.scene import Effect, Maker, Scene
from harness.sim.network import Listener, Network
from harness.sim.redis import SimRedis
from harness.sim.wire import Disturbance

REDIS = "redis"
REDIS_PORT = 6379


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


def open_door(network: Network, redis: SimRedis) -> None:
    """Let connections to Redis come."""
    network.listen(REDIS, REDIS_PORT, cast("Listener", redis))  # it sets its own kind of receiver, which is one


MAKERS: Mapping[type[Fault], Maker] = {
    RedisPartition: lambda scene, _, fault, places: RedisFar(scene, fault, places),
    RedisLatency: lambda scene, _, fault, __: RedisFar(scene, fault, scene.fleet.places),
    RedisKill: lambda scene, *_: RedisEnds(scene),
    RedisPause: lambda scene, *_: RedisFreezes(scene),
    RedisFlush: lambda scene, *_: RedisForgets(scene),
}
