"""A real provider breaks and heals as told, and its ledger and its evidence say so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from harness.history import ProviderServed
from tests.provider_process import ProviderProcess, provider_process

pytestmark = pytest.mark.real

BODY = {"model": "m", "messages": [{"role": "user", "content": "one two three"}]}
HEADERS = {"Authorization": "Bearer k"}
TICK_S = 0.002  # uvloop's timers tick in milliseconds
BOUND = aiohttp.ClientTimeout(total=20)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderProcess]:
    with provider_process(tmp_path_factory.mktemp("provider"), "--seed", "7") as process:
        yield process


@pytest.fixture(autouse=True)
def _healed(server: ProviderProcess) -> Iterator[None]:
    yield
    server.heal_all()


async def post(
    session: aiohttp.ClientSession, server: ProviderProcess, request: str, **body: Any
) -> tuple[int, str, Any]:
    """Status, Retry-After and text of the answer to one request."""
    async with session.post(
        f"{server.openai_url}/chat/completions", json={**BODY, **body}, headers={**HEADERS, "X-Request-ID": request}
    ) as answer:
        return answer.status, answer.headers.get("Retry-After", ""), await answer.text()


def ask(server: ProviderProcess, request: str, **body: Any) -> tuple[int, str, str]:
    """The same, on a connection of its own."""

    async def scene() -> tuple[int, str, str]:
        async with aiohttp.ClientSession(timeout=BOUND) as session:
            return await post(session, server, request, **body)

    return asyncio.run(scene())


async def until(condition: Any) -> None:
    """Wait, for a bounded time, until a condition holds."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def test_without_a_fault_a_request_is_answered_and_entered_without_one(server: ProviderProcess) -> None:
    status, _, text = ask(server, "plain")
    assert status == 200
    assert "openai answers as m to 3 words." in text
    entry = server.of("plain")
    assert entry == ProviderServed(
        t=entry.t, provider="openai", request="plain", began=entry.began, result="ok", status=200, fault=None
    )
    assert entry.began <= entry.t


@pytest.mark.parametrize(
    ("index", "order", "status", "retry_after", "words"),
    [
        (1, {"inject": "error", "status": 500}, 500, "", "server_error"),
        (2, {"inject": "error"}, 503, "", "told to fail"),
        (3, {"inject": "error", "status": 503, "retry_after": 2.5}, 503, "2.5", ""),
        (4, {"inject": "error", "status": 400, "code": "billing_hard_limit_reached"}, 400, "", "billing_hard_limit"),
        (5, {"inject": "rate_limit"}, 429, "", "rate_limit_exceeded"),
        (6, {"inject": "rate_limit", "retry_after": 8.0}, 429, "8", "rate_limit_exceeded"),
        (7, {"inject": "error_body", "message": "sorry"}, 200, "", '"error":{"message":"sorry"'),
        (8, {"inject": "malformed"}, 200, "", '{"id":'),
    ],
)
def test_a_fault_shapes_the_answer_until_it_heals(
    server: ProviderProcess, index: int, order: dict[str, Any], status: int, retry_after: str, words: str
) -> None:
    assert server.put(index, **order) == 200
    answer = ask(server, f"broken-{index}")
    assert answer[:2] == (status, retry_after)
    assert words in answer[2]
    entry = server.of(f"broken-{index}")
    assert (entry.result, entry.status, entry.fault) == ("error", status, index)
    assert server.fault(index).shaped == 1

    assert server.heal(index) == 200
    assert ask(server, f"healed-{index}")[0] == 200
    assert server.of(f"healed-{index}").fault is None
    assert (server.fault(index).standing, server.fault(index).shaped) == (False, 1)


def test_retry_after_may_be_a_date(server: ProviderProcess) -> None:
    server.put(20, inject="rate_limit", retry_after=90.0, date=True)
    before = time.time()
    due = parsedate_to_datetime(ask(server, "dated")[1]).timestamp()
    server.heal(20)

    assert before + 90 <= due <= time.time() + 91


def test_no_more_are_served_at_once_than_it_has_room_for(server: ProviderProcess) -> None:
    server.put(21, inject="latency", add=1.0)
    server.put(22, inject="capacity", most=1, status=529)
    with ThreadPoolExecutor(2) as callers:
        statuses = sorted(f.result()[0] for f in [callers.submit(ask, server, f"room-{n}") for n in range(2)])
    shaped = server.fault(22).shaped
    server.heal(21)
    server.heal(22)

    assert statuses == [200, 529]
    assert shaped == 1


def test_a_reset_answer_is_lost_after_the_work(server: ProviderProcess) -> None:
    server.put(23, inject="reset")
    with pytest.raises(aiohttp.ClientError):
        ask(server, "lost")
    server.heal(23)

    assert (server.of("lost").result, server.of("lost").fault) == ("error", 23)


def test_a_truncated_answer_ends_in_mid_body(server: ProviderProcess) -> None:
    server.put(11, inject="truncated")
    for stream in (False, True):
        with pytest.raises(aiohttp.ClientPayloadError):
            ask(server, f"truncated-{stream}", stream=stream)
        assert server.of(f"truncated-{stream}").fault == 11


