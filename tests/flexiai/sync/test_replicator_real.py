"""The replicator on a real redis-server that is killed, frozen, flushed, and that throws its subscribers out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from flexiai.core.circuit import Cause, State
from flexiai.core.outcome import Outcome
from flexiai.events import ProbeLease, RecordApplied, RecordRestored, SyncDown, SyncUp
from flexiai.sync.redis import RedisBus
from flexiai.types import SyncConfig
from harness.real.redis_server import RedisServer
from tests.flexiai.sync.fleet import QUICK, RULES, Faulty, Worker, agreed, fleet, until

pytestmark = pytest.mark.real
SOON_DUE = RULES.model_copy(update={"reset_timeout_s": 0.05, "max_reset_timeout_s": 0.05})


def config_for(server: RedisServer, **changes: float) -> SyncConfig:
    return QUICK.model_copy(update={"redis_host": "127.0.0.1", "redis_port": server.port, **changes})


def play(scene: Callable[[], Coroutine[object, object, None]]) -> None:
    asyncio.run(scene())


def subscribed(worker: Worker) -> bool:
    status = worker.replicator.status()
    return status.subscribed and status.connected and not status.deaf


def test_a_notice_reaches_all(real_redis: RedisServer) -> None:
    async def scene() -> None:
        config = config_for(real_redis, reconcile_interval_s=60.0)
        async with fleet(4, lambda: RedisBus(config), config) as workers:
            workers[0].fails()
            record = await agreed(workers, State.OPEN)
            assert record.worker == "w0"
            assert [w.seen(RecordApplied)[0].via for w in workers] == ["reply", "notice", "notice", "notice"]

    play(scene)


def test_lost_notices_are_made_good_by_reading(real_redis: RedisServer) -> None:
    async def scene() -> None:
        config = config_for(real_redis)

        def deaf() -> Faulty:
            bus = Faulty(RedisBus(config))
            bus.lossy = True
            return bus

        async with fleet(3, deaf, config) as workers:
            workers[0].fails()
            await agreed(workers, State.OPEN)
            workers[1].reset()
            assert (await agreed(workers, State.CLOSED)).reason is Cause.RESET
            assert {e.via for w in workers[1:] for e in w.seen(RecordApplied)} <= {"read", "reply"}

    play(scene)


def test_killed_and_empty_it_is_seeded_again_and_epochs_go_on(real_redis: RedisServer) -> None:
    async def scene() -> None:
        config = config_for(real_redis)
        async with fleet(3, lambda: RedisBus(config), config) as workers:
            workers[0].fails()
            await agreed(workers, State.OPEN)
            workers[0].reset()
            before = await agreed(workers, State.CLOSED)
            await real_redis.kill()
            await until(lambda: not any(subscribed(w) for w in workers), "all have noticed")
            workers[1].fails()
            assert workers[1].state is State.OPEN
            await real_redis.start_again()
            record = await agreed(workers, State.OPEN)
            assert record.epoch > before.epoch
            await until(lambda: all(subscribed(w) for w in workers), "all are back")
            for worker in workers:
                assert worker.replicator.status().reconnects == 1
                assert len(worker.seen(SyncDown)) == 1
                epochs = [e.epoch for e in worker.seen(RecordApplied)]
                assert epochs == sorted(epochs)

    play(scene)


def test_flushed_it_is_seeded_by_one(real_redis: RedisServer) -> None:
    async def scene() -> None:
        config = config_for(real_redis)
        async with fleet(3, lambda: RedisBus(config), config) as workers, real_redis.client() as admin:
            workers[0].fails()
            await agreed(workers, State.OPEN)
            raw = await admin.hget("circuit_breaker:records", "p")
            await real_redis.flush()
            await until(lambda: any(w.seen(RecordRestored) for w in workers), "restored")
            assert await admin.hget("circuit_breaker:records", "p") == raw
            assert sum(len(w.seen(RecordRestored)) for w in workers) == 1

    play(scene)


def test_subscribers_thrown_out_are_back_and_have_read(real_redis: RedisServer) -> None:
    async def scene() -> None:
        config = config_for(real_redis, reconcile_interval_s=60.0)
        async with fleet(3, lambda: RedisBus(config), config) as workers, real_redis.client() as admin:
            await admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            await until(lambda: all(len(w.seen(SyncUp)) == 2 for w in workers), "all are back")
            workers[0].fails()
            await agreed(workers, State.OPEN)

    play(scene)


def test_a_frozen_server_is_noticed_harms_nobody_and_is_joined_again(real_redis: RedisServer) -> None:
    async def scene() -> None:
        config = config_for(real_redis, reconcile_interval_s=60.0)  # so that only the missing pong can tell
        async with fleet(2, lambda: RedisBus(config), config) as workers:
            real_redis.pause()
            await until(lambda: all(w.seen(SyncDown) for w in workers), "the missing pong is noticed")
            assert "did not answer" in workers[0].seen(SyncDown)[0].error
            workers[0].fails()
            assert workers[0].state is State.OPEN
            assert not workers[0].replicator.want_probe("p")
            real_redis.resume()
            await agreed(workers, State.OPEN)
            await until(lambda: all(subscribed(w) for w in workers), "joined again")

    play(scene)


def test_a_server_that_is_busy_for_a_while_is_no_harm(real_redis: RedisServer) -> None:
    async def scene() -> None:
        config = config_for(real_redis)
        async with fleet(2, lambda: RedisBus(config), config) as workers, real_redis.client() as admin:
            await admin.client_pause(1000)
            await until(lambda: all(w.seen(SyncDown) for w in workers), "its silence is noticed")
            workers[0].fails()
            await agreed(workers, State.OPEN)
            await until(lambda: all(subscribed(w) for w in workers), "joined again")

    play(scene)


def test_closing_on_a_frozen_server_is_bounded(real_redis: RedisServer) -> None:
    async def scene() -> None:
        config = config_for(real_redis)
        async with fleet(1, lambda: RedisBus(config), config) as (worker,):
            real_redis.pause()
            began = worker.now()
            await worker.replicator.aclose()
            assert worker.now() - began < 5.0

    play(scene)


def test_one_of_three_probes_and_a_dead_holder_is_replaced(real_redis: RedisServer) -> None:
    async def scene() -> None:
        config = config_for(real_redis)
        async with fleet(3, lambda: RedisBus(config), config, SOON_DUE) as workers:
            workers[0].fails()
            await agreed(workers, State.OPEN)
            await until(lambda: all(w.now() >= w.breaker.open_until for w in workers), "due")
            for worker in workers:
                worker.replicator.want_probe("p")
            await until(lambda: sum(len(w.seen(ProbeLease)) for w in workers) == 3, "all have competed")
            (holder,) = [w for w in workers if w.seen(ProbeLease)[0].action == "won"]
            await until(lambda: holder.state is State.HALF_OPEN, "granted")
            await holder.dies()
            heirs = [w for w in workers if w is not holder]

            def inherited() -> bool:
                return any(w.state is State.HALF_OPEN or w.replicator.want_probe("p") for w in heirs)

            await until(inherited, "another holds the lease")
            (heir,) = [w for w in heirs if w.state is State.HALF_OPEN]
            heir.attempt(Outcome.SUCCESS)
            await agreed(heirs, State.CLOSED)
            await until(lambda: heir.seen(ProbeLease)[-1].action == "released", "given back")

    play(scene)
