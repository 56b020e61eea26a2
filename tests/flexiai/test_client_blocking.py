"""The client without asyncio."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from flexiai import FlexiAI, FlexiAIError, NoProviderAvailable, ProviderConfig, StreamBroken
from flexiai.core.circuit import Cause
from flexiai.events import Event, RequestEnded, WorkerStarted, WorkerStopped
from tests.flexiai.client_parts import HELLO, LONG_S, ROLE, Scripted, Speaking, status


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


def stream_of(*script: list[object], events: list[Event] | None = None) -> tuple[FlexiAI, Speaking]:
    provider = Speaking("a", list(script))
    listeners = [events.append] if events is not None else []
    return FlexiAI(
        providers=[ProviderConfig(name="a", model="m")], custom={"a": provider}, listeners=listeners
    ), provider


def test_a_stream_is_read_with_for() -> None:
    client, provider = stream_of([ROLE, "one ", "two"])
    with client, client.chat.completions.create(messages=HELLO, stream=True) as stream:
        assert stream.provider == "a"
        assert [chunk.choices[0].delta.content for chunk in stream] == [None, "one ", "two"]
        assert list(stream) == []
    assert provider.open == 0


def test_a_stream_that_breaks_says_so_in_the_calling_thread() -> None:
    client, _ = stream_of(["one", ValueError()])
    with client, client.chat.completions.create(messages=HELLO, stream=True) as stream:
        assert next(stream).has_content
        with pytest.raises(StreamBroken):
            next(stream)


@pytest.mark.parametrize("leave", ["close", "break", "forget", "close the client"])
def test_a_stream_left_in_the_middle_is_ended(leave: str) -> None:
    events: list[Event] = []
    client, provider = stream_of(["one", "two", "three"], events=events)
    with client:
        stream = client.chat.completions.create(messages=HELLO, stream=True)
        for _ in stream:
            break
        if leave == "close":
            stream.close()
        elif leave == "break":
            with stream:
                next(stream)
        elif leave == "forget":
            del stream
            gc.collect()
    assert provider.open == 0
    assert [e.result for e in events if isinstance(e, RequestEnded)] == ["cancelled"]
    if leave == "close the client":
        stream.close()
        with pytest.raises(FlexiAIError, match="closed"):
            next(stream)


def test_closing_ends_a_stream_that_another_thread_awaits() -> None:
    awaited = threading.Event()
    events: list[Event] = []

    async def hang() -> None:
        awaited.set()
        await asyncio.Event().wait()

    client, provider = stream_of(["one", hang], events=events)
    stream = client.chat.completions.create(messages=HELLO, stream=True)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(list, stream)
        assert awaited.wait(LONG_S)
        client.close()
        with pytest.raises(FlexiAIError, match="closed"):
            waiting.result(LONG_S)
    assert provider.open == 0
    assert [e.result for e in events if isinstance(e, RequestEnded)] == ["cancelled"]
