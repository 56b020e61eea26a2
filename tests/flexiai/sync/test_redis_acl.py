"""The ACL rule of docs/redis.md: a fleet needs no more, and no less."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.crc import key_slot

from flexiai.core.circuit import Cause, Circuit, Proposal, State
from flexiai.core.evidence import Report, Terms
from flexiai.errors import SyncError
from flexiai.sync import scripts
from flexiai.sync.bus import Round
from flexiai.sync.redis import RedisBus
from flexiai.sync.scripts import Script
from flexiai.types import SyncConfig
from harness.real.redis_replicas import SERVICE, RedisReplicas, running_replicas
from harness.real.redis_server import HOST, RedisServer
from tests.contracts.bus_contract import CONTRACT, each_rule, sit
from tests.contracts.bus_contract import Rule as Promise
from tests.contracts.real_redis import BINARIES, running_redis
from tests.flexiai.sync.redis_cluster import Cluster, running_cluster

pytestmark = pytest.mark.real
DOC = (Path(__file__).parents[3] / "docs" / "redis.md").read_text()
RULE = re.findall(r"^ACL SETUSER flexiai (reset .*)$", DOC, re.MULTILINE)[0].replace("PASSWORD", "pw").split()
NEEDED = [token for token in RULE if token[0] in "~&+"]
OPENED = Proposal(base=0, state=State.OPEN, reason=Cause.FAILURE_RATE, worker="w", seen_at=0.0, open_for_ms=30_000)
names = itertools.count()


@pytest.fixture(scope="module", params=BINARIES, ids=["redis", "oldest"][: len(BINARIES)])
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with running_redis(request.param) as running:
        yield running


async def user_of(server: RedisServer, *rule: str) -> str:
    name = f"user{next(names)}"
    await server.ask("ACL", "SETUSER", name, *rule)
    return name


def config_for(server: RedisServer, user: str, **changes: object) -> SyncConfig:
    place = {"redis_host": HOST, "redis_port": server.port, "operation_timeout_s": 5.0}
    return SyncConfig.model_validate(place | {"redis_username": user, "redis_password": "pw"} | changes)


async def everything(config: SyncConfig) -> set[str]:
    """All that a fleet does, on an empty server; the scripts that ran."""
    bus = RedisBus(config)
    ran: set[str] = set()
    run = bus._run

    async def noted(script: Script, keys: tuple[str, ...], *arguments: str | int) -> object:
        ran.add(script.sha)
        return await run(script, keys, *arguments)

    bus._run = noted  # type: ignore[method-assign]
    try:
        async with bus.subscribe(("p",)) as subscription:
            await bus.report("p", Report(0, "w", (5,), None, 30_000), Terms(3, 60_000))
            await bus.propose("p", replace(OPENED, quorum=2), 0.0)  # a vote
            await bus.propose("p", OPENED, 0.0)
            await bus.restore("p", Circuit(2**50, State.CLOSED))
            await bus.read()
            for so_far in (Round(1, 0), Round(1, 1)):
                assert await bus.acquire("p", "w:1", 5.0) is not None
                await bus.renew("p", "w:1", 5.0, so_far)
                await bus.release("p", "w:1", 5.0, so_far)
            await subscription.ping(5.0)
    finally:
        await bus.aclose()
    return ran


async def everything_and_the_contract(config: SyncConfig) -> None:
    await everything(config)
    for rule in CONTRACT:
        await sit(rule, lambda: RedisBus(config))


def test_everything_is_everything(server: RedisServer) -> None:
    async def scene() -> None:
        await server.flush()
        ran = await everything(config_for(server, await user_of(server, *RULE)))
        assert ran == {script.sha for script in vars(scripts).values() if isinstance(script, Script)}

    asyncio.run(scene())


@each_rule
def test_it_suffices(server: RedisServer, rule: Promise) -> None:
    async def scene() -> None:
        await server.flush()
        await server.ask("SCRIPT", "FLUSH")
        config = config_for(server, await user_of(server, *RULE))
        await sit(rule, lambda: RedisBus(config))

    asyncio.run(scene())


@pytest.mark.parametrize("token", NEEDED)
def test_nothing_in_it_is_too_much(server: RedisServer, token: str) -> None:
    async def scene() -> None:
        await server.flush()
        await server.ask("SCRIPT", "FLUSH")
        config = config_for(server, await user_of(server, *(other for other in RULE if other != token)))
        with pytest.raises(SyncError, match=r"(?i)permission|can't|cannot|denied|not allowed|no access|NOPERM"):
            await everything_and_the_contract(config)

    asyncio.run(scene())


def test_a_prefix_keeps_fleets_out_of_each_others_records(server: RedisServer) -> None:
    async def scene() -> None:
        await server.flush()
        blue = [token.replace("circuit", "blue:circuit") for token in RULE]
        user = await user_of(server, *blue)
        await everything(config_for(server, user, prefix="blue"))
        with pytest.raises(SyncError):
            await everything(config_for(server, user, prefix="green"))

    asyncio.run(scene())


def test_what_else_is_needed_stands_in_the_document() -> None:
    for token in (
        "+select",
        "+client|setname",
        "+cluster|slots",
        "+asking",
        "+sentinel|master",
        "~{circuit_breaker}:*",
    ):
        assert token in DOC.replace("\\|", "|")


def test_a_name_needs_client_setname(server: RedisServer) -> None:
    async def scene() -> None:
        await server.flush()
        for more in (["+client|setname"], []):
            user = await user_of(server, *RULE, *more)
            url = f"redis://{user}:pw@{HOST}:{server.port}?client_name=us"
            if more:
                await everything(SyncConfig(redis_url=SecretStr(url)))
            else:
                with pytest.raises(SyncError, match="client"):
                    await everything(SyncConfig(redis_url=SecretStr(url)))

    asyncio.run(scene())


def test_another_database_needs_select(server: RedisServer) -> None:
    async def scene() -> None:
        await server.flush()
        await everything(config_for(server, await user_of(server, *RULE, "+select"), redis_db=3))
        with pytest.raises(SyncError, match="select"):
            await everything(config_for(server, await user_of(server, *RULE), redis_db=3))

    asyncio.run(scene())


def test_on_a_cluster() -> None:
    slot = key_slot(b"{circuit_breaker}:records")
    rule = [token.replace("~circuit_breaker:", "~{circuit_breaker}:") for token in RULE]

    async def users(cluster: Cluster, name: str, *tokens: str) -> None:
        for node in cluster.nodes:
            await node.ask("ACL", "SETUSER", name, *tokens)

    async def scene() -> None:
        async with running_cluster(BINARIES[0], slot) as cluster:
            await users(cluster, "enough", *rule, "+cluster|slots", "+asking")
            await users(cluster, "blind", *rule, "+asking")
            await users(cluster, "stuck", *rule, "+cluster|slots")
            source = cluster.owner(slot)
            target = next(owner for owner in cluster.owners if owner is not source)
            config = config_for(target, "enough", redis_cluster=True)
            await everything(config)
            with pytest.raises(SyncError, match="cluster"):
                await everything(config_for(target, "blind", redis_cluster=True))
            await cluster.move_slot(slot, source, target, finish=False)
            for user, lets_in in (("enough", True), ("stuck", False)):
                bus = RedisBus(config_for(source, user, redis_cluster=True))
                if lets_in:
                    assert "p" in await bus.read()
                else:
                    with pytest.raises(SyncError, match="asking"):
                        await bus.read()
                await bus.aclose()

    asyncio.run(scene())


def test_on_sentinels() -> None:
    async def scene() -> None:
        async with running_replicas(RedisReplicas(replicas=1, sentinels=3, binary=BINARIES[0])) as servers:
            for sentinel in servers.sentinels:
                await sentinel.ask("ACL", "SETUSER", "guest", "reset", "on", ">gate", "+sentinel|master")
                await sentinel.ask("ACL", "SETUSER", "blind", "reset", "on", ">gate")
            user = await user_of(servers.primary, *RULE)
            places = [f"{HOST}:{sentinel.port}" for sentinel in servers.sentinels]
            asked = {"redis_sentinels": places, "redis_sentinel_service": SERVICE, "redis_sentinel_password": "gate"}
            await everything(config_for(servers.primary, user, **asked, redis_sentinel_username="guest"))
            with pytest.raises(SyncError, match="sentinel"):
                await everything(config_for(servers.primary, user, **asked, redis_sentinel_username="blind"))

    asyncio.run(scene())
