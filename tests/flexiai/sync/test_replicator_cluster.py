"""A fleet on a Redis Cluster: one slot holds all, a replica takes over from a dead owner, slots move to other nodes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace

import msgspec
import pytest
from redis.crc import key_slot

from flexiai.core.circuit import Cause, Proposal, State
from flexiai.errors import SyncError
from flexiai.events import RecordApplied, RecordRestored, SyncDown
from flexiai.sync.redis import RedisBus
from flexiai.types import SyncConfig
from harness.real.redis_server import HOST, RedisServer
from tests.contracts.bus_contract import CONTRACT, sit
from tests.contracts.real_redis import BINARIES
from tests.flexiai.sync.fleet import QUICK, Worker, agreed, fleet, until
from tests.flexiai.sync.redis_cluster import Cluster, running_cluster

pytestmark = pytest.mark.real
RECORDS = "{circuit_breaker}:records"
SLOT = key_slot(RECORDS.encode())
OPENED = Proposal(base=0, state=State.OPEN, reason=Cause.FAILURE_RATE, worker="w", seen_at=0.0, open_for_ms=30_000)


def config_for(seeds: list[RedisServer], **changes: object) -> SyncConfig:
    url = f"redis+cluster://{','.join(f'{HOST}:{server.port}' for server in seeds)}"
    return SyncConfig.model_validate(QUICK.model_dump(exclude_defaults=True) | {"redis_url": url} | changes)


def play(scene: Callable[[Cluster], Coroutine[object, object, None]]) -> None:
    async def whole() -> None:
        async with running_cluster(BINARIES[0], SLOT) as cluster:
            await scene(cluster)

    asyncio.run(whole())


async def stored_epoch(server: RedisServer) -> int:
    raw = await server.ask("HGET", RECORDS, "p")
    return int(msgspec.json.decode(raw)["epoch"]) if raw else 0


def subscribed(worker: Worker) -> bool:
    status = worker.replicator.status()
    return status.subscribed and status.connected


def heard_since(worker: Worker, at: float) -> bool:
    staleness_s = worker.replicator.status().staleness_s
    return staleness_s is not None and worker.now() - staleness_s >= at


def test_a_bus_keeps_its_promises_from_every_node_and_one_seed_is_enough() -> None:
    async def scene(cluster: Cluster) -> None:
        names = itertools.count()
        for seed in cluster.nodes:
            config = config_for([seed], operation_timeout_s=5.0)
            for rule in CONTRACT[:: len(cluster.nodes)] if seed is not cluster.owners[0] else CONTRACT:
                one_fleet = config.model_copy(update={"prefix": f"fleet{next(names)}"})
                await sit(rule, lambda one_fleet=one_fleet: RedisBus(one_fleet))  # type: ignore[misc]
        by_host = SyncConfig(redis_cluster=True, redis_host=HOST, redis_port=cluster.owners[2].port, prefix="fleet1")
        bus = RedisBus(by_host)
        assert "p" in await bus.read()
        await bus.aclose()

    play(scene)


def test_a_notice_reaches_all_whichever_nodes_they_know() -> None:
    async def scene(cluster: Cluster) -> None:
        configs = iter([config_for([node], reconcile_interval_s=60.0) for node in cluster.nodes])
        slow = QUICK.model_copy(update={"reconcile_interval_s": 60.0})
        async with fleet(4, lambda: RedisBus(next(configs)), slow) as workers:
            workers[0].fails()
            await agreed(workers, State.OPEN)
            assert [w.seen(RecordApplied)[0].via for w in workers] == ["reply", "notice", "notice", "notice"]

    play(scene)


def test_when_the_owner_dies_all_meet_at_its_heir_and_what_it_took_with_it_is_written_back() -> None:
    async def scene(cluster: Cluster) -> None:
        config = config_for(cluster.owners)
        async with fleet(3, lambda: RedisBus(config), config) as workers:
            workers[0].fails()
            kept = await agreed(workers, State.OPEN)
            await cluster.caught_up()
            await cluster.followed.ask("ACL", "SETUSER", "default", "-psync", "-sync")
            await cluster.followed.ask("CLIENT", "KILL", "TYPE", "replica")
            workers[1].reset()
            lost = await agreed(workers, State.CLOSED)
            await cluster.followed.kill()
            await until(lambda: all(w.seen(SyncDown) for w in workers), "all have noticed")
            await until(lambda: all(subscribed(w) for w in workers), "all have found the heir")
            await until(lambda: any(w.seen(RecordRestored) for w in workers), "written back")
            assert await stored_epoch(cluster.heir) == lost.epoch > kept.epoch
            workers[2].fails()
            record = await agreed(workers, State.OPEN)
            assert await stored_epoch(cluster.heir) == record.epoch > lost.epoch
            for worker in workers:
                epochs = [event.epoch for event in worker.seen(RecordApplied)]
                assert epochs == sorted(epochs)

    play(scene)


@asynccontextmanager
async def reset_while_frozen(cluster: Cluster) -> AsyncIterator[list[Worker]]:
    """Two workers that have agreed with the heir on a reset, which lies before the door of its frozen owner, too: it was
    asked of that one again and again."""
    config = config_for(cluster.owners)
    async with fleet(2, lambda: RedisBus(config), config) as workers:
        workers[0].fails()
        await agreed(workers, State.OPEN)
        await cluster.caught_up()
        cluster.followed.pause()
        workers[1].reset()
        await agreed(workers, State.CLOSED)
        yield workers


def test_a_frozen_owner_is_replaced_by_its_heir() -> None:
    async def scene(cluster: Cluster) -> None:
        async with reset_while_frozen(cluster) as workers:
            record = workers[0].breaker.circuit
            assert await stored_epoch(cluster.heir) == record.epoch
            cluster.followed.resume()
            workers[0].fails()
            record = await agreed(workers, State.OPEN)
            assert await stored_epoch(cluster.heir) == record.epoch

    play(scene)


def test_what_lay_before_the_door_of_a_frozen_owner_does_not_outdo_its_heir() -> None:
    async def scene(cluster: Cluster) -> None:
        async with reset_while_frozen(cluster) as workers:
            workers[0].fails()
            opened = await agreed(workers, State.OPEN)
            cluster.followed.resume()
            await cluster.deposed()
            woken_at = workers[0].now()
            await until(lambda: all(heard_since(w, woken_at) for w in workers), "all have read since")
            assert await agreed(workers, State.OPEN) == opened
            assert await stored_epoch(cluster.heir) == opened.epoch

    play(scene)


def test_a_slot_on_its_way_is_asked_for_there_and_one_that_has_moved_is_followed() -> None:
    async def scene(cluster: Cluster) -> None:
        source = cluster.owner(SLOT)
        target = next(owner for owner in cluster.owners if owner is not source)
        bus = RedisBus(config_for(cluster.owners, operation_timeout_s=5.0))
        first = await bus.propose("p", OPENED, 0.0)
        await cluster.move_slot(SLOT, source, target, finish=False)
        assert (await bus.read())["p"].circuit == first.told.circuit  # -ASK
        assert await bus.acquire("p", "token", 5.0)
        assert bus._way._whereabouts._place.port == source.port  # type: ignore[attr-defined,union-attr]
        await cluster.move_slot(SLOT, source, target)
        async with bus.subscribe(("p",)) as subscription:
            second = await bus.propose("p", replace(OPENED, base=first.told.circuit.epoch), 0.0)
            assert second.accepted  # -MOVED
            with pytest.raises(SyncError, match="closed"):
                await subscription.next(5.0)  # it was to the node that has nothing to say any more
        async with bus.subscribe(("p",)) as subscription:
            third = await bus.propose("p", replace(OPENED, base=second.told.circuit.epoch), 0.0)
            told = await subscription.next(5.0)
            assert told is not None
            assert told.circuit == third.told.circuit
        assert await stored_epoch(target) == third.told.circuit.epoch
        assert bus._way._whereabouts._place.port == target.port  # type: ignore[attr-defined,union-attr]
        await bus.aclose()

    play(scene)
