"""What went wrong at a provider, as the failover loop is told it."""

from __future__ import annotations

import asyncio
import socket
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from scripted import KEY, OK, WIRES, Scripted, ask, complete, config, serving

from flexiai.chat import ChatRequest
from flexiai.core.outcome import Outcome, Trouble
from flexiai.errors import ProviderError
from flexiai.providers import build_provider, http, new_session
from flexiai.types import RequestConfig

HI = ChatRequest(messages=({"role": "user", "content": "Hi."},))


def failure(wire: str, body: Any, status: int = 200, headers: dict[str, str] | None = None) -> ProviderError:
    """What a provider raises for this answer."""
    with pytest.raises(ProviderError) as raised:
        ask(wire, Scripted(body, status, headers))
    return raised.value


def said(message: str = "no", kind: str | None = None, code: str | None = None, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "code": code, **more}}


@asynccontextmanager
async def speaking(data: bytes) -> AsyncIterator[str]:
    """A server that says these bytes, whatever it is asked, and hangs up."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def failure_at(url: str, wire: str = "openai", timeout_s: float = 10) -> ProviderError:
    """What a provider at this address raises."""

    async def scene() -> ProviderError:
        async with new_session(RequestConfig()) as session:
            with pytest.raises(ProviderError) as raised:
                await build_provider(config(wire, url), RequestConfig(), session).complete(HI, timeout_s=timeout_s)
            return raised.value

    return asyncio.run(scene())


def failure_of(data: bytes) -> ProviderError:
    """What a provider raises when these bytes are all it hears."""

    async def scene() -> ProviderError:
        async with speaking(data) as url, new_session(RequestConfig()) as session:
            with pytest.raises(ProviderError) as raised:
                await build_provider(config("openai", url), RequestConfig(), session).complete(HI, timeout_s=10)
            return raised.value

    return asyncio.run(scene())


@pytest.mark.parametrize("wire", WIRES)
def test_a_vendor_that_quotes_its_caller_does_not_let_the_caller_bench_it(wire: str) -> None:
    error = failure(wire, said("Invalid value: 'Your credit balance is too low'", "invalid_request_error"), 400)
    assert (error.trouble, error.outcome) == (Trouble.STATUS, Outcome.NEUTRAL)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>Bad Gateway</html>", "HTTP 502"),
        (b"", "HTTP 502"),
        (b"[1, 2]", "HTTP 502"),
        (b"\xff\xfe", "HTTP 502"),
        ({"error": "upstream is down"}, "HTTP 502: upstream is down"),
        ({"object": "error", "message": "no backend", "code": 502}, "HTTP 502: no backend"),
    ],
)
def test_an_error_body_of_any_kind_leaves_the_status_told(wire: str, body: Any, message: str) -> None:
    error = failure(wire, body, 502)
    assert (str(error), error.trouble, error.status) == (message, Trouble.STATUS, 502)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("body", "trouble"),
    [
        (said("Overloaded", "overloaded_error"), Trouble.ERROR_BODY),
        (b'{"id": "x", "choices": [', Trouble.MALFORMED),
        (b"", Trouble.MALFORMED),
        (b"\xff", Trouble.MALFORMED),
        ([], Trouble.MALFORMED),
        ({}, Trouble.MALFORMED),
        ({"choices": [], "content": None}, Trouble.MALFORMED),
        ({"choices": [{"message": 7}], "content": 7}, Trouble.MALFORMED),
    ],
)
def test_a_200_that_is_no_answer_is_a_failure(wire: str, body: Any, trouble: Trouble) -> None:
    error = failure(wire, body)
    assert (error.trouble, error.status) == (trouble, None)
    assert error.outcome.fails_over


def test_what_openai_compatible_servers_put_into_an_error_is_understood() -> None:
    assert failure("openai", {"error": "out of memory", "choices": None}).trouble is Trouble.ERROR_BODY
    assert failure("openai", {"error": {"code": 502, "message": "down"}}).code == "502"


@pytest.mark.parametrize("wire", WIRES)
def test_retry_after_is_read_from_an_error(wire: str) -> None:
    assert failure(wire, said(), 429, {"Retry-After": "8"}).retry_after_s == 8
    assert failure(wire, said(), 503, {"retry-after-ms": "250", "Retry-After": "8"}).retry_after_s == 0.25
    assert failure(wire, said(), 429).retry_after_s is None


def stream_failure_at(url: str, wire: str) -> ProviderError:
    """What a provider at this address raises when it is asked for a stream."""

    async def scene() -> ProviderError:
        async with new_session(RequestConfig()) as session:
            with pytest.raises(ProviderError) as raised:
                async for _ in build_provider(config(wire, url), RequestConfig(), session).stream(HI):
                    pass
            return raised.value

    return asyncio.run(scene())


@pytest.mark.parametrize("wire", WIRES)
def test_a_refused_connection_is_no_connection(wire: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and never listening
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        errors = [failure_at(url, wire), stream_failure_at(url, wire)]
    for error in errors:
        assert error.trouble is Trouble.CONNECT
        assert "refused" in str(error)
        assert error.__context__ is None


class NoNames(AbstractResolver):
    """Knows no name."""

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        raise OSError(socket.EAI_NONAME, "Name or service not known")

    async def close(self) -> None: ...


def test_a_name_that_is_not_found_is_no_connection() -> None:
    async def scene() -> ProviderError:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=NoNames())) as session:
            provider = build_provider(config("openai", "http://nowhere.invalid"), RequestConfig(), session)
            with pytest.raises(ProviderError) as raised:
                await provider.complete(HI, timeout_s=10)
            return raised.value

    error = asyncio.run(scene())
    assert (error.trouble, str(error)) == (Trouble.CONNECT, "no connection (Name or service not known)")


def test_a_server_that_speaks_no_tls_is_no_connection() -> None:
    async def scene() -> ProviderError:
        async with serving(Scripted(OK["openai"])) as url, new_session(RequestConfig()) as session:
            settings = config("openai", url.replace("http:", "https:"))
            with pytest.raises(ProviderError) as raised:
                await build_provider(settings, RequestConfig(), session).complete(HI, timeout_s=10)
            return raised.value

    assert asyncio.run(scene()).trouble is Trouble.CONNECT


def test_a_full_backlog_is_no_connection_within_the_time_for_connecting() -> None:
    async def scene() -> ProviderError:
        loop = asyncio.get_running_loop()
        settings = RequestConfig(connect_timeout_s=0.2)
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(0)
            waiting = [socket.socket() for _ in range(4)]
            for sock in waiting:  # the kernel takes a few, and lets the next one wait
                sock.setblocking(False)
                await asyncio.wait([loop.create_task(loop.sock_connect(sock, deaf.getsockname()))], timeout=0.05)
            async with new_session(settings) as session:
                provider = build_provider(
                    config("openai", f"http://127.0.0.1:{deaf.getsockname()[1]}"), settings, session
                )
                with pytest.raises(ProviderError) as raised:
                    await provider.complete(HI, timeout_s=10)
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            for sock in waiting:
                sock.close()
        return raised.value

    assert asyncio.run(scene()).trouble is Trouble.CONNECT


@pytest.mark.parametrize(
    ("data", "trouble"),
    [
        (b"", Trouble.DISCONNECT),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", Trouble.DISCONNECT),
        (b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n', Trouble.DISCONNECT),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\n{", Trouble.DISCONNECT),
        (b"220 mail.example ESMTP\r\n\r\n", Trouble.MALFORMED),
    ],
)
def test_a_connection_that_breaks_off_is_told_as_such(data: bytes, trouble: Trouble) -> None:
    error = failure_of(data)
    assert (error.trouble, error.outcome) == (trouble, Outcome.FAILURE)


@pytest.mark.parametrize(
    ("data", "trouble"),
    [
        (b"", Trouble.DISCONNECT),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata:\r\n", Trouble.DISCONNECT),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {", Trouble.DISCONNECT),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\n{", Trouble.DISCONNECT),
        (b"220 mail.example ESMTP\r\n\r\n", Trouble.MALFORMED),
    ],
)  # fmt: skip
@pytest.mark.parametrize("wire", WIRES)
def test_a_connection_that_breaks_off_under_a_stream_is_told_as_such(wire: str, data: bytes, trouble: Trouble) -> None:
    async def scene() -> ProviderError:
        async with speaking(data) as url, new_session(RequestConfig()) as session:
            with pytest.raises(ProviderError) as raised:
                async for _ in build_provider(config(wire, url), RequestConfig(), session).stream(HI):
                    pass
            return raised.value

    error = asyncio.run(scene())
    assert (error.trouble, error.outcome) == (trouble, Outcome.FAILURE)
    assert error.__cause__ is error.__context__ is None


def test_no_answer_in_time_is_a_timeout_and_gives_its_connection_up() -> None:
    async def scene() -> ProviderError:
        async with asyncio.timeout(10):
            gone = asyncio.Event()

            async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.read()  # to the end of the connection
                gone.set()
                writer.close()

            server = await asyncio.start_server(handle, "127.0.0.1", 0)
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with server, new_session(RequestConfig()) as session:
                provider = build_provider(config("openai", url), RequestConfig(), session)
                with pytest.raises(ProviderError) as raised:
                    await provider.complete(HI, timeout_s=0.05)
                await gone.wait()
            return raised.value

    error = asyncio.run(scene())
    assert (error.trouble, error.outcome) == (Trouble.TIMEOUT, Outcome.FAILURE)
    assert str(error) == "no answer in time (0.05 s)"


@pytest.mark.parametrize("sized", [True, False])
def test_an_answer_beyond_the_bound_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch, sized: bool) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER", 1000)
    head = b"HTTP/1.1 200 OK\r\n" + (b"Content-Length: 5000\r\n\r\n" if sized else b"\r\n")
    error = failure_of(head + b"x" * 5000)
    assert error.trouble is Trouble.MALFORMED
    assert "1000 bytes" in str(error)


@pytest.mark.parametrize("wire", WIRES)
def test_a_redirect_is_not_followed_so_the_key_goes_nowhere_else(wire: str) -> None:
    async def scene() -> Scripted:
        elsewhere = Scripted(OK[wire])
        async with serving(elsewhere) as other:
            with pytest.raises(ProviderError, match="HTTP 307"):
                await complete(wire, Scripted(b"", 307, {"Location": f"{other}/stolen"}), HI)
        return elsewhere

    assert asyncio.run(scene()).paths == []


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("padding", [0, 290])
def test_a_key_that_the_server_echoes_appears_in_no_part_of_the_error(wire: str, padding: int) -> None:
    echo = said(f"{'x' * padding}Incorrect API key provided: {KEY}\nkey={KEY}.", code=f"bad-{KEY}")
    error = failure(wire, echo, 401)
    shown = "".join([*traceback.format_exception(error), repr(error), repr(vars(error))])
    assert KEY[:8] not in shown
    assert "\n" not in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "part", [KEY[:8], KEY[-8:], KEY[4:14], "sk-sec***789", "sk-sec...6789", f"{KEY[:12]}\n{KEY[12:]}"]
)
def test_a_part_of_the_key_that_the_server_quotes_appears_in_no_part_of_the_error(wire: str, part: str) -> None:
    for status in (200, 401):
        error = failure(wire, said(f"Incorrect API key provided: {part}.", code=part), status)
        shown = "".join([*traceback.format_exception(error), repr(error), repr(vars(error))])
        assert not any(KEY[i : i + 8] in shown for i in range(len(KEY) - 7))
        assert "789" not in shown
        assert "Incorrect API key provided: ***" in str(error)


def test_no_exception_that_holds_the_requests_headers_is_chained_to_an_error() -> None:
    error = failure_of(b"220 mail.example ESMTP\r\n\r\n")
    assert error.__cause__ is None
    assert error.__context__ is None


def test_a_long_message_is_cut() -> None:
    assert len(str(failure("openai", said("word " * 10_000), 500))) <= 301


def test_a_cancelled_attempt_is_not_turned_into_an_error() -> None:
    async def scene() -> None:
        asked = asyncio.Event()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.set()
            await reader.read()
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with asyncio.timeout(10), server, new_session(RequestConfig()) as session:
            provider = build_provider(config("openai", url), RequestConfig(), session)
            attempt = asyncio.create_task(provider.complete(HI, timeout_s=10))
            await asked.wait()
            attempt.cancel()
            with pytest.raises(asyncio.CancelledError):
                await attempt

    asyncio.run(scene())
