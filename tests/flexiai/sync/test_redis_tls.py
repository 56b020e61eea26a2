"""RedisBus by TLS: whom it trusts, whom it shows itself to, and what it says when that fails."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from flexiai.core.circuit import Cause, Proposal, State
from flexiai.errors import ConfigurationError, SyncError
from flexiai.sync.redis import RedisBus
from flexiai.types import SyncConfig
from harness.real.redis_server import RedisServer, _free_port
from tests.contracts.real_redis import BINARIES
from tests.flexiai.sync.certificates import OPENSSL, Authority, Signed
from tests.flexiai.sync.scripted import scripted

OPENED = Proposal(base=0, state=State.OPEN, reason=Cause.FAILURE_RATE, worker="w", seen_at=0.0, open_for_ms=30_000)
SECRET = "k3y/with@signs"


def _speaks_tls(binary: Path) -> bool:
    """A redis-server that cannot speak TLS stumbles over the setting itself, another one over the folder."""
    said = subprocess.run(
        [binary, "--tls-port", "0", "--dir", "/nonexistent"], capture_output=True, text=True, check=False
    )
    return "tls-port" not in said.stdout + said.stderr


TLS_BINARIES = [binary for binary in BINARIES if _speaks_tls(binary)]
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(OPENSSL is None, reason="no openssl command to make certificates with"),
    pytest.mark.skipif(not TLS_BINARIES, reason="no redis-server here speaks TLS (the wheel's cannot)"),
]


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "theirs")


@contextmanager
def tls_server(ca: Authority, shows: Signed, *, ask_clients: bool = False) -> Iterator[int]:
    """The TLS port of a server that shows a certificate."""
    port = _free_port()
    files = ["--tls-cert-file", str(shows.cert), "--tls-key-file", str(shows.key), "--tls-ca-cert-file", str(ca.cert)]
    ask = ["--tls-auth-clients", "yes" if ask_clients else "no"]
    server = RedisServer(binary=TLS_BINARIES[0], options=["--tls-port", str(port), *files, *ask])
    asyncio.run(server.start())
    try:
        yield port
    finally:
        asyncio.run(server.stop())


@pytest.fixture(scope="module")
def port(ca: Authority) -> Iterator[int]:
    with tls_server(ca, ca.sign("server", "IP:127.0.0.1,DNS:localhost")) as number:
        yield number


def config_for(port: int, **changes: object) -> SyncConfig:
    return SyncConfig.model_validate({"redis_host": "127.0.0.1", "redis_port": port, "redis_tls": True} | changes)


def works(config: SyncConfig) -> None:
    """Commands and notices pass."""

    async def scene() -> None:
        bus = RedisBus(config)
        async with bus.subscribe(("p",)) as subscription:
            verdict = await bus.propose("p", OPENED, 0.0)
            told = await subscription.next(10.0)
            assert told is not None
            assert told.circuit.epoch == verdict.told.circuit.epoch
            assert await subscription.ping(10.0) == []
        await bus.aclose()

    asyncio.run(scene())


def error_of(config: SyncConfig) -> str:
    async def scene() -> str:
        bus = RedisBus(config)
        with pytest.raises(SyncError) as caught:
            await bus.read()
        with pytest.raises(SyncError):
            async with bus.subscribe(("p",)):
                pass
        await bus.aclose()
        return str(caught.value)

    return asyncio.run(scene())


def test_our_own_ca_lets_us_in_by_settings_and_by_url(ca: Authority, port: int) -> None:
    works(config_for(port, redis_tls_ca_file=ca.cert, prefix="a"))
    works(config_for(port, redis_host="localhost", redis_tls_ca_file=ca.cert, prefix="b"))
    url = f"rediss://localhost:{port}/0"
    works(SyncConfig(redis_url=SecretStr(url), redis_tls_ca_file=ca.cert, prefix="c"))
    works(SyncConfig(redis_url=SecretStr(f"{url}?ssl_ca_certs={ca.cert}"), prefix="d"))


def test_a_server_that_our_ca_did_not_sign_is_refused(ca: Authority, stranger: Authority, port: int) -> None:
    for config in (config_for(port, redis_tls_ca_file=stranger.cert), config_for(port)):
        assert "certificate verify failed" in error_of(config)


def test_a_server_of_another_name_is_refused_unless_names_do_not_matter(ca: Authority) -> None:
    with tls_server(ca, ca.sign("other", "DNS:other.example")) as port:
        said = error_of(config_for(port, redis_tls_ca_file=ca.cert))
        assert "certificate is not valid for '127.0.0.1'" in said or "mismatch" in said
        url = f"rediss://127.0.0.1:{port}?ssl_ca_certs={ca.cert}&ssl_check_hostname=no"
        works(SyncConfig(redis_url=SecretStr(url)))
        works(SyncConfig(redis_url=SecretStr(f"rediss://127.0.0.1:{port}?ssl_cert_reqs=none"), prefix="b"))


def test_a_server_that_wants_to_know_us_gets_our_certificate(ca: Authority, stranger: Authority) -> None:
    ours, theirs = ca.sign("client", "DNS:client"), stranger.sign("client", "DNS:client")
    locked = ca.sign("locked", "DNS:client", password=SECRET)
    with tls_server(ca, ca.sign("strict", "IP:127.0.0.1"), ask_clients=True) as port:
        trusting = config_for(port, redis_tls_ca_file=ca.cert)
        works(config_for(port, redis_tls_ca_file=ca.cert, redis_tls_cert_file=ours.cert, redis_tls_key_file=ours.key))
        assert error_of(trusting)
        assert error_of(
            config_for(port, redis_tls_ca_file=ca.cert, redis_tls_cert_file=theirs.cert, redis_tls_key_file=theirs.key)
        )
        url = (
            f"rediss://127.0.0.1:{port}?ssl_ca_certs={ca.cert}&ssl_certfile={locked.cert}&ssl_keyfile={locked.key}"
            "&ssl_password="
        )
        works(SyncConfig(redis_url=SecretStr(url + SECRET.replace("/", "%2F")), prefix="b"))
        for password in ("", "wr0ng"):
            with pytest.raises(ConfigurationError, match="redis_tls_cert_file") as caught:
                RedisBus(SyncConfig(redis_url=SecretStr(url + password)))
            assert "wr0ng" not in str(caught.value)


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_ca_file_that_is_none_is_told_at_the_start(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "ca.crt"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match="redis_tls_ca_file cannot be used"):
        RedisBus(config_for(1, redis_tls_ca_file=path))


def test_sentinels_are_asked_by_tls_too(ca: Authority, port: int) -> None:
    """A scripted one: it names the server above."""
    shows = ca.sign("sentinel", "IP:127.0.0.1")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(shows.cert, shows.key)

    def answer(words: list[str]) -> bytes:
        named = ["ip", "127.0.0.1", "port", str(port), "config-epoch", "1"]
        return b"*6\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in named)

    async def scene() -> None:
        async with scripted(answer, tls) as guide:
            url = f"rediss+sentinel://127.0.0.1:{guide}/m?ssl_ca_certs={ca.cert}"
            bus = RedisBus(SyncConfig(redis_url=SecretStr(url), prefix="sentinel", operation_timeout_s=5.0))
            async with bus.subscribe(("p",)) as subscription:
                assert (await bus.propose("p", OPENED, 0.0)).accepted
                assert await subscription.next(10.0) is not None
            await bus.aclose()

    asyncio.run(scene())


def test_with_tls_on_one_side_only_nothing_hangs(ca: Authority, port: int, real_redis: RedisServer) -> None:
    short = {"operation_timeout_s": 0.5}
    assert error_of(SyncConfig.model_validate({"redis_host": "127.0.0.1", "redis_port": port} | short))
    assert error_of(config_for(real_redis.port, redis_tls_ca_file=ca.cert, **short))
