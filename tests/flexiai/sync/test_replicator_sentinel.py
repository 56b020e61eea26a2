"""A fleet on a primary, a replica and three sentinels: failovers, with writes lost and without, and dead sentinels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from flexiai.core.circuit import State
from flexiai.events import RecordApplied, RecordRestored, SyncDown
from flexiai.sync.redis import RedisBus
from flexiai.sync.whereabouts import SentinelGuide
from flexiai.types import SyncConfig
from harness.real.redis_replicas import SERVICE, RedisReplicas, running_replicas
from harness.real.redis_replicas import until as until_servers
from harness.real.redis_server import HOST, RedisServer
from tests.contracts.real_redis import BINARIES
from tests.flexiai.sync.fleet import QUICK, Worker, agreed, fleet, until

pytestmark = pytest.mark.real
RECORDS = "circuit_breaker:records"


def config_for(servers: RedisReplicas, **changes: object) -> SyncConfig:
    places = [f"{HOST}:{sentinel.port}" for sentinel in servers.sentinels]
    return SyncConfig.model_validate(
        QUICK.model_dump(exclude_defaults=True)
        | {"redis_sentinels": places, "redis_sentinel_service": SERVICE, "redis_password": "p"}
        | {"redis_sentinel_password": "s"}
        | changes
    )


@asynccontextmanager
async def sentinels(replicas: int = 1) -> AsyncIterator[RedisReplicas]:
    group = RedisReplicas(replicas=replicas, sentinels=3, password="p", sentinel_password="s", binary=BINARIES[0])
    async with running_replicas(group) as servers:
        yield servers


async def stored_epoch(server: RedisServer) -> int:
    raw = await server.ask("HGET", RECORDS, "p")
    return int(msgspec.json.decode(raw)["epoch"]) if raw else 0


def assert_epochs_never_went_back(workers: list[Worker]) -> None:
    for worker in workers:
        epochs = [event.epoch for event in worker.seen(RecordApplied)]
        assert epochs == sorted(epochs), f"{worker.name}: {epochs}"


def subscribed(worker: Worker) -> bool:
    status = worker.replicator.status()
    return status.subscribed and status.connected


def test_when_the_primary_dies_all_meet_at_the_next_one() -> None:
    async def scene() -> None:
        async with sentinels() as servers:
            config = config_for(servers, reconcile_interval_s=60.0)
            async with fleet(3, lambda: RedisBus(config), config) as workers:
                workers[0].fails()
                first = await agreed(workers, State.OPEN)
                await servers.caught_up()
                await servers.primary.kill()
                await until(lambda: all(w.seen(SyncDown) for w in workers), "all have noticed")
                await until(lambda: all(subscribed(w) for w in workers), "all have found the next one")
                workers[1].reset()
                record = await agreed(workers, State.CLOSED)
                assert record.epoch > first.epoch
                assert await stored_epoch(servers.replicas[0]) == record.epoch
                assert [w.seen(RecordApplied)[-1].via for w in workers] == ["notice", "reply", "notice"]
                assert_epochs_never_went_back(workers)

    asyncio.run(scene())


def test_what_the_old_primary_took_with_it_is_written_back_and_epochs_go_on() -> None:
    async def scene() -> None:
        async with sentinels() as servers:
            (heir,) = servers.replicas
            config = config_for(servers)
            async with fleet(3, lambda: RedisBus(config), config) as workers:
                workers[0].fails()
                kept = await agreed(workers, State.OPEN)
                await servers.caught_up()
                await servers.cut_replication()
                workers[1].reset()
                await agreed(workers, State.CLOSED)
                workers[2].fails()
                lost = await agreed(workers, State.OPEN)
                assert await stored_epoch(heir) == kept.epoch < lost.epoch
                await servers.primary.kill()
                await until(lambda: any(w.seen(RecordRestored) for w in workers), "written back")
                assert await stored_epoch(heir) == lost.epoch
                workers[1].reset()
                record = await agreed(workers, State.CLOSED)
                assert await stored_epoch(heir) == record.epoch > lost.epoch
                assert_epochs_never_went_back(workers)

    asyncio.run(scene())


def test_a_worker_that_knows_only_the_lost_past_cannot_take_the_others_back() -> None:
    async def scene() -> None:
        async with sentinels() as servers:
            config = config_for(servers)
            async with fleet(2, lambda: RedisBus(config), config) as workers:
                await servers.caught_up()
                await servers.cut_replication()
                workers[0].fails()
                await agreed(workers, State.OPEN)
                workers[0].reset()
                lost = await agreed(workers, State.CLOSED)
                await servers.primary.kill()
                async with fleet(1, lambda: RedisBus(config), config) as joined:  # it knows nothing
                    joined[0].fails()
                    record = await agreed([*workers, *joined], State.OPEN)
                    assert record.epoch > lost.epoch
                    assert await stored_epoch(servers.replicas[0]) == record.epoch
                    assert_epochs_never_went_back([*workers, *joined])

    asyncio.run(scene())


def test_a_frozen_primary_is_replaced_and_comes_back_as_a_replica() -> None:
    """Nothing is refused or closed: connections stay open, new ones are made, and nobody answers."""

    async def scene() -> None:
        async with sentinels() as servers:
            config = config_for(servers)
            async with fleet(2, lambda: RedisBus(config), config) as workers:
                workers[0].fails()
                await agreed(workers, State.OPEN)
                await servers.caught_up()
                servers.primary.pause()
                workers[1].reset()
                record = await agreed(workers, State.CLOSED)
                assert await stored_epoch(servers.replicas[0]) == record.epoch
                servers.primary.resume()
                workers[0].fails()
                record = await agreed(workers, State.OPEN)
                await until_servers(lambda: _holds(servers.replicas[0], record.epoch), "the new primary holds it")
                assert_epochs_never_went_back(workers)

    asyncio.run(scene())


def test_a_primary_that_is_demoted_alive_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SentinelGuide, "sure_for_s", 0.3)

    async def scene() -> None:
        async with sentinels() as servers:
            config = config_for(servers)
            async with fleet(2, lambda: RedisBus(config), config) as workers:
                await servers.caught_up()
                await servers.sentinels[0].ask("SENTINEL", "FAILOVER", SERVICE)
                await until_servers(lambda: _says(servers, servers.replicas[0]), "all sentinels name the replica")
                workers[0].fails()
                record = await agreed(workers, State.OPEN)
                await until_servers(lambda: _holds(servers.replicas[0], record.epoch), "the new primary holds it")
                assert_epochs_never_went_back(workers)

    asyncio.run(scene())


def test_a_primary_of_the_past_that_sentinels_have_replaced_is_left_though_it_still_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cut off from the sentinels, not from us: nothing breaks, and only asking again tells."""
    monkeypatch.setattr(SentinelGuide, "sure_for_s", 0.3)

    async def scene() -> None:
        async with sentinels() as servers:
            config = config_for(servers)
            async with fleet(2, lambda: RedisBus(config), config) as workers:
                await servers.caught_up()
                for sentinel in servers.sentinels:  # as if these had seen it die, and it were not to be reached by them
                    await sentinel.ask("SENTINEL", "REMOVE", SERVICE)
                    await sentinel.ask("SENTINEL", "MONITOR", SERVICE, HOST, servers.replicas[0].port, 2)
                    await sentinel.ask("SENTINEL", "SET", SERVICE, "auth-pass", "p")
                await servers.promote(servers.replicas[0])
                await until(lambda: all(w.replicator.status().reconnects for w in workers), "all have moved")
                workers[0].fails()
                record = await agreed(workers, State.OPEN)
                assert await stored_epoch(servers.replicas[0]) == record.epoch
                assert await stored_epoch(servers.primary) == 0

    asyncio.run(scene())


def test_dead_and_frozen_sentinels_delay_nobody_and_none_at_all_leaves_the_primary_that_is_known() -> None:
    async def scene() -> None:
        async with sentinels() as servers:
            config = config_for(servers)
            servers.sentinels[0].pause()
            async with fleet(2, lambda: RedisBus(config), config) as workers:
                assert all(subscribed(w) for w in workers)
                await servers.sentinels[1].kill()
                servers.sentinels[2].pause()
                await servers.primary.ask("CLIENT", "KILL", "TYPE", "pubsub")
                await servers.primary.ask("CLIENT", "KILL", "TYPE", "normal")
                await until(lambda: all(w.replicator.status().reconnects for w in workers), "all are back")
                workers[0].fails()
                await agreed(workers, State.OPEN)

    asyncio.run(scene())


async def _says(servers: RedisReplicas, server: RedisServer) -> bool:
    return {await sentinel.primary_port() for sentinel in servers.sentinels} == {server.port}


async def _holds(server: RedisServer, epoch: int) -> bool:
    return await stored_epoch(server) == epoch
