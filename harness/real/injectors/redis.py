"""What breaks at the real redis-server, or on the way to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

import msgspec

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
from harness.real.freezer import becomes_stopped
from harness.real.injectors.scene import Effect, Maker, Scene, asking_redis, sample
from harness.real.injectors.wire import Ruling, Wire, WireHit
from harness.real.proxy_client import Rule
from harness.real.redis_server import HOST, RedisServer
from harness.real.stack import REDIS
from harness.real.wire_rules import Toward
from harness.world import WorldError

NOBODYS_PORT = 1
SYNCED_S = 10.0
POLL_S = 0.01
SMALL_LIMIT = "pubsub 32768 32768 1"
USUAL_LIMIT = "pubsub 33554432 8388608 60"
TOO_MUCH = b"x" * 1_048_576
LOADING = "LOADING Redis is loading the dataset in memory"
PASSWORD = "rotated"  # noqa: S105 - of a server on loopback that lives for one run
_TOWARD: Mapping[str, Toward | None] = {"both": None, "to_redis": "upstream", "from_redis": "worker"}


class RedisEnd:
    """Redis is killed, or shut down with or without a snapshot; healing starts it again with that."""

    def __init__(self, scene: Scene, how: Literal["killed", "empty", "persisted"]) -> None:
        self._scene = scene
        self._how = how
        self._ended = 0

    async def inject(self) -> tuple[str, ...]:
        stack = self._scene.stack
        await sample(self._scene)
        stack.redis_wanted = False
        if self._how == "killed":
            await stack.redis.kill()
        else:
            await stack.redis.shut_down(save=self._how == "persisted")
        self._ended = int(not stack.redis.alive)
        self._scene.record(RedisDown(t=self._scene.now(), how="killed"))
        return (REDIS,)

    async def heal(self) -> None:
        await self._scene.stack.redis.start_again()
        self._scene.stack.redis_wanted = True
        self._scene.record(RedisUp(t=self._scene.now(), empty=self._how != "persisted"))
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


class RedisFailsOver:
    """A replica, in step until now, hears no more; healing kills the server and puts the replica in its place."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._replica: RedisServer | None = None

    async def inject(self) -> tuple[str, ...]:
        stack = self._scene.stack
        self._replica = RedisServer(options=("--replicaof", HOST, str(stack.redis.port)))
        stack.spares.append(self._replica)
        with asking_redis():
            await stack.redis.ask("CONFIG", "SET", "repl-diskless-sync-delay", 0)  # else it first waits for others, 5 s
            await self._replica.start()
            await _in_step(self._replica)
            await self._replica.ask("REPLICAOF", "NO", "ONE")
        return (REDIS,)

    async def heal(self) -> None:
        stack, scene = self._scene.stack, self._scene
        assert self._replica is not None  # noqa: S101 - it was injected
        await sample(scene)
        lost, stack.redis = stack.redis, self._replica
        await lost.stop()
        scene.record(RedisDown(t=scene.now(), how="killed"))
        await stack.proxy.redirect(REDIS, stack.redis.port)
        scene.record(RedisUp(t=scene.now(), empty=False))
        await sample(scene)

    async def effect(self) -> Effect:
        """Asked before the healing: what the server holds and the replica lacks, or holds otherwise."""
        assert self._replica is not None  # noqa: S101 - it was injected
        with asking_redis():
            held, known = await self._scene.stack.redis.fields(), await self._replica.fields()
        return Effect("writes that the promoted replica had missed", sum(known.get(k) != v for k, v in held.items()))


async def _in_step(replica: RedisServer) -> None:
    """Returns when the replica holds what its primary does."""
    try:
        async with asyncio.timeout(SYNCED_S), replica.client() as redis:
            while (await redis.info("replication")).get("master_link_status") != "up":  # noqa: ASYNC110
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise WorldError(f"the replica was not in step within {SYNCED_S:g} s") from None


class RedisHit:
    """Something is done to Redis at one moment; `do` says how much it did."""

    def __init__(self, do: Callable[[], Awaitable[int]], what: str) -> None:
        self._do = do
        self._what = what
        self._count = 0

    async def inject(self) -> tuple[str, ...]:
        with asking_redis():
            self._count = await self._do()
        return (REDIS,)

    async def heal(self) -> None:
        """It is over at once."""

    async def effect(self) -> Effect:
        return Effect(self._what, self._count)


class RedisDenies:
    """Redis is set up to answer an error, until it is set up otherwise."""

    def __init__(
        self, scene: Scene, code: str, begin: Callable[[], Awaitable[object]], end: Callable[[], Awaitable[object]]
    ) -> None:
        self._redis = scene.stack.redis
        self._code = code
        self._begin, self._end = begin, end
        self._before = 0

    async def inject(self) -> tuple[str, ...]:
        with asking_redis():
            self._before = await self._redis.errors(self._code)
            await self._begin()
        return (REDIS,)

    async def heal(self) -> None:
        with asking_redis():
            await self._end()

    async def effect(self) -> Effect:
        with asking_redis():
            return Effect(f"commands answered {self._code}", await self._redis.errors(self._code) - self._before)


