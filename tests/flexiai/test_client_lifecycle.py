"""How a client begins and ends."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys

import pytest

from flexiai import AsyncFlexiAI, ConfigurationError, FlexiAIError, NoProviderAvailable, ProviderConfig
from flexiai.core.circuit import Cause, State
from flexiai.events import Transition, WorkerReady, WorkerStarted, WorkerStopped
from flexiai.sync.memory import MemoryBus, MemoryStore
from flexiai.sync.port import NoSync
from tests.flexiai.client_parts import HELLO, Fleet, Scripted, fleet, run, status


class SlowSync(NoSync):
    """Joins when it is told to."""

    def __init__(self) -> None:
        self.may_join = asyncio.Event()
        self.starts = self.closes = 0

    async def start(self) -> bool:
        self.starts += 1
        await self.may_join.wait()
        return False

    async def aclose(self) -> None:
        self.closes += 1


async def ask(f: Fleet) -> str:
    return (await f.client.chat.completions.create(messages=HELLO)).provider


def test_many_first_requests_start_the_client_once() -> None:
    async def main() -> None:
        f = fleet([])
        f.client.sync = sync = SlowSync()
        asked = [asyncio.create_task(ask(f)) for _ in range(5)]
        await asyncio.sleep(0)
        asked[0].cancel()
        await asyncio.sleep(0)
        sync.may_join.set()
        assert await asyncio.gather(*asked[1:]) == ["a"] * 4
        await f.client.aclose()
        await f.client.aclose()
        assert (sync.starts, sync.closes) == (1, 1)
        assert [e.synced for e in f.only(WorkerReady)] == [False]
        assert len(f.only(WorkerStarted)) == len(f.only(WorkerStopped)) == 1

    run(main())


def test_a_client_closed_while_it_starts_leaves_nothing_open() -> None:
    async def main() -> None:
        f = fleet([])
        f.client.sync = sync = SlowSync()
        starting = asyncio.create_task(f.client.start())
        await asyncio.sleep(0)
        closing = asyncio.create_task(f.client.aclose())
        await asyncio.sleep(0)
        sync.may_join.set()
        await closing
        with pytest.raises(FlexiAIError, match="closed"):
            await starting
        assert sync.closes == 1
        assert not f.only(WorkerReady)

    run(main())


def test_a_closed_client_says_so() -> None:
    async def main() -> None:
        f = fleet([])
        async with f.client:
            pass
        with pytest.raises(FlexiAIError, match="closed"):
            await ask(f)

    run(main())


def test_a_custom_provider_is_closed_with_its_client() -> None:
    class Closing(Scripted):
        closed = 0

        async def aclose(self) -> None:
            self.closed += 1

    provider = Closing("a")
    client = AsyncFlexiAI(providers=[ProviderConfig(name="a", model="m")], custom={"a": provider})

    async def main() -> None:
        async with client:
            pass

    run(main())
    assert provider.closed == 1


def test_two_clients_of_one_store_share_what_they_learn() -> None:
    async def main() -> None:
        store = MemoryStore(now=asyncio.get_running_loop().time)
        heard = asyncio.Event()
        one = fleet([status(503)] * 5, bus=MemoryBus(store))
        two = fleet([], bus=MemoryBus(store), listeners=[lambda e: heard.set() if type(e) is Transition else None])
        async with one.client, two.client:
            for _ in range(5):
                with pytest.raises(NoProviderAvailable):
                    await ask(one)
            await heard.wait()
            assert two.client.breakers["a"].state is State.OPEN
            assert two.only(Transition)[-1].cause is Cause.SYNC
            with pytest.raises(NoProviderAvailable):
                await ask(two)
            assert not two.providers[0].asked

    run(main())


def test_a_reset_closes_and_an_unknown_provider_is_a_key_error() -> None:
    async def main() -> None:
        async with (f := fleet([])).client:
            f.client.reset("a")
            with pytest.raises(KeyError):
                f.client.reset("z")

    run(main())


def test_a_worker_is_known_by_host_and_process() -> None:
    client = AsyncFlexiAI(providers=[ProviderConfig(name="a", model="m")], custom={"a": Scripted("a")})
    assert client.worker == f"{socket.gethostname()}:{os.getpid()}"


@pytest.mark.parametrize(
    ("providers", "custom", "says"),
    [
        ([], {}, "at least one"),
        ([("a", "k"), ("a", "k")], {}, "a is given more than once"),
        ([("my-llm", None)], {}, "'my-llm' has no api_key.*MY_LLM_API_KEY"),
        ([("a", "  ")], {}, "'a' has no api_key"),
        ([("a", "k")], {"b": Scripted("b")}, "'b' has no ProviderConfig"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_what_would(
    providers: list[tuple[str, str | None]], custom: dict[str, Scripted], says: str
) -> None:
    configs = [ProviderConfig(name=name, model="m", api_key=key) for name, key in providers]
    with pytest.raises(ConfigurationError, match=says):
        AsyncFlexiAI(providers=configs, custom=custom)


def test_built_providers_share_one_session_which_is_closed() -> None:
    async def main() -> None:
        client = AsyncFlexiAI(
            providers=[
                ProviderConfig(name=name, model="m", api_key="k", base_url="http://127.0.0.1:9/v1") for name in "ab"
            ]
        )
        async with client:
            with pytest.raises(FlexiAIError, match=r"a: .*b: "):
                await client.chat.completions.create(messages=HELLO)

    run(main())


def test_a_client_of_custom_providers_imports_neither_aiohttp_nor_redis() -> None:
    code = """
import asyncio, sys
from tests.flexiai.client_parts import HELLO, fleet
async def main():
    async with (f := fleet([])).client:
        await f.client.chat.completions.create(messages=HELLO)
asyncio.run(main())
print([m for m in ("aiohttp", "redis", "fastapi") if m in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert ran.stdout.strip() == "[]"
