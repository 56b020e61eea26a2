"""A caller may leave at any moment, and nothing stays behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import coroutine
from typing import Any

import psutil
import pytest
from pydantic import SecretStr

from flexiai import AsyncFlexiAI, BreakerConfig, ProviderConfig
from flexiai.core.circuit import State
from flexiai.core.outcome import Outcome, Trouble
from flexiai.events import AttemptEnded, AttemptStarted, Event, RequestEnded, RequestStarted
from tests.flexiai.client_parts import HELLO, ROLE, Speaking, fleet, run, status
from tests.flexiai.stepped import Stepped
from tests.provider_process import ProviderProcess, provider_process

MOST = 200  # suspensions of a request: far more than any has
PATIENT = BreakerConfig(failure_threshold=100_000, failure_rate=None)
PACE = ("--tokens", "4", "--token-interval", "0.001")
Ask = Callable[[AsyncFlexiAI], Coroutine[Any, Any, None]]


async def whole(client: AsyncFlexiAI) -> None:
    await client.chat.completions.create(messages=HELLO, request_id="r")


async def streamed(client: AsyncFlexiAI) -> None:
    async with await client.chat.completions.create(messages=HELLO, stream=True, request_id="r") as stream:
        async for _ in stream:
            await asyncio.sleep(0)


async def several_steps() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def slow_failure() -> None:
    await several_steps()
    raise status(503)


class Slow(Speaking):
    """One whose end takes steps too."""

    async def stream(self, request: Any) -> Any:
        try:
            async for chunk in super().stream(request):
                yield chunk
        finally:
            await several_steps()


def probing(client: AsyncFlexiAI, provider: str) -> None:
    """The breaker is about to be probed."""
    breaker = client.breakers[provider]
    breaker.reset(0.0)
    permit = breaker.admit(0.0)
    breaker.record(permit, Outcome.RATE_LIMITED, 0.0, retry_after_s=1e-9)  # type: ignore[arg-type]  # CLOSED: a permit
    assert breaker.state is State.OPEN


def nothing_is_left(client: AsyncFlexiAI, events: list[Event], *, left: bool, tasks: set[asyncio.Task[Any]]) -> None:
    def of(kind: type[Any]) -> list[Any]:
        return [event for event in events if type(event) is kind]

    assert all(breaker.probes_in_flight == 0 for breaker in client.breakers.values())
    assert len(of(RequestEnded)) == len(of(RequestStarted)) <= 1
    assert len(of(AttemptEnded)) == len(of(AttemptStarted))
    assert [e.attempt for e in of(AttemptEnded)] == [e.attempt for e in of(AttemptStarted)]
    for ended in of(RequestEnded):
        assert ended.result in (("cancelled", "ok") if left else ("ok",))
    assert asyncio.all_tasks() <= tasks


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("probe", [False, True])
@pytest.mark.parametrize("ask", [whole, streamed])
def test_a_caller_who_leaves_at_any_await_leaves_nothing(ask: Ask, probe: bool, again: bool) -> None:
    async def main() -> int:
        async with (f := fleet([], [], kind=Slow, breaker=PATIENT)).client:
            tasks = asyncio.all_tasks()
            for at in range(1, MOST):
                f.events.clear()
                f.providers[0].script = [slow_failure if ask is whole else [ROLE, slow_failure]]
                f.providers[1].script = [several_steps if ask is whole else [ROLE, several_steps, "one", "two"]]
                if probe:
                    probing(f.client, "a")
                asking = Stepped(ask(f.client), at, again=again)
                await asking.ended()
                nothing_is_left(f.client, f.events, left=asking.left, tasks=tasks)
                assert all(provider.open == 0 for provider in f.providers)
                assert asking.left or asking.task.exception() is None
                if not asking.left:
                    return at
        raise AssertionError("the request never ended")

    assert run(main()) > 6


@pytest.mark.parametrize("ask", [whole, streamed])
def test_a_caller_who_leaves_while_the_client_starts_leaves_it_usable(ask: Ask) -> None:
    async def main() -> int:
        for at in range(1, MOST):
            f = fleet([], kind=Slow)
            asking = Stepped(ask(f.client), at, again=False)
            await asking.ended()
            await ask(f.client)
            await f.client.aclose()
            assert [e.result for e in f.only(RequestEnded)].count("ok") >= 1
            assert len(f.only(RequestEnded)) == len(f.only(RequestStarted))
            assert f.providers[0].open == 0
            if not asking.left:
                return at
        raise AssertionError("the request never ended")

    assert run(main()) > 1


def over_http(server: ProviderProcess, wire: str, events: list[Event]) -> AsyncFlexiAI:
    config = ProviderConfig(
        name=wire,
        api_key=SecretStr("any"),
        model="m",
        base_url=server.openai_url if wire == "openai" else server.url,
    )
    return AsyncFlexiAI(providers=[config], breaker=PATIENT, listeners=[events.append], worker="w")


@pytest.mark.real
@pytest.mark.parametrize("wire", ["openai", "anthropic"])
@pytest.mark.parametrize("ask", [whole, streamed])
def test_a_caller_who_leaves_a_real_provider_at_any_await_leaves_no_connection(
    ask: Ask, wire: str, tmp_path: Path
) -> None:
    async def main(server: ProviderProcess) -> int:
        events: list[Event] = []
        async with over_http(server, wire, events) as client:
            tasks = asyncio.all_tasks()
            for at in range(1, MOST):
                events.clear()
                probing(client, wire)
                asking = Stepped(ask(client), at, again=False)
                await asking.ended()
                nothing_is_left(client, events, left=asking.left, tasks=tasks)
                if not asking.left:
                    assert asking.task.exception() is None
                    while connections_to(server.port) > 1:  # one is kept for the next request
                        await asyncio.sleep(0)
                    return at
        raise AssertionError("the request never ended")

    with provider_process(tmp_path, "--latency-median", "0.001", "--latency-p99", "0.002", *PACE, name="p") as server:
        assert run(main(server)) > 1


def connections_to(port: int) -> int:
    """How many this process has open to a port."""
    return sum(bool(c.raddr) and c.raddr.port == port for c in psutil.Process().net_connections("tcp"))


def test_a_caller_who_leaves_is_nobodys_failure() -> None:
    async def main() -> None:
        hang = asyncio.Event().wait
        async with (f := fleet([hang], [], breaker=BreakerConfig(failure_threshold=1))).client:
            asking = Stepped(whole(f.client), 1, again=False)
            await asking.ended()
            assert asking.task.cancelled()
        (ended,) = f.only(AttemptEnded)
        assert (ended.outcome, ended.trouble) == (Outcome.NEUTRAL, Trouble.CANCELLED)
        assert f.client.breakers["a"].state is State.CLOSED
        assert not f.providers[1].asked

    run(main())


def test_a_request_whose_loop_ends_under_it_still_ends_once() -> None:
    f = fleet([])

    @coroutine
    def stuck():  # type: ignore[no-untyped-def]  # a bare yield, as no coroutine of asyncio has it
        yield

    async def wait() -> None:
        await stuck()

    async def main() -> None:
        async with f.client:
            f.providers[0].script = [wait]
            work = f.client.chat.completions.create(messages=HELLO, request_id="r")
            work.send(None)
            work.close()

    run(main())
    assert [e.result for e in f.only(RequestEnded)] == ["cancelled"]
