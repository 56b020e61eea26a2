"""The simulated Redis behind a real TCP port, so that unmodified clients can talk to it. Time is the running loop's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from harness.sim.redis import SimRedis
from harness.sim.redis.session import Session


class _Wire(asyncio.Protocol):
    """One connection, as SimRedis wants it."""

    receiver: Session

    def __init__(self, redis: SimRedis) -> None:
        self._redis = redis
        self.peer = "client"

    @property
    def unsent(self) -> int:
        return self._transport.get_write_buffer_size()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._redis.on_connect(self)

    def data_received(self, data: bytes) -> None:
        self.receiver.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.receiver.closed(exc)

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()


@asynccontextmanager
async def sim_redis_server(**settings: object) -> AsyncIterator[tuple[SimRedis, int]]:
    """A SimRedis and the port of 127.0.0.1 at which it listens."""
    loop = asyncio.get_running_loop()
    redis = SimRedis(loop.time, loop.call_later, **settings)  # type: ignore[arg-type]  # settings by name
    server = await loop.create_server(lambda: _Wire(redis), "127.0.0.1", 0)
    try:
        yield redis, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        redis.kill()