async def frames_of(server: ProviderProcess, request: str) -> list[dict[str, Any]]:
    """The JSON events of a streamed answer, up to its end or its breaking off."""
    events: list[dict[str, Any]] = []
    body = {**BODY, "stream": True}
    async with (
        aiohttp.ClientSession(timeout=BOUND) as session,
        session.post(
            f"{server.openai_url}/chat/completions", json=body, headers={**HEADERS, "X-Request-ID": request}
        ) as answer,
    ):
        async for line in answer.content:
            data = line.removeprefix(b"data: ").strip()
            if data and data != b"[DONE]":
                events.append(msgspec.json.decode(data))
    return events


def tokens_in(events: list[dict[str, Any]]) -> list[str]:
    said = (event["choices"][0]["delta"].get("content") for event in events if event.get("choices"))
    return [token for token in said if token]


@pytest.mark.parametrize("after_tokens", [0, 3, 100])
def test_an_error_inside_a_stream_comes_after_so_many_tokens(server: ProviderProcess, after_tokens: int) -> None:
    server.put(21, inject="error_body", after_tokens=after_tokens, message="sorry")
    events = asyncio.run(frames_of(server, f"inside-{after_tokens}"))
    assert len(tokens_in(events)) == min(after_tokens, 7)
    assert events[-1]["error"]["message"] == "sorry"
    entry = server.of(f"inside-{after_tokens}")
    assert (entry.result, entry.status, entry.fault) == ("error", 200, 21)


@pytest.mark.parametrize(
    ("inject", "error"), [("truncated", aiohttp.ClientPayloadError), ("malformed", msgspec.DecodeError)]
)
def test_a_stream_breaks_off_after_so_many_tokens(server: ProviderProcess, inject: str, error: type[Exception]) -> None:
    server.put(22, inject=inject, after_tokens=2)
    with pytest.raises(error):
        asyncio.run(frames_of(server, f"broken-off-{inject}"))
    assert server.fault(22).shaped >= 1
    assert server.of(f"broken-off-{inject}").result == "error"


def test_a_stall_delays_streams_alone_and_breaks_nothing(server: ProviderProcess) -> None:
    server.put(23, inject="stall", add=0.2, after_tokens=1)
    assert ask(server, "unstalled")[0] == 200
    assert server.fault(23).shaped == 0
    assert len(tokens_in(asyncio.run(frames_of(server, "stalled")))) == 7
    entry = server.of("stalled")
    assert (entry.result, entry.fault, server.fault(23).shaped) == ("ok", 23, 1)
    assert entry.t - entry.began >= 0.2 - TICK_S


def test_tokens_come_at_their_interval_and_as_many_as_there_are_to_be(tmp_path: Path) -> None:
    with provider_process(tmp_path, "--tokens", "9", "--token-interval", "0.02") as server:
        tokens = tokens_in(asyncio.run(frames_of(server, "paced")))
        assert (len(tokens), tokens[-1]) == (9, " 9")
        entry = server.of("paced")
        assert entry.t - entry.began >= 8 * 0.02 - TICK_S * 8


def test_a_hang_ends_without_an_answer_when_it_heals(server: ProviderProcess) -> None:
    async def scene() -> None:
        server.put(12, inject="hang")
        async with aiohttp.ClientSession(timeout=BOUND) as session:
            hanging = asyncio.create_task(post(session, server, "hang"))
            await until(lambda: server.fault(12).shaped == 1)
            assert server.state().in_flight == 1
            assert not hanging.done()
            server.heal(12)
            with pytest.raises(aiohttp.ClientConnectionError):
                await hanging
            assert (await post(session, server, "after-hang"))[0] == 200

    asyncio.run(scene())
    assert (server.of("hang").result, server.of("hang").fault) == ("hung", 12)
    assert server.of("after-hang").fault is None


@pytest.mark.parametrize(
    ("index", "order", "result"), [(13, {"inject": "hang"}, "hung"), (14, {"inject": "latency", "add": 60}, "gone")]
)
def test_a_caller_who_leaves_before_the_answer_is_entered_as_such(
    server: ProviderProcess, index: int, order: dict[str, Any], result: str
) -> None:
    async def scene() -> None:
        server.put(index, **order)
        async with aiohttp.ClientSession(timeout=BOUND) as session:
            waiting = asyncio.create_task(post(session, server, f"left-{index}"))
            await until(lambda: server.fault(index).shaped == 1)
            waiting.cancel()
            await until(lambda: server.state().in_flight == 0)

    asyncio.run(scene())
    entry = server.of(f"left-{index}")
    assert (entry.result, entry.status, entry.fault) == (result, None, index)


def test_latency_delays_an_answer_and_is_evident(server: ProviderProcess) -> None:
    server.put(15, inject="latency", add=0.15)
    assert ask(server, "late")[0] == 200
    entry = server.of("late")
    assert (entry.result, entry.fault) == ("ok", 15)
    assert entry.t - entry.began >= 0.15 - TICK_S


