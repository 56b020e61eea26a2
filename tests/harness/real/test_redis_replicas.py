"""A primary with its replicas and sentinels: they follow, lose what they are told to lose, and leave nothing behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest

from harness.real.redis_replicas import RedisReplicas, running_replicas, until
from tests.contracts.real_redis import BINARIES

pytestmark = pytest.mark.real
each_binary = pytest.mark.parametrize("binary", BINARIES, ids=["redis", "oldest"][: len(BINARIES)])


@each_binary
def test_what_is_written_after_the_cut_is_lost_when_a_replica_takes_over(binary: Path) -> None:
    async def scene() -> None:
        async with running_replicas(RedisReplicas(replicas=2, password="secret", binary=binary)) as servers:
            pids = [server.pid for server in servers.servers]
            async with servers.primary.client() as redis:
                await redis.execute_command("SET", "k", "kept")
                await servers.caught_up()
                await servers.cut_replication()
                await redis.execute_command("SET", "k", "lost")
            await servers.primary.kill()
            await servers.promote(servers.replicas[0])
            async with servers.replicas[0].client() as redis:
                assert await redis.execute_command("GET", "k") == b"kept"
                await redis.execute_command("SET", "k", "it takes writes")
        assert not any(psutil.pid_exists(pid) for pid in pids)

    asyncio.run(scene())


@each_binary
def test_sentinels_agree_on_another_primary_when_theirs_dies(binary: Path) -> None:
    async def scene() -> None:
        group = RedisReplicas(replicas=1, sentinels=3, password="a", sentinel_password="b", binary=binary)
        async with running_replicas(group) as servers:
            (heir,) = servers.replicas
            assert [await s.primary_port() for s in servers.sentinels] == [servers.primary.port] * 3
            await servers.primary.kill()

            async def agreed() -> bool:
                return {await sentinel.primary_port() for sentinel in servers.sentinels} == {heir.port}

            await until(agreed, "all name the replica")

    asyncio.run(scene())
