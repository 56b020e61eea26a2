"""Fixtures of the contract tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.real.redis_server import RedisServer
from tests.contracts.real_redis import BINARIES, running_redis


@pytest.fixture(scope="module", params=BINARIES, ids=["redis", "oldest"][: len(BINARIES)])
def any_redis(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """Each redis-server that this machine has."""
    binary: Path = request.param
    with running_redis(binary) as server:
        yield server