def _emptied(scene: Scene) -> RedisHit:
    async def flush() -> int:
        lost = int(await scene.stack.redis.ask("DBSIZE"))
        await scene.stack.redis.flush()
        return lost

    return RedisHit(flush, "keys lost")


def _subscribers_killed(scene: Scene) -> RedisHit:
    async def kill() -> int:
        return int(await scene.stack.redis.ask("CLIENT", "KILL", "TYPE", "pubsub"))

    return RedisHit(kill, "subscribers disconnected")


def _overflow(scene: Scene) -> RedisHit:
    async def flood() -> int:
        redis = scene.stack.redis
        before = await _subscribers(redis)
        await redis.ask("CONFIG", "SET", "client-output-buffer-limit", SMALL_LIMIT)
        for channel in await redis.ask("PUBSUB", "CHANNELS"):
            await redis.ask("PUBLISH", channel, TOO_MUCH)
        await redis.ask("CONFIG", "SET", "client-output-buffer-limit", USUAL_LIMIT)
        return len(before - await _subscribers(redis))

    return RedisHit(flood, "subscribers disconnected for slowness")


async def _subscribers(redis: RedisServer) -> frozenset[str]:
    async with redis.client() as client:
        return frozenset(told["id"] for told in await client.client_list(_type="pubsub"))


def _readonly(scene: Scene) -> RedisDenies:
    redis = scene.stack.redis
    return RedisDenies(
        scene,
        "READONLY",
        lambda: redis.ask("REPLICAOF", HOST, NOBODYS_PORT),
        lambda: redis.ask("REPLICAOF", "NO", "ONE"),
    )


def _oom(scene: Scene) -> RedisDenies:
    redis = scene.stack.redis
    return RedisDenies(
        scene,
        "OOM",
        lambda: redis.ask("CONFIG", "SET", "maxmemory", 1),
        lambda: redis.ask("CONFIG", "SET", "maxmemory", 0),
    )


def _noauth(scene: Scene) -> RedisDenies:
    redis = scene.stack.redis
    return RedisDenies(scene, "NOAUTH", lambda: redis.lock(PASSWORD), lambda: redis.lock(None))


def _restart(scene: Scene, _: int, fault: Fault, __: tuple[Place, ...]) -> RedisEnd:
    return RedisEnd(scene, fault.data if isinstance(fault, RedisRestart) else "killed")


def _wire(scene: Scene, index: int, fault: Fault, places: tuple[Place, ...]) -> Wire:
    ruling, what = _ruling(fault)
    on = () if fault.workers_choice is not None else (REDIS,)
    make = WireHit if fault.instant else Wire
    return make(scene, index, places, ruling, f"{what} on the way to {REDIS}", on=on)


def _ruling(fault: Fault) -> tuple[Ruling, str]:
    match fault:
        case RedisPartition():
            action: Literal["hold", "drop"] = "hold" if fault.bytes_ == "held" else "drop"
            toward = _TOWARD[fault.direction]
            return lambda pids: Rule(upstream=REDIS, action=action, toward=toward, pids=pids), f"chunks {fault.bytes_}"
        case RedisLatency():
            delay = Rule(upstream=REDIS, action="delay", delay_s=fault.add, spread_s=fault.spread)
            return lambda pids: msgspec.structs.replace(delay, pids=pids), "chunks of bytes delayed"
        case RedisDropMessages():
            share = fault.share
            return lambda pids: Rule(upstream=REDIS, action="mute", share=share, pids=pids), "messages lost"
        case RedisLoading():
            return lambda _: Rule(upstream=REDIS, action="deny", error=LOADING), "commands answered LOADING"
        case _:
            return lambda pids: Rule(upstream=REDIS, action="reset", pids=pids), "connections reset or refused"


MAKERS: Mapping[type[Fault], Maker] = {
    **dict.fromkeys(
        (RedisPartition, RedisLatency, RedisReset, RedisRefuse, RedisDropMessages, RedisLoading),
        _wire,
    ),
    RedisKill: _restart,
    RedisRestart: _restart,
    RedisPause: lambda scene, *_: RedisFrozen(scene),
    RedisFailover: lambda scene, *_: RedisFailsOver(scene),
    RedisFlush: lambda scene, *_: _emptied(scene),
    RedisSubscribersKilled: lambda scene, *_: _subscribers_killed(scene),
    RedisOverflow: lambda scene, *_: _overflow(scene),
    RedisReadonly: lambda scene, *_: _readonly(scene),
    RedisOom: lambda scene, *_: _oom(scene),
    RedisNoAuth: lambda scene, *_: _noauth(scene),
}