def test_of_two_faults_the_one_that_decides_the_answer_is_entered_and_both_have_evidence(
    server: ProviderProcess,
) -> None:
    server.put(16, inject="latency", add=0.05)
    server.put(17, inject="error", status=502)
    assert ask(server, "both")[0] == 502
    entry = server.of("both")
    assert entry.fault == 17
    assert entry.t - entry.began >= 0.05 - TICK_S
    assert (server.fault(16).shaped, server.fault(17).shaped) == (1, 1)


def test_a_share_shapes_some_requests_and_leaves_the_others(server: ProviderProcess) -> None:
    async def scene() -> list[int]:
        async with aiohttp.ClientSession(timeout=BOUND) as session:
            return [(await post(session, server, f"share-{i}"))[0] for i in range(60)]

    server.put(18, inject="error", status=500, share=0.5)
    statuses = asyncio.run(scene())
    faults = [server.of(f"share-{i}").fault for i in range(60)]
    assert faults == [18 if status == 500 else None for status in statuses]
    assert 0 < server.fault(18).shaped == statuses.count(500) < 60


def test_refuse_shuts_the_port_and_cuts_what_is_connected_until_it_heals(server: ProviderProcess) -> None:
    async def scene() -> None:
        async with aiohttp.ClientSession(timeout=BOUND) as session:
            assert (await post(session, server, "kept-alive"))[0] == 200
            server.put(19, inject="refuse")
            assert not server.state().open
            assert server.fault(19).cut == 1
            for _ in range(2):
                with pytest.raises(aiohttp.ClientConnectionError):
                    await post(session, server, "refused")
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", server.port)
            server.heal(19)
            assert server.state().open
            assert (await post(session, server, "let-in"))[0] == 200

    asyncio.run(scene())
    assert [e for e in server.served() if e.request == "refused"] == []
    assert server.of("let-in").fault is None


def test_refuse_loses_what_is_under_way(server: ProviderProcess) -> None:
    async def scene() -> None:
        server.put(20, inject="latency", add=60)
        async with aiohttp.ClientSession(timeout=BOUND) as session:
            waiting = asyncio.create_task(post(session, server, "slow"))
            await until(lambda: server.fault(20).shaped == 1)
            server.put(21, inject="refuse")
            with pytest.raises(aiohttp.ClientConnectionError):
                await waiting
            await until(lambda: server.state().in_flight == 0)

    asyncio.run(scene())
    assert server.of("slow").result == "gone"
    assert server.fault(21).cut == 1


def test_the_port_is_shut_until_the_last_refuse_has_healed(server: ProviderProcess) -> None:
    server.put(22, inject="refuse")
    server.put(23, inject="refuse")
    server.heal(22)
    assert not server.state().open
    server.heal(23)
    assert server.state().open


@pytest.mark.parametrize(
    "order",
    [
        {"inject": "explode"},
        {"inject": "error", "status": 200},
        {"inject": "error", "share": 2},
        {"inject": "latency", "add": -1},
        {"inject": "error", "statsu": 500},
        {"status": 500},
    ],
)
def test_an_order_that_makes_no_sense_is_refused_and_changes_nothing(
    server: ProviderProcess, order: dict[str, Any]
) -> None:
    before = server.state().faults
    assert server.put(99, **order) == 400
    assert server.state().faults == before


def test_only_what_stands_can_be_healed(server: ProviderProcess) -> None:
    assert server.heal(98) == 404
    server.put(24, inject="error")
    assert (server.heal(24), server.heal(24)) == (200, 404)


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/v1/chat/completions", BODY, {}, 401),
        ("/v1/chat/completions", {"model": "m"}, HEADERS, 400),
        ("/v1/chat/completions", {**BODY, "temperature": 2.5}, HEADERS, 400),
        ("/v1/messages", {**BODY, "max_tokens": 5}, {"anthropic-version": "2023-06-01"}, 401),
        ("/v1/messages", {**BODY, "max_tokens": 5}, {"x-api-key": "k"}, 400),
        ("/v1/messages", BODY, {"x-api-key": "k", "anthropic-version": "2023-06-01"}, 400),
        (
            "/v1/messages",
            {**BODY, "max_tokens": 5, "temperature": 1.5},
            {"x-api-key": "k", "anthropic-version": "2023-06-01"},
            400,
        ),
        (
            "/v1/messages",
            {"model": "m", "max_tokens": 5, "messages": [{"role": "system", "content": "x"}]},
            {"x-api-key": "k", "anthropic-version": "2023-06-01"},
            400,
        ),
        ("/v1/nothing", BODY, HEADERS, 404),
    ],
)
def test_a_request_that_a_vendor_refuses_is_refused(
    server: ProviderProcess, path: str, body: Any, headers: dict[str, str], status: int
) -> None:
    async def scene() -> int:
        async with (
            aiohttp.ClientSession(timeout=BOUND) as session,
            session.post(server.url + path, json=body, headers=headers) as answer,
        ):
            return answer.status

    assert asyncio.run(scene()) == status
