"""A primary redis-server with replicas and, if wanted, the sentinels that watch over them.

Rules
-----
* All of it is of our own, like `RedisServer`: loopback, free ports, nothing persisted, nothing left behind.
* `cut_replication` leaves every server alive and reachable: what the primary accepts from then on is lost when a
  replica takes over.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from harness.real.redis_server import HOST, START_TIMEOUT_S, RedisServer
from harness.world import WorldError

SERVICE = "mymaster"
DOWN_AFTER_MS = 300
FAILOVER_TIMEOUT_MS = 3_000
POLL_S = 0.02


class RedisReplicas:
    """`replicas` servers follow one primary; `sentinels` of them agree by majority on who that is."""

    def __init__(
        self,
        *,
        replicas: int = 1,
        sentinels: int = 0,
        password: str | None = None,
        sentinel_password: str | None = None,
        binary: Path | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self._options = (*options, "--repl-diskless-sync-delay", "0")
        self.primary = RedisServer(password=password, binary=binary, options=self._options)
        self.replicas: list[RedisServer] = []
        self.sentinels: list[Sentinel] = []
        self._counts = (replicas, sentinels)
        self._password = password
        self._sentinel_password = sentinel_password
        self._binary = binary

    @property
    def servers(self) -> list[RedisServer]:
        """The primary of the beginning, and its replicas."""
        return [self.primary, *self.replicas]

    async def start(self) -> None:
        """Start all; returns when every replica follows, and every sentinel knows all of them. WorldError otherwise."""
        try:
            await self._start(*self._counts)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End all. May be called at any time, more than once."""
        for server in [*self.sentinels, *self.replicas, self.primary]:
            await server.stop()

    async def cut_replication(self) -> None:
        """The primary no longer feeds its replicas; all stay alive and reachable, and think no ill of each other."""
        await self.primary.ask("ACL", "SETUSER", "default", "-psync", "-sync")
        await self.primary.ask("CLIENT", "KILL", "TYPE", "replica")

    async def promote(self, replica: RedisServer) -> None:
        """Make a replica a primary of its own, with what it holds (REPLICAOF NO ONE)."""
        await replica.ask("REPLICAOF", "NO", "ONE")

    async def caught_up(self) -> None:
        """Returns when every replica holds all that the primary holds."""
        async with self.primary.client() as redis:
            execute: Any = redis.execute_command  # untyped in redis-py; one client, since WAIT is about its writes
            await execute("SET", "flexiai-replicas-mark", "1")
            acknowledged = await execute("WAIT", len(self.replicas), int(START_TIMEOUT_S * 1000))
            await execute("DEL", "flexiai-replicas-mark")
        if acknowledged < len(self.replicas):
            raise WorldError(f"{acknowledged} of {len(self.replicas)} replicas follow their primary")

    async def _start(self, replicas: int, sentinels: int) -> None:
        await self.primary.start()
        follow = ("--replicaof", HOST, str(self.primary.port))
        for _ in range(replicas):
            server = RedisServer(password=self._password, binary=self._binary, options=(*self._options, *follow))
            self.replicas.append(server)
            await server.start()
        for server in self.replicas:
            await until(lambda server=server: _follows(server), "a replica follows its primary")  # type: ignore[misc]
        for _ in range(sentinels):
            sentinel = Sentinel(self.primary, sentinels // 2 + 1, self._password, self._sentinel_password, self._binary)
            self.sentinels.append(sentinel)
            await sentinel.start()
        for sentinel in self.sentinels:
            await until(lambda s=sentinel: s.knows(replicas, sentinels - 1), "a sentinel knows all")  # type: ignore[misc]


class Sentinel(RedisServer):
    """One sentinel."""

    def __init__(
        self,
        primary: RedisServer,
        quorum: int,
        primary_password: str | None = None,
        password: str | None = None,
        binary: Path | None = None,
    ) -> None:
        super().__init__(password=password, binary=binary)
        self._primary = primary
        self._quorum = quorum
        self._primary_password = primary_password

    async def primary_port(self) -> int:
        """Where this sentinel says that the primary is."""
        _, port = await self.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return int(port)

    async def knows(self, replicas: int, sentinels: int) -> bool:
        """Whether it has found so many replicas and so many other sentinels."""
        flat = await self.ask("SENTINEL", "MASTER", SERVICE)
        told = flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))
        text = {str(_plain(name)): str(_plain(value)) for name, value in told.items()}
        return (int(text["num-slaves"]), int(text["num-other-sentinels"])) == (replicas, sentinels)

    def _command(self) -> list[str]:
        lines = [f"port {self.port}", f"bind {HOST}", f"dir {self._dir}"]
        lines += [f"sentinel monitor {SERVICE} {HOST} {self._primary.port} {self._quorum}"]
        lines += [f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}"]
        lines += [f"sentinel failover-timeout {SERVICE} {FAILOVER_TIMEOUT_MS}"]
        if self._primary_password:
            lines += [f"sentinel auth-pass {SERVICE} {self._primary_password}"]
        if self._password:
            lines += [f"requirepass {self._password}"]
        config = Path(str(self._dir)) / "sentinel.conf"
        config.write_text("\n".join([*lines, ""]))
        return [str(self._binary), str(config), "--sentinel"]


@contextlib.asynccontextmanager
async def running_replicas(servers: RedisReplicas) -> AsyncIterator[RedisReplicas]:
    """They run while the context is open."""
    await servers.start()
    try:
        yield servers
    finally:
        await servers.stop()


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until servers are as they should be; WorldError after START_TIMEOUT_S."""
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while not await _holds(condition):  # noqa: ASYNC110  (it is another process's doing)
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise WorldError(f"not within {START_TIMEOUT_S:g} s: {what}") from None


async def _holds(condition: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await condition()
    except (RedisError, OSError):
        return False


async def _follows(server: RedisServer) -> bool:
    async with server.client() as redis:
        told = await redis.info("replication")
    return bool(told["master_link_status"] == "up")


def _plain(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value
