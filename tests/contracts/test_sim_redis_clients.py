"""Unmodified clients cannot tell the simulated Redis from a real one: redis.asyncio, and the fleet's own bus."""

from __future__ import annotations

import asyncio

import pytest
import redis.asyncio as aredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, ConnectionError, NoScriptError, ResponseError

from flexiai.errors import SyncError
from flexiai.sync.redis import RedisBus
from flexiai.types import SyncConfig
from harness.sim.redis import SimRedis
from tests.contracts.bus_contract import Rule, each_rule, sit
from tests.contracts.sim_redis_server import sim_redis_server
from tests.harness.sim.simulated import loop_on, network, run_on

BOUND_S = 5.0


def client(port: int, protocol: int, **more: object) -> aredis.Redis:
    retry = Retry(NoBackoff(), 0)
    return aredis.Redis(host="127.0.0.1", port=port, protocol=protocol, retry=retry, socket_timeout=BOUND_S, **more)  # type: ignore[arg-type]  # settings by name


@each_rule
def test_the_bus_keeps_its_promises_over_the_simulated_redis(rule: Rule) -> None:
    async def exam() -> None:
        async with sim_redis_server() as (_, port):
            config = SyncConfig(redis_host="127.0.0.1", redis_port=port, operation_timeout_s=BOUND_S)
            await sit(rule, lambda: RedisBus(config))

    asyncio.run(exam())


@pytest.mark.parametrize("silent", [False, True], ids=["answered", "silent"])
def test_a_loop_that_stood_still_does_not_take_that_for_the_silence_of_redis(silent: bool) -> None:
    net = network()
    engine, loop = net.engine, loop_on(net)
    server = SimRedis(lambda: engine.now, engine.call_later)
    net.listen("redis", 6379, server)
    bus = RedisBus(SyncConfig(redis_host="redis", redis_port=6379, operation_timeout_s=0.1))

    async def exam() -> tuple[bool, float]:
        await bus.read()
        began = engine.now
        engine.call_later(0.0005, loop.occupy, 0.5)  # the command is on its way: the answer comes meanwhile
        if silent:
            server.pause()
        try:
            await bus.read()
        except SyncError:
            return False, engine.now - began
        finally:
            await bus.aclose()
        return True, engine.now - began

    answered, took_s = run_on(loop, exam())
    assert answered is not silent
    assert took_s < 0.71, "a timeout as long as it was meant to be, after the standstill"


@pytest.mark.parametrize("protocol", [2, 3])
def test_values_hashes_and_pipelines(protocol: int) -> None:
    async def exam() -> None:
        async with sim_redis_server() as (_, port), client(port, protocol) as redis:
            assert await redis.set("k", "v", px=60_000, nx=True)
            assert not await redis.set("k", "w", nx=True)
            assert 0 < await redis.pttl("k") <= 60_000
            assert await redis.hset("h", mapping={"a": "1", "b": "2"}) == 2
            assert await redis.hgetall("h") == {b"a": b"1", b"b": b"2"}
            async with redis.pipeline(transaction=True) as pipe:
                assert await pipe.incr("n").incr("n").hget("h", "b").execute() == [1, 2, b"2"]
            with pytest.raises(ResponseError, match="WRONGTYPE"):
                await redis.get("h")
            assert (await redis.info("server"))["redis_mode"] == "standalone"
            assert [found async for found in redis.scan_iter("h*")] == [b"h"]

    asyncio.run(exam())


@pytest.mark.parametrize("protocol", [2, 3])
def test_scripts_by_their_hash(protocol: int) -> None:
    async def exam() -> None:
        async with sim_redis_server() as (server, port), client(port, protocol) as redis:
            script = redis.register_script("return {redis.call('INCR', KEYS[1]), ARGV[1], false}")
            assert await script(keys=["n"], args=["x"]) == [1, b"x", None]
            assert await redis.script_exists(script.sha) == [True]
            await redis.script_flush()
            with pytest.raises(NoScriptError):
                await redis.evalsha(script.sha, 0)
            assert await script(keys=["n"], args=["x"]) == [2, b"x", None]
            assert server.stats.scripts == 2

    asyncio.run(exam())


@pytest.mark.parametrize("protocol", [2, 3])
def test_publish_and_subscribe(protocol: int) -> None:
    async def exam() -> None:
        async with sim_redis_server() as (_, port), client(port, protocol) as redis, redis.pubsub() as pubsub:
            await pubsub.subscribe("a")
            await pubsub.psubscribe("b.*")
            assert [(await heard(pubsub))["type"] for _ in range(2)] == ["subscribe", "psubscribe"]
            assert await redis.publish("a", "1") == 1
            assert await redis.publish("b.x", "2") == 1
            assert await redis.publish("c", "3") == 0
            assert [(await heard(pubsub))["data"] for _ in range(2)] == [b"1", b"2"]
            assert await redis.pubsub_numsub("a") == [(b"a", 1)]
            await pubsub.ping("still there")
            assert (await heard(pubsub))["type"] == "pong"

    asyncio.run(exam())


async def heard(pubsub: aredis.client.PubSub) -> dict[str, object]:
    async with asyncio.timeout(BOUND_S):
        while (message := await pubsub.get_message(timeout=BOUND_S)) is None:
            pass
    found: dict[str, object] = message
    return found


@pytest.mark.parametrize("protocol", [2, 3])
def test_the_password_is_asked_for(protocol: int) -> None:
    async def exam() -> None:
        async with sim_redis_server(password="open sesame") as (_, port):
            async with client(port, protocol, password="open sesame") as knows:
                assert await knows.ping()
            async with client(port, protocol, password="wrong") as errs:
                with pytest.raises(AuthenticationError):
                    await errs.ping()
            async with client(port, protocol) as silent:
                with pytest.raises((AuthenticationError, ResponseError)):
                    await silent.get("k")

    asyncio.run(exam())


def test_a_killed_server_breaks_connections_and_a_restarted_one_is_empty() -> None:
    async def exam() -> None:
        async with sim_redis_server() as (server, port), client(port, 2) as redis:
            await redis.set("k", "v")
            server.kill()
            with pytest.raises(ConnectionError):
                await redis.get("k")
            server.start(empty=True)
            assert await redis.get("k") is None
            assert (server.stats.cut, server.stats.lost_keys) == (1, 1)

    asyncio.run(exam())
