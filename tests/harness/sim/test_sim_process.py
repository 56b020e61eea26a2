"""Simulated processes: what signals do to them, and what others see of it."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator

import pytest

from harness.sim.process import How, SimProcess
from tests.harness.sim.simulated import loop_on, network, run_on


class Case:
    """A driver and one process beside it."""

    def __init__(self) -> None:
        self.network = network()
        self.driver = loop_on(self.network, "driver")
        self.troubles: list[str] = []
        self.ends: list[How] = []
        self.process = SimProcess(
            self.network.engine,
            self.network,
            "host",
            101,
            callback_cost_s=0.0,
            trouble=lambda what, error: self.troubles.append(f"{what} {error!r}"),
            on_end=self.ends.append,
        )


async def _serve_echo() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    await asyncio.start_server(echo, "host", 7)


def test_killing_ends_it_at_once_and_peers_see_the_connection_break() -> None:
    case = Case()

    async def main() -> None:
        case.process.run(_serve_echo())
        await asyncio.sleep(0.1)
        reader, writer = await asyncio.open_connection("host", 7)
        case.process.kill()
        assert await reader.read() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("host", 7)
        writer.close()

    run_on(case.driver, main())
    assert case.ends == ["killed"]
    case.process.bury()
    assert case.troubles == []


def test_a_paused_process_answers_when_it_is_resumed() -> None:
    case = Case()

    async def main() -> float:
        case.process.run(_serve_echo())
        await asyncio.sleep(0.1)
        reader, writer = await asyncio.open_connection("host", 7)
        case.process.pause()
        writer.write(b"x")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await reader.readexactly(1)
        case.process.resume()
        assert await reader.readexactly(1) == b"x"
        writer.close()
        return asyncio.get_running_loop().time()

    assert run_on(case.driver, main()) == pytest.approx(5.102, abs=0.01)
    case.process.kill()
    case.process.bury()


def test_terminating_runs_the_shutdown_and_tells_of_tasks_left_behind() -> None:
    case = Case()
    steps: list[str] = []

    async def forever() -> None:
        await asyncio.sleep(1000)

    async def live() -> None:
        case.process.loop.create_task(forever())

    async def shutdown() -> None:
        await asyncio.sleep(1)
        steps.append("closed")

    async def main() -> None:
        case.process.run(live())
        await asyncio.sleep(0.1)
        case.process.terminate(shutdown(), grace_s=5)
        await asyncio.sleep(10)

    run_on(case.driver, main())
    case.process.bury()
    assert steps == ["closed"]
    assert case.ends == ["terminated"]
    assert len(case.troubles) == 1
    assert "left behind" in case.troubles[0]
    assert "forever" in case.troubles[0]


def test_a_shutdown_that_takes_too_long_is_killed() -> None:
    case = Case()

    async def main() -> None:
        case.process.run(asyncio.sleep(0))
        case.process.terminate(asyncio.sleep(1000), grace_s=5)
        await asyncio.sleep(4.9)
        assert case.ends == []
        await asyncio.sleep(0.2)

    run_on(case.driver, main())
    case.process.bury()
    assert case.ends == ["killed"]


def test_a_process_whose_main_fails_dies_and_says_of_what() -> None:
    case = Case()

    async def fail() -> None:
        raise ValueError("no key")

    async def main() -> None:
        case.process.run(fail())
        await asyncio.sleep(1)

    run_on(case.driver, main())
    case.process.bury()
    assert case.ends == ["died"]
    assert case.troubles == ["the process died ValueError('no key')"]


def test_what_a_killed_process_begins_in_its_grave_is_buried_without_a_word() -> None:
    case = Case()

    async def last_words() -> None:
        raise AssertionError("the dead do not speak")

    async def interrupted() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.gather(last_words(), last_words())

    async def main() -> None:
        case.process.run(interrupted())
        await asyncio.sleep(0.1)
        case.process.kill()

    run_on(case.driver, main())
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        case.process.bury()
        gc.collect()
    assert not [w for w in said if "never awaited" in str(w.message)]
    assert case.troubles == []


def test_what_the_end_of_a_killed_process_generator_begins_is_buried_without_a_word() -> None:
    case = Case()
    begun: list[asyncio.Task[None]] = []

    async def afterwards() -> None:
        raise AssertionError("a dead process has run")

    async def piece() -> int:
        try:
            await asyncio.sleep(10.0)
        finally:
            begun.append(asyncio.create_task(afterwards()))
        return 1

    async def pieces() -> AsyncIterator[int]:
        yield await piece()

    async def consume() -> None:
        async for _ in pieces():
            pass

    async def main() -> None:
        case.process.run(consume())
        await asyncio.sleep(0.1)
        case.process.kill()

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run_on(case.driver, main())
        case.process.bury()
        assert len(begun) == 1
        begun.clear()
        gc.collect()
    assert not [w for w in said if "never awaited" in str(w.message)]
    assert case.troubles == []
