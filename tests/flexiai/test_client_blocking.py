"""The client without asyncio."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from flexiai import FlexiAI, FlexiAIError, NoProviderAvailable, ProviderConfig
from flexiai.core.circuit import Cause
from flexiai.events import Event, RequestEnded, WorkerStarted, WorkerStopped
from tests.flexiai.client_parts import HELLO, LONG_S, Scripted, status


def client_of(*script: object, events: list[Event] | None = None) -> FlexiAI:
    provider = Scripted("a", list(script))  # type: ignore[arg-type]  # a script
    listeners = [events.append] if events is not None else []
    return FlexiAI(providers=[ProviderConfig(name="a", model="m")], custom={"a": provider}, listeners=listeners)


def threads() -> int:
    return sum(t.name == "flexiai" for t in threading.enumerate())


def test_many_threads_share_one_client() -> None:
    events: list[Event] = []
    before = threads()
    client = client_of(events=events)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.chat.completions.create(messages=HELLO).provider, range(200)))
    assert answers == ["a"] * 200
    assert threads() == before + 1
    client.close()
    client.close()
    assert threads() == before
    assert sum(type(e) is RequestEnded for e in events) == 200
    assert sum(type(e) is WorkerStarted for e in events) == sum(type(e) is WorkerStopped for e in events) == 1


def test_errors_reach_the_calling_thread() -> None:
    with client_of(status(503)) as client, pytest.raises(NoProviderAvailable):
        client.chat.completions.create(messages=HELLO)


def test_closing_ends_the_requests_of_other_threads_with_a_clear_error() -> None:
    asked = threading.Event()
    events: list[Event] = []

    async def hang() -> None:
        asked.set()
        await asyncio.Event().wait()

    client = client_of(hang, events=events)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.chat.completions.create, messages=HELLO)
        assert asked.wait(LONG_S)
        client.close()
        with pytest.raises(FlexiAIError, match="closed"):
            waiting.result(LONG_S)
    assert [e.result for e in events if isinstance(e, RequestEnded)] == ["cancelled"]
    with pytest.raises(FlexiAIError, match="closed"):
        client.chat.completions.create(messages=HELLO)


def test_it_may_be_called_where_an_event_loop_runs() -> None:
    async def main() -> str:
        with client_of() as client:
            return client.chat.completions.create(messages=HELLO).provider

    assert asyncio.run(main()) == "a"


def test_a_call_from_its_own_thread_is_refused_instead_of_waiting_for_ever() -> None:
    said: list[str] = []

    async def call_back() -> None:
        try:
            client.chat.completions.create(messages=HELLO)
        except RuntimeError as error:
            said.append(str(error))

    with client_of(call_back) as client:
        client.chat.completions.create(messages=HELLO)
    assert "own thread" in said[0]


def test_a_reset_reaches_the_breaker() -> None:
    with client_of() as client:
        client.reset("a")
        assert client.breakers["a"].reason is Cause.RESET
        with pytest.raises(KeyError):
            client.reset("z")


def test_a_forgotten_client_ends_when_it_is_collected() -> None:
    ended = threading.Event()
    client = FlexiAI(
        providers=[ProviderConfig(name="a", model="m")],
        custom={"a": Scripted("a")},
        listeners=[lambda e: ended.set() if type(e) is WorkerStopped else None],
    )
    create = client.chat.completions.create
    del client
    gc.collect()
    assert create(messages=HELLO).provider == "a"
    del create
    gc.collect()
    assert ended.wait(LONG_S)


def test_a_script_that_forgets_to_close_ends_in_good_order() -> None:
    code = """
from flexiai import FlexiAI, ProviderConfig
from flexiai.events import WorkerStopped
from tests.flexiai.client_parts import HELLO, Scripted
client = FlexiAI(providers=[ProviderConfig(name="a", model="m")], custom={"a": Scripted("a")},
                 listeners=[lambda e: print(type(e).__name__, flush=True) if type(e) is WorkerStopped else None])
print(client.chat.completions.create(messages=HELLO).provider)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert ran.stdout.split() == ["a", "WorkerStopped"]
    assert ran.stderr == ""
