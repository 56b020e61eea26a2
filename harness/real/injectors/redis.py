"""What breaks at the real redis-server, or on the way to it."""

from __future__ import annotations

from collections.abc import Mapping

from harness.faults import Fault, RedisFlush, RedisKill, RedisLatency, RedisPartition, RedisPause
from harness.history import RedisDown, RedisUp
from harness.real.freezer import becomes_stopped
from harness.real.injectors.scene import Effect, Maker, Scene, asking_redis, sample
from harness.real.injectors.wire import Wire
from harness.real.stack import REDIS


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
        with asking_redis():
            async with self._redis.client() as redis:
                self._lost = int(await redis.dbsize())
            await self._redis.flush()
        return (REDIS,)

    async def heal(self) -> None:
        """It is over at once."""

    async def effect(self) -> Effect:
        return Effect("keys lost", self._lost)


MAKERS: Mapping[type[Fault], Maker] = {
    RedisPartition: Wire,
    RedisLatency: Wire,
    RedisKill: lambda scene, *_: RedisEnd(scene),
    RedisPause: lambda scene, *_: RedisFrozen(scene),
    RedisFlush: lambda scene, *_: RedisEmptied(scene),
}
