"""Drive a scenario in any world: load, faults at their times, the end. The same coroutine for both worlds."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from harness.agenda import CLOCK_S, Agenda, Step
from harness.history import Entry, FaultHealed, FaultInjected, History, RunEnded, RunStarted
from harness.scenario import Scenario
from harness.world import Unsupported, World, WorldError

STEP_S = 0.5
"""The longest the driver sleeps before it looks at its world (and reports progress) again."""

Progress = Callable[[float, float, str], None]
"""Called with (seconds done, seconds in all, what is going on)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to. `interrupted`: by the user; `error`: the world broke; either way the history is partial."""

    history: History
    wall_s: float
    interrupted: bool = False
    error: str | None = None


def run(world: World, scenario: Scenario, seed: int, progress: Progress) -> Outcome:
    """Run `scenario` in `world`. Raises Unsupported before anything starts if the world cannot do one of its faults."""
    refusals = [f"fault {i + 1}: {why}" for i, f in enumerate(scenario.faults) if (why := world.refuses(f))]
    if refusals:
        raise Unsupported("; ".join(refusals))
    began = time.monotonic()
    interrupted, error = False, None
    try:
        world.execute(lambda: _drive(world, scenario, seed, progress))
    except KeyboardInterrupt:
        interrupted = True
    except WorldError as broken:
        error = str(broken)
    return Outcome(world.history(), time.monotonic() - began, interrupted, error)


async def _drive(world: World, scenario: Scenario, seed: int, progress: Progress) -> None:
    why: str | None = "the run broke off"
    player = _Player(world, scenario, seed, progress)
    if player.listens:
        world.listen(player.hear)
    try:
        progress(0.0, scenario.duration, "starting")
        await world.start()
        world.record(RunStarted(t=0.0, scenario=scenario.name, mode=world.mode, seed=seed))
        await world.start_load()
        await player.play()
        progress(scenario.duration, scenario.duration, "awaiting the last answers")
        await world.finish_load(scenario.drain)
        world.check()
        why = None
    except WorldError as error:
        why = str(error)
        raise
    except asyncio.CancelledError:
        why = "interrupted"
        raise
    finally:
        await world.stop()
        world.record(RunEnded(t=world.now(), complete=why is None, why=why))


class _Player:
    """Injects and heals each fault at its time, and goes on to the run's end."""

    def __init__(self, world: World, scenario: Scenario, seed: int, progress: Progress) -> None:
        self._world = world
        self._scenario = scenario
        self._progress = progress
        self._agenda = Agenda(scenario, seed)
        self._news = asyncio.Event()

    @property
    def listens(self) -> bool:
        """Whether it depends on what happens in the world."""
        return self._agenda.listens

    def hear(self, entry: Entry, t: float) -> None:
        """Something happened in the world, for which a fault may have waited."""
        if self._agenda.hear(entry, t):
            self._news.set()

    async def play(self) -> None:
        """From the begin of the load to its end."""
        end = self._scenario.duration
        while True:
            while (step := self._agenda.take(self._world.now())) is not None:
                await self._do(step)
            left = end - self._world.now()
            if left <= CLOCK_S:
                return
            due = self._agenda.next_at
            await self._pause(min(left, STEP_S, due - self._world.now() if due is not None else left))

    async def _do(self, step: Step) -> None:
        world, index = self._world, step.fault
        if not step.begins:
            await world.heal(index)
            world.record(FaultHealed(t=world.now(), fault=index))
            return
        fault, began = self._scenario.faults[index], world.now()
        on = await world.inject(index, self._agenda.places(step))
        world.record(FaultInjected(t=began, fault=index, target=fault.target, inject=fault.inject, on=on))

    async def _pause(self, for_s: float) -> None:
        """Sleep, but no longer than until something is put on the agenda."""
        self._news.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, for_s)):
                await self._news.wait()
        self._world.check()
        self._progress(min(self._world.now(), self._scenario.duration), self._scenario.duration, "running")
