"""RedisBus on a real redis-server: bounds, errors without secrets, lost scripts, held-back commands, strange messages."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from flexiai.core.circuit import Cause, Proposal, State
from flexiai.errors import ConfigurationError, SyncError
from flexiai.sync.bus import Round
from flexiai.sync.redis import RedisBus
from flexiai.types import SyncConfig
from harness.real.redis_server import RedisServer
from tests.contracts.real_redis import BINARIES, running_redis

pytestmark = pytest.mark.real
SECRET = "s3cr3t/with@signs"
OPENED = Proposal(base=0, state=State.OPEN, reason=Cause.FAILURE_RATE, worker="w", seen_at=0.0, open_for_ms=30_000)


def config_for(server: RedisServer, **changes: object) -> SyncConfig:
    return SyncConfig.model_validate({"redis_host": "127.0.0.1", "redis_port": server.port} | changes)


@asynccontextmanager
async def bus_on(config: SyncConfig) -> AsyncIterator[RedisBus]:
    bus = RedisBus(config)
    try:
        yield bus
    finally:
        await bus.aclose()


async def error_of(operation: Awaitable[object]) -> str:
    with pytest.raises(SyncError) as caught:
        await operation
    assert caught.value.__cause__ is None
    return str(caught.value)


async def subscribed(bus: RedisBus) -> None:
    async with bus.subscribe(("p",)):
        pass


def test_a_lost_script_cache_is_made_good(real_redis: RedisServer) -> None:
    async def scene() -> None:
        async with bus_on(config_for(real_redis)) as bus, real_redis.client() as admin:
            assert (await bus.propose("p", OPENED, 0.0)).accepted
            await admin.script_flush()
            assert (await bus.read())["p"].circuit.state is State.OPEN

    asyncio.run(scene())


def test_what_is_stored_and_told_can_be_read_by_eye(real_redis: RedisServer) -> None:
    async def scene() -> None:
        async with bus_on(config_for(real_redis, prefix="blue")) as bus, real_redis.client() as admin:
            async with bus.subscribe(("p",)):
                assert await admin.pubsub_numsub("blue:circuit_breaker:state:p") == [
                    (b"blue:circuit_breaker:state:p", 1)
                ]
                await bus.propose("p", OPENED, 0.0)
            raw = (await admin.hgetall("blue:circuit_breaker:records"))[b"p"]
            shape = rb'\{"epoch":(1\d{12}),"state":"OPEN","reason":"failure_rate","worker":"w","since_ms":\1,'
            assert re.match(shape, raw)
            await bus.acquire("p", "token", 5.0)
            assert await admin.hgetall("blue:circuit_breaker:lease:p") == {b"holder": b"token"}

    asyncio.run(scene())


def test_every_operation_on_a_frozen_server_ends_in_time(real_redis: RedisServer) -> None:
    async def scene() -> None:
        async with bus_on(config_for(real_redis, operation_timeout_s=0.2)) as bus:
            await bus.read()
            async with bus.subscribe(("p",)) as subscription:
                real_redis.pause()
                loop = asyncio.get_running_loop()
                began = loop.time()
                for operation in (
                    bus.read(),
                    bus.propose("p", OPENED, 0.0),
                    bus.acquire("p", "t", 1.0),
                    bus.release("p", "t", 1.0, Round()),
                    subscribed(bus),
                    subscription.ping(0.2),
                ):
                    assert "did not answer within 0.2 s" in await error_of(operation)
                assert loop.time() - began < 6.0
                real_redis.resume()
            await bus.read()

    asyncio.run(scene())


def test_a_frozen_subscription_is_found_dead_by_its_missing_pong(real_redis: RedisServer) -> None:
    async def scene() -> None:
        async with bus_on(config_for(real_redis)) as bus, bus.subscribe(("p",)) as subscription:
            assert await subscription.ping(1.0) == []
            real_redis.pause()
            assert await subscription.next(0.05) is None  # silence alone is no sign
            assert "did not answer" in await error_of(subscription.ping(0.1))
            real_redis.resume()

    asyncio.run(scene())


def test_what_a_partition_held_back_does_not_count_when_it_arrives(real_redis: RedisServer) -> None:
    async def scene() -> None:
        config = config_for(real_redis, operation_timeout_s=0.1)
        async with bus_on(config) as cut, bus_on(config_for(real_redis)) as other:
            await cut.read()  # it knows the store's clock, and has a connection
            real_redis.pause()
            await error_of(cut.propose("p", OPENED, 0.0))  # its bytes wait in the server's socket
            await error_of(cut.acquire("p", "dead", 60.0))
            await asyncio.sleep(0.3)
            real_redis.resume()
            await asyncio.wait_for(_until_answered(other), 10)
            assert await other.read() == {}
            assert await other.acquire("p", "alive", 60.0)

    asyncio.run(scene())


async def _until_answered(bus: RedisBus) -> None:
    while True:
        try:
            await bus.read()
        except SyncError:
            continue
        return


def test_a_clock_that_jumped_ahead_costs_one_try(real_redis: RedisServer) -> None:
    async def scene() -> None:
        async with bus_on(config_for(real_redis)) as bus:
            await bus.read()
            assert bus._store_ahead_s is not None
            bus._store_ahead_s -= 3600.0
            assert "too late" in await error_of(bus.propose("p", OPENED, 0.0))
            assert (await bus.propose("p", OPENED, 0.0)).accepted

    asyncio.run(scene())


def test_strange_messages_are_told_in_the_log_and_kill_nothing(
    real_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    strange = [
        b"",
        b"hello",
        b"\xff\xfe",
        b"[]",
        b'{"epoch":1}',
        b'{"epoch":-1,"state":"OPEN","since_ms":1,"open_for_ms":1,"at_ms":1}',
        b'{"epoch":1,"state":"AJAR","since_ms":1,"open_for_ms":1,"at_ms":1}',
        b'{"epoch":1,"state":"OPEN","since_ms":1,"open_for_ms":1}',
    ]
    newer = (
        b'{"epoch":9,"state":"OPEN","reason":"of 2031","mode":"x","since_ms":5,"open_for_ms":7,"at_ms":6,"mood":[1]}'
    )

    async def scene() -> None:
        async with (
            bus_on(config_for(real_redis)) as bus,
            real_redis.client() as admin,
            bus.subscribe(("p",)) as subscription,
        ):
            for message in [*strange, newer]:
                await admin.publish("circuit_breaker:state:p", message)
            told = await subscription.next(10.0)
            assert told is not None
            assert (told.circuit.epoch, told.circuit.reason, told.left_s) == (9, Cause.SYNC, 0.006)
            await admin.hset("circuit_breaker:records", mapping={"q": "rubbish", "r": newer})
            assert list(await bus.read()) == ["r"]

    with caplog.at_level(logging.WARNING):
        asyncio.run(scene())
    assert len(caplog.records) == len(strange) + 1


def test_a_closed_connection_ends_the_subscription(real_redis: RedisServer) -> None:
    async def scene() -> None:
        async with (
            bus_on(config_for(real_redis)) as bus,
            real_redis.client() as admin,
            bus.subscribe(("p",)) as subscription,
        ):
            await admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            assert "Connection closed" in await error_of(subscription.next(10.0))
            assert "the subscription is closed" in await error_of(subscription.ping(10.0))

    asyncio.run(scene())


def test_a_server_that_refuses_is_a_clear_error(real_redis: RedisServer) -> None:
    async def scene() -> None:
        await real_redis.kill()
        async with bus_on(config_for(real_redis)) as bus:
            said = await error_of(bus.read())
            assert f"Redis at 127.0.0.1:{real_redis.port}: " in said
            assert "refused" in said.lower() or "Connect call failed" in said
            await error_of(subscribed(bus))

    asyncio.run(scene())


def test_a_wrong_password_is_a_clear_error_that_does_not_show_it() -> None:
    async def scene(server: RedisServer) -> None:
        url = SecretStr(f"redis://:{SECRET.replace('/', '%2F').replace('@', '%40')}x@127.0.0.1:{server.port}/0")
        for config in (
            config_for(server, redis_password=SECRET + "x"),
            config_for(server, redis_username="nobody", redis_password=SECRET),
            config_for(server, redis_url=url),
            config_for(server),
        ):
            async with bus_on(config) as bus:
                for operation in (bus.read(), subscribed(bus)):
                    said = await error_of(operation)
                    assert "password" in said.lower() or "auth" in said.lower()
                    assert SECRET not in said
                    assert "%2F" not in said
            assert SECRET not in repr(bus._address)

    with running_redis(BINARIES[0], password=SECRET) as server:
        asyncio.run(scene(server))


def test_password_url_and_database_let_us_in() -> None:
    async def scene(server: RedisServer) -> None:
        quoted = SECRET.replace("/", "%2F").replace("@", "%40")
        async with bus_on(config_for(server, redis_password=SECRET)) as bus:
            await bus.propose("p", OPENED, 0.0)
        url = SecretStr(f"redis://default:{quoted}@127.0.0.1:{server.port}/3")
        async with bus_on(SyncConfig(redis_host="203.0.113.1", redis_url=url)) as bus:
            assert await bus.read() == {}  # another database
        async with bus_on(config_for(server, redis_username="default", redis_password=SECRET)) as bus:
            assert list(await bus.read()) == ["p"]

    with running_redis(BINARIES[0], password=SECRET) as server:
        asyncio.run(scene(server))


@pytest.mark.parametrize("url", ["http://x", "redis://h:port/0", "redis://h:1/0?flavour=mint", "redis://h?db=x"])
def test_a_url_that_is_none_is_a_configuration_error_that_does_not_show_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="redis_url") as caught:
        RedisBus(SyncConfig(redis_url=SecretStr(url)))
    assert url not in str(caught.value)


def test_rounds_of_use_leave_no_connection_behind(real_redis: RedisServer) -> None:
    async def scene() -> None:
        async with real_redis.client() as admin:
            async with bus_on(config_for(real_redis)) as bus:
                for _ in range(3):
                    async with bus.subscribe(("p",)):
                        await asyncio.gather(*(bus.read() for _ in range(20)))
                assert len(await admin.client_list()) <= 1 + 4 + 1
            async with asyncio.timeout(10):
                while len(await admin.client_list()) > 1:
                    await asyncio.sleep(0.01)

    asyncio.run(scene())
