"""Fixtures of the sync tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.real.redis_server import RedisServer
from tests.contracts.real_redis import BINARIES, running_redis


@pytest.fixture
def real_redis() -> Iterator[RedisServer]:
    """A redis-server that a test may break."""
    with running_redis(BINARIES[0]) as server:
        yield server
