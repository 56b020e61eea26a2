"""A simulated world that is moved by hand: for tests that decide, as it goes, what breaks next.

`harness.run` drives scenarios, which know beforehand what will happen. Here every fault and every load is told when it
comes; what was told makes, in the end, a scenario like any other, that can be judged, written to a file, and run.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass

from harness.faults import Fault, clash
from harness.garbage import collected_young
from harness.history import FaultHealed, FaultInjected, History, RunEnded, RunStarted
from harness.scenario import OpenLoad, Scenario
from harness.sim.world import SimWorld

LONGEST_S = 3600.0
"""The most simulated time that may pass; how much it was is known in the end."""

MOMENT_S = 0.001
"""Times of loads and faults are kept to this, as a scenario file has them."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was done by hand: as a scenario, and what came of it."""

    scenario: Scenario
    history: History


class ByHand:
    """A scenario's fleet, in which time passes when told. `end` must be called, whatever happens.

    The scenario's load runs on by itself; its duration and faults are not looked at.
    """

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._seed = seed
        self._times: list[tuple[float, float | None]] = []  # of each fault: when it began, and how long it lasted
        self._life = ExitStack()
        self._world = SimWorld(scenario.model_copy(update={"duration": LONGEST_S, "faults": ()}), seed)
        self._life.enter_context(collected_young())
        self._life.enter_context(self._world.alive())
        try:
            self._world.until(self._begin())
        except BaseException:
            self._life.close()
            raise

    async def _begin(self) -> None:
        world = self._world
        await world.start()
        world.record(RunStarted(t=0.0, scenario=world.scenario.name, mode=world.mode, seed=self._seed))
        await world.start_load()

    @property
    def now(self) -> float:
        """Seconds since the run began."""
        return self._world.now()

    @property
    def scenario(self) -> Scenario:
        """What it is a world of, with all that was told so far."""
        return self._world.scenario

    @property
    def standing(self) -> dict[int, Fault]:
        """The faults that are in effect, by their numbers."""
        faults = self._world.scenario.faults
        return {i: fault for i, fault in enumerate(faults) if self._times[i][1] is None and not fault.instant}

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._world.until(asyncio.sleep(seconds))

    def send(self, count: int, within_s: float) -> None:
        """Send requests besides the load, evenly, from now on."""
        self._next_moment()
        load = {"arrival": "constant", "rate": f"{count / within_s:g}/s", "for": f"{within_s * 1.001:g}s"}
        burst = OpenLoad.model_validate(load).model_copy(update={"at": round(self.now, 3)})
        self._world.load_too(burst)

    def can(self, fault: Fault) -> bool:
        """Whether a fault can be beside those that are in effect."""
        return not any(clash(fault, other) for other in self.standing.values())

    def inject(self, fault: Fault) -> int:
        """Put a fault in effect, now, until it is healed; its number. Its own times are not looked at."""
        if not self.can(fault):
            raise ValueError(f"'{fault.name}' on {fault.target} cannot be beside what is in effect")
        self._next_moment()
        world, began = self._world, round(self.now, 3)
        index = world.break_too(fault.model_copy(update={"at": began, "for_": None, "until_": None}))
        self._times.append((began, None))
        on = world.until(world.inject(index, world.scenario.targets_of(index, self._seed)))
        world.record(FaultInjected(t=began, fault=index, target=fault.target, inject=fault.inject, on=on))
        return index

    def heal(self, index: int) -> None:
        """End a fault that is in effect."""
        if index not in self.standing:
            raise ValueError(f"fault {index} is not in effect")
        self._next_moment()
        world, began = self._world, self._times[index][0]
        world.until(world.heal(index))
        world.record(FaultHealed(t=self.now, fault=index))
        self._times[index] = (began, round(self.now - began, 3))

    def end(self, settle_s: float = 0.0) -> Told:
        """Heal all, let the fleet find back for so long, and end it in good order."""
        try:
            for index in self.standing:
                self.heal(index)
            self.wait(settle_s)
            self._next_moment()
            self._world.cease()
            self._world.until(self._finish())
            self._world.record(RunEnded(t=self.now, complete=True))
        finally:
            self._life.close()
        return Told(self._as_told(), self._world.history())

    async def _finish(self) -> None:
        await self._world.finish_load(self._world.scenario.drain)
        await self._world.stop()

    def _as_told(self) -> Scenario:
        """The scenario, with each fault's own times."""
        told = self._world.scenario
        faults = zip(told.faults, self._times, strict=True)
        return told.model_copy(
            update={"faults": tuple(f.model_copy(update={"for_": lasted}) for f, (_, lasted) in faults)}
        )

    def _next_moment(self) -> None:
        """Let the time pass until the next moment that a scenario file can name."""
        moments = int(self.now / MOMENT_S + 1e-3) + 1
        self._world.until(asyncio.sleep(moments * MOMENT_S - self.now))
