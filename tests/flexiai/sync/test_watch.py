"""Tasks that must not die unnoticed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from random import Random

import pytest

from flexiai.sync.backoff import Backoff
from flexiai.sync.watch import Summons, Watched, end, stop

CALLER: ContextVar[str] = ContextVar("CALLER", default="nobody")


class Part:
    """Work that notes when it begins and each time that it is summoned; it fails as often as it is told to."""

    def __init__(self, summons: Summons | None = None, failures: int = 0) -> None:
        self.summons = summons
        self.failures = failures
        self.begun: list[str] = []
        self.done = 0
        self.told: list[str] = []
        self.watched = Watched(
            "part",
            self.run,
            Backoff(0.001, 0.001, Random(1)),
            summons=summons,
            died=lambda why: self.told.append(f"died: {why}"),
            revived=lambda why: self.told.append(f"revived: {why}"),
        )

    async def run(self) -> None:
        self.begun.append(CALLER.get())
        while self.summons is not None:
            await self.summons.wait()
            self.summons.clear()
            self._fail_if_told()
            self.done += 1
        self._fail_if_told()
        await asyncio.Event().wait()

    def _fail_if_told(self) -> None:
        if self.failures:
            self.failures -= 1
            raise ValueError("unforeseen")


def play(scene: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await scene()

    asyncio.run(bounded())


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_it_is_told_of_what_it_died_and_begins_anew() -> None:
    async def scene() -> None:
        part = Part(failures=1)
        part.watched.start()
        await turns()
        assert part.told == ["died: ValueError: unforeseen"]
        assert not part.watched.alive
        while not part.watched.alive:
            await asyncio.sleep(0.001)
        assert part.told[1:] == ["revived: ValueError: unforeseen"]
        await turns()
        assert part.begun == ["nobody", "nobody"]
        await stop([part.watched])

    play(scene)


@pytest.mark.parametrize("early", [False, True], ids=["later", "before the start"])
def test_summoned_work_begins_when_it_is_first_summoned_and_then_stays(early: bool) -> None:
    async def scene() -> None:
        part = Part(summons := Summons())
        if early:
            summons.set()
        part.watched.start()
        await turns()
        assert (part.watched.alive, part.done) == (early, int(early))
        for number in range(1, 4):
            summons.set()
            await turns()
            assert part.done == number + early
        assert part.begun == ["nobody"]
        await stop([part.watched])

    play(scene)


def test_what_is_begun_by_a_summons_is_not_done_on_behalf_of_whoever_summoned() -> None:
    async def scene() -> None:
        part = Part(summons := Summons())
        part.watched.start()

        async def request() -> None:
            CALLER.set("a request")
            summons.set()

        await asyncio.create_task(request())
        await turns()
        assert part.begun == ["nobody"]
        await stop([part.watched])

    play(scene)


@pytest.mark.parametrize("when", ["unsummoned", "working", "dead"])
def test_when_it_is_stopped_nothing_begins_any_more(when: str) -> None:
    async def scene() -> None:
        part = Part(summons := Summons(), failures=1 if when == "dead" else 0)
        part.watched.start()
        if when != "unsummoned":
            summons.set()
        await turns()
        begun, told = list(part.begun), list(part.told)
        await stop([part.watched])
        summons.set()
        await asyncio.sleep(0.02)
        assert (part.begun, part.told, part.watched.alive) == (begun, told, False)

    play(scene)


def test_ending_asks_again_where_a_cancellation_was_lost() -> None:
    async def scene() -> None:
        lost = 0

        async def deaf() -> None:
            nonlocal lost
            while lost < 2:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    lost += 1

        async def failing() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                raise ValueError("on its way out")

        tasks = [asyncio.create_task(deaf()), asyncio.create_task(failing())]
        await turns()
        await end(*tasks)
        assert all(task.done() for task in tasks)
        assert lost == 2

    play(scene)
