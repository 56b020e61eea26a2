"""What Redis says instead of an answer: each time a SyncError in time, without a secret, and nothing that lasts."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from flexiai.core.circuit import Cause, Circuit, Proposal, State
from flexiai.errors import SyncError
from flexiai.sync.bus import Round
from flexiai.sync.redis import RedisBus
from flexiai.types import SyncConfig
from harness.real.redis_replicas import RedisReplicas, running_replicas
from harness.real.redis_server import HOST, RedisServer, _free_port
from tests.contracts.real_redis import BINARIES, running_redis
from tests.flexiai.sync.fleet import QUICK, agreed, fleet, until
from tests.flexiai.sync.scripted import scripted

SECRET, GATE = "s3cr3t/with@signs", "g4te/with@signs"
OPENED = Proposal(base=0, state=State.OPEN, reason=Cause.FAILURE_RATE, worker="w", seen_at=0.0, open_for_ms=30_000)
SAYS = {
    "READONLY": b"-READONLY You can't write against a read only replica.\r\n",
    "LOADING": b"-LOADING Redis is loading the dataset in memory\r\n",
    "NOAUTH": b"-NOAUTH Authentication required.\r\n",
    "OOM": b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    "MISCONF": b"-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist on disk.\r\n",
    "MASTERDOWN": b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n",
    "NOREPLICAS": b"-NOREPLICAS Not enough good replicas to write.\r\n",
    "BUSY": b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n",
    "CLUSTERDOWN": b"-CLUSTERDOWN The cluster is down\r\n",
    "TRYAGAIN": b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
    "MOVED": b"-MOVED 1 127.0.0.1:1\r\n",
    "max clients": b"-ERR max number of clients reached\r\n",
    "unknown": b"-WHATEVER it may be\r\n",
    "not RESP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "nothing": None,
    "echo": b"-ERR unknown command `AUTH`, with args beginning with: `" + SECRET[:9].encode() + b"`,\r\n",
    "quoted": b"-ERR what is " + SECRET.encode() + b" or " + GATE.encode() + b"\r\n",
}


async def operations(bus: RedisBus) -> dict[str, str]:
    """What each operation says, all of them at once; each must end with a SyncError."""

    async def subscribed() -> None:
        async with bus.subscribe(("p",)):
            pass

    so_far = Round(0, 0)
    all_of_them: dict[str, Awaitable[Any]] = {
        "subscribe": subscribed(),
        "read": bus.read(),
        "propose": bus.propose("p", OPENED, 0.0),
        "restore": bus.restore("p", Circuit(5)),
        "acquire": bus.acquire("p", "w:1", 1.0),
        "renew": bus.renew("p", "w:1", 1.0, so_far),
        "release": bus.release("p", "w:1", 1.0, so_far),
    }
    ends = await asyncio.gather(*all_of_them.values(), return_exceptions=True)
    said = {}
    for name, end in zip(all_of_them, ends, strict=True):
        assert isinstance(end, SyncError), f"{name}: {end!r}"
        assert end.__cause__ is None
        assert end.__suppress_context__
        said[name] = str(end)
    return said


def ways(port: int) -> dict[str, SyncConfig]:
    """Each way to a server, or to who knows where it is, on this port."""
    quoted, gate = (secret.replace("/", "%2F").replace("@", "%40") for secret in (SECRET, GATE))
    short: dict[str, Any] = {"operation_timeout_s": 0.3}
    place: dict[str, Any] = {"redis_host": HOST, "redis_port": port, "redis_password": SECRET}
    sentinels: dict[str, Any] = {"redis_sentinels": [f"{HOST}:{port}"], "redis_sentinel_service": "m"}
    at = f"{HOST}:{port}"
    return {
        "parts": SyncConfig(**short, **place),
        "tls": SyncConfig(**short, **place, redis_tls=True),
        "cluster": SyncConfig(**short, **place, redis_cluster=True),
        "sentinel": SyncConfig(**short, **place, **sentinels, redis_sentinel_password=SecretStr(GATE)),
        "url": SyncConfig(**short, redis_url=SecretStr(f"redis://u:{quoted}@{at}/0")),
        "url, sentinel": SyncConfig(
            **short, redis_url=SecretStr(f"redis+sentinel://u:{quoted}@{at}/m?sentinel_password={gate}")
        ),
        "url, cluster": SyncConfig(**short, redis_url=SecretStr(f"redis+cluster://u:{quoted}@{at}")),
    }


def assert_no_secret(*texts: str, secrets: Sequence[str] = (SECRET, GATE)) -> None:
    for text in texts:
        for secret in secrets:
            for part in (secret, secret[:9], secret.replace("/", "%2F").replace("@", "%40")):
                assert part not in text


@pytest.mark.parametrize("way", list(ways(1)))
@pytest.mark.parametrize("says", SAYS)
@pytest.mark.parametrize("at_the_door", [True, False], ids=["to AUTH", "to commands"])
def test_it_is_an_error_in_time_that_shows_no_secret(
    way: str, says: str, at_the_door: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(words: list[str]) -> bytes | None:
        return SAYS[says] if at_the_door or words[0] != "AUTH" else b"+OK\r\n"

    async def scene() -> None:
        async with scripted(answer) as port:
            config = ways(port)[way]
            bus = RedisBus(config)
            began = time.monotonic()
            said = await operations(bus)
            took = time.monotonic() - began
            assert took < 10.0  # whatever this machine does besides; a retry that forgets the time would need longer
            await bus.aclose()
            known = [secret for secret in (SECRET, GATE) if secret in bus._address._secrets]
            assert SECRET in known
            assert_no_secret(
                *said.values(), repr(config), repr(bus._address), repr(bus._way), caplog.text, secrets=known
            )

    asyncio.run(scene())


@pytest.mark.parametrize("reply", [b"$2\r\nhi\r\n", b"+OK\r\n", b":7\r\n", b"*-1\r\n", b"*0\r\n", b"*1\r\n$1\r\nx\r\n"])
def test_an_answer_of_another_shape_is_an_error_too(reply: bytes) -> None:
    def answer(words: list[str]) -> bytes:
        return b"+OK\r\n" if words[0] == "AUTH" else reply

    async def scene() -> None:
        async with scripted(answer) as port:
            for config in ways(port).values():
                bus = RedisBus(config)
                for operation in (bus.read(), bus.propose("p", OPENED, 0.0), bus.acquire("p", "w:1", 1.0)):
                    with pytest.raises(SyncError):
                        await operation
                await bus.aclose()

    asyncio.run(scene())


@pytest.mark.real
def test_a_closed_port_and_a_name_that_is_none_show_no_secret() -> None:
    async def scene() -> None:
        for config in ways(_free_port()).values():
            bus = RedisBus(config)
            assert_no_secret(*(await operations(bus)).values())
            await bus.aclose()
        bus = RedisBus(SyncConfig(redis_host="no.such.host.invalid", redis_password=SecretStr(SECRET)))
        assert_no_secret(*(await operations(bus)).values())
        await bus.aclose()

    asyncio.run(scene())


# --- the real thing ---------------------------------------------------------------------------------------------------


def config_for(server: RedisServer, **changes: object) -> SyncConfig:
    return QUICK.model_copy(update={"redis_host": HOST, "redis_port": server.port} | changes)


async def refused_and_back(
    server: RedisServer, break_it: Callable[[], Awaitable[object]], mend_it: Callable[[], Awaitable[object]], says: str
) -> None:
    """A fleet of two on a server that refuses writes for a while: all go on, and agree afterwards."""
    config = config_for(server)
    async with fleet(2, lambda: RedisBus(config), config) as workers:
        await break_it()
        workers[0].fails()
        assert workers[0].state is State.OPEN  # at once, whatever Redis says
        await until(lambda: says in (workers[0].replicator.status().last_error or ""), "the refusal is known")
        await mend_it()
        record = await agreed(workers, State.OPEN)
        assert record.worker == "w0"


@pytest.mark.real
def test_a_full_redis(real_redis: RedisServer) -> None:
    async def scene() -> None:
        await refused_and_back(
            real_redis,
            lambda: real_redis.ask("CONFIG", "SET", "maxmemory", "1"),
            lambda: real_redis.ask("CONFIG", "SET", "maxmemory", "0"),
            "maxmemory",
        )

    asyncio.run(scene())


@pytest.mark.real
def test_a_redis_that_cannot_save(real_redis: RedisServer) -> None:
    async def break_it() -> None:
        shutil.rmtree(str(real_redis._dir))
        await real_redis.ask("CONFIG", "SET", "save", "3600 1000")
        await real_redis.ask("BGSAVE")
        async with asyncio.timeout(10):
            while (await real_redis.ask("INFO", "persistence"))["rdb_last_bgsave_status"] != "err":
                await asyncio.sleep(0.01)

    async def scene() -> None:
        await refused_and_back(
            real_redis, break_it, lambda: real_redis.ask("CONFIG", "SET", "save", ""), "RDB snapshots"
        )

    asyncio.run(scene())


@pytest.mark.real
def test_a_primary_that_was_demoted_behind_our_back(real_redis: RedisServer) -> None:
    async def scene() -> None:
        nowhere = _free_port()  # it stays a replica, with what it has
        await refused_and_back(
            real_redis,
            lambda: real_redis.ask("REPLICAOF", HOST, nowhere),
            lambda: real_redis.ask("REPLICAOF", "NO", "ONE"),
            "read only replica",
        )

    asyncio.run(scene())


@pytest.mark.real
def test_a_name_that_leads_to_another_server_after_a_failover() -> None:
    """As managed services fail over: the name stays, and the server that answered to it turns into a replica, alive."""

    async def scene() -> None:
        async with running_replicas(RedisReplicas(replicas=1, binary=BINARIES[0])) as servers:
            ports = [servers.primary.port]
            async with forwarding(ports) as door:
                bus = RedisBus(SyncConfig(redis_host=HOST, redis_port=door, operation_timeout_s=5.0))
                await bus.read()
                (heir,) = servers.replicas
                await servers.promote(heir)
                ports[0] = heir.port
                await servers.primary.ask("REPLICAOF", HOST, heir.port)
                with pytest.raises(SyncError, match="read only replica"):
                    await bus.propose("p", OPENED, 0.0)
                assert (await bus.propose("p", OPENED, 0.0)).accepted
                assert await heir.ask("HEXISTS", "circuit_breaker:records", "p")
                await bus.aclose()

    asyncio.run(scene())


@asynccontextmanager
async def forwarding(ports: list[int]) -> AsyncIterator[int]:
    """A port that leads each new connection to `ports[0]` of the moment; what leads elsewhere stays."""
    writers: list[asyncio.StreamWriter] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(HOST, ports[0])
        writers.extend((writer, back))
        await asyncio.gather(pump(reader, back), pump(there, writer))

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()


@pytest.mark.real
def test_a_password_that_is_changed_and_changed_back() -> None:
    async def scene(server: RedisServer) -> None:
        config = config_for(server, redis_password=SecretStr(SECRET))
        async with fleet(2, lambda: RedisBus(config), config) as workers:
            await server.ask("CONFIG", "SET", "requirepass", "another")
            admin = RedisServer(port=server.port, password="another")
            admin.port = server.port
            for kind in ("pubsub", "normal"):
                await admin.ask("CLIENT", "KILL", "TYPE", kind)
            await until(lambda: all(w.replicator.status().last_error for w in workers), "the refusal is known")
            workers[0].fails()
            assert_no_secret(*(w.replicator.status().last_error or "" for w in workers))
            await admin.ask("CONFIG", "SET", "requirepass", SECRET)
            await agreed(workers, State.OPEN)
            assert_no_secret(*(repr(event) for w in workers for event in w.events))

    with running_redis(BINARIES[0], password=SECRET) as server:
        asyncio.run(scene(server))


@pytest.mark.real
def test_evicted_records_are_written_back_as_they_were(real_redis: RedisServer) -> None:
    async def scene() -> None:
        config = config_for(real_redis)
        async with fleet(2, lambda: RedisBus(config), config) as workers:
            workers[0].fails()
            record = await agreed(workers, State.OPEN)
            raw = await real_redis.ask("HGET", "circuit_breaker:records", "p")
            await real_redis.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
            await real_redis.ask("CONFIG", "SET", "maxmemory", "1")  # everything must go
            async with asyncio.timeout(10):
                while int((await real_redis.ask("INFO", "stats"))["evicted_keys"]) == 0:
                    await asyncio.sleep(0.01)
            await real_redis.ask("CONFIG", "SET", "maxmemory", "0")
            async with asyncio.timeout(10):
                while await real_redis.ask("HGET", "circuit_breaker:records", "p") != raw:
                    await asyncio.sleep(0.01)
            assert {w.breaker.circuit for w in workers} == {record}

    asyncio.run(scene())
