"""Drive a scenario in any world: load, faults at their times, the end. The same coroutine for both worlds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from harness.history import FaultHealed, FaultInjected, History, RunEnded, RunStarted
from harness.scenario import Scenario
from harness.world import Unsupported, World, WorldError

STEP_S = 0.5
"""The longest the driver sleeps before it looks at its world (and reports progress) again."""

CLOCK_S = 1e-8
"""A time that has come to within this has come: a world's clock is rounded, and a sleep may be too short to move it."""

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
    try:
        progress(0.0, scenario.duration, "starting")
        await world.start()
        world.record(RunStarted(t=0.0, scenario=scenario.name, mode=world.mode, seed=seed))
        await world.start_load()
        await _play(world, scenario, progress)
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


async def _play(world: World, scenario: Scenario, progress: Progress) -> None:
    """Inject and heal each fault at its time, and go on to the run's end."""
    for at, heals, index in _timeline(scenario):
        await _sleep_until(world, at, scenario, progress)
        if heals:
            await world.heal(index)
            world.record(FaultHealed(t=world.now(), fault=index))
        else:
            await _inject(world, scenario, index)
    await _sleep_until(world, scenario.duration, scenario, progress)


async def _inject(world: World, scenario: Scenario, index: int) -> None:
    fault = scenario.faults[index]
    began = world.now()
    on = await world.inject(index)
    world.record(FaultInjected(t=began, fault=index, target=fault.target, inject=fault.inject, on=on))


def _timeline(scenario: Scenario) -> list[tuple[float, bool, int]]:
    """(time, is it a healing, which fault), in the order in which it happens; what heals makes way for what comes."""
    steps = []
    for index, fault in enumerate(scenario.faults):
        steps.append((fault.at, False, index))
        if not fault.instant:
            steps.append((fault.until(scenario.duration), True, index))
    return sorted(steps, key=lambda step: (step[0], not step[1], step[2]))


async def _sleep_until(world: World, at: float, scenario: Scenario, progress: Progress) -> None:
    while (left := at - world.now()) > CLOCK_S:
        await asyncio.sleep(min(left, STEP_S))
        world.check()
        progress(min(world.now(), scenario.duration), scenario.duration, "running")
