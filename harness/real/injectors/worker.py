"""What breaks at a real worker process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping

from harness.faults import (
    Fault,
    Place,
    WorkerBlock,
    WorkerCrashLoop,
    WorkerDeaf,
    WorkerKill,
    WorkerLateJoin,
    WorkerPause,
    WorkerRestart,
    WorkerRollingRestart,
    WorkerThrottle,
)
from harness.history import WorkerPaused, WorkerResumed
from harness.real.doors import port_of
from harness.real.freezer import stopped
from harness.real.injectors.scene import Effect, Maker, Scene
from harness.real.workers import Worker

END_S = 10.0
ANSWER_S = 60.0
LOOK_S = 0.02
TURN_S = 0.1


class WorkersEnd:
    """Workers are killed, or asked to end; uvicorn starts others in their place."""

    def __init__(self, scene: Scene, places: tuple[Place, ...], number: signal.Signals) -> None:
        self._fleet = scene.stack.fleet
        self._places = places
        self._signal = number
        self._ended = 0

    async def inject(self) -> tuple[str, ...]:
        workers = [w for place, w in self._fleet.live.items() if place in self._places]
        for worker in workers:
            self._fleet.expect_end(worker, "killed" if self._signal is signal.SIGKILL else "terminated")
            self._fleet.send(worker, self._signal)
        for worker in workers:
            self._ended += await self._fleet.gone(worker, END_S)
        return tuple(w.name for w in workers)

    async def heal(self) -> None:
        """uvicorn heals it."""

    async def effect(self) -> Effect:
        return Effect("workers ended", self._ended)


class WorkersFrozen:
    """Workers are stopped by SIGSTOP and woken by SIGCONT."""

    def __init__(self, scene: Scene, places: tuple[Place, ...]) -> None:
        self._scene = scene
        self._workers = [w for place, w in scene.stack.fleet.live.items() if place in places]
        self._seen = 0

    async def inject(self) -> tuple[str, ...]:
        for worker in self._workers:
            self._scene.record(WorkerPaused(t=self._scene.now(), worker=worker.name))
        self._seen = await self._scene.stack.freezer.freeze(self._pids)
        return tuple(w.name for w in self._workers)

    async def heal(self) -> None:
        for worker in self._workers:
            self._scene.record(WorkerResumed(t=self._scene.now(), worker=worker.name))
        await self._scene.stack.freezer.thaw(self._pids)

    async def effect(self) -> Effect:
        return Effect("workers stopped", self._seen)

    @property
    def _pids(self) -> tuple[int, ...]:
        return tuple(w.pid for w in self._workers)


class WorkersRoll:
    """Workers are asked to end one after the other."""

    def __init__(self, scene: Scene, fault: Fault, places: tuple[Place, ...]) -> None:
        self._fleet = scene.stack.fleet
        self._places = places
        self._gap_s = (fault.for_ or 0.0) / max(1, len(places))
        self._told: list[Worker] = []
        self._rolling: asyncio.Task[None] | None = None

    async def inject(self) -> tuple[str, ...]:
        on = tuple(w.name for place, w in self._fleet.live.items() if place in self._places)
        self._rolling = asyncio.create_task(self._roll())
        return on

    async def _roll(self) -> None:
        for place in self._places:
            if (worker := self._fleet.live.get(place)) is not None:
                self._fleet.expect_end(worker, "terminated")
                self._fleet.send(worker, signal.SIGTERM)
                self._told.append(worker)
            await asyncio.sleep(self._gap_s)

    async def heal(self) -> None:
        await _end(self._rolling)

    async def effect(self) -> Effect:
        ended = [await self._fleet.gone(worker, END_S) for worker in self._told]
        return Effect("workers ended", sum(ended))


class WorkersCrashLoop:
    """Workers are killed, and their replacements as soon as they are ready."""

    def __init__(self, scene: Scene, places: tuple[Place, ...]) -> None:
        self._fleet = scene.stack.fleet
        self._places = places
        self._killed: set[str] = set()
        self._looping: asyncio.Task[None] | None = None

    async def inject(self) -> tuple[str, ...]:
        on = tuple(w.name for place, w in self._fleet.live.items() if place in self._places)
        self._looping = asyncio.create_task(self._loop())
        return on

    async def _loop(self) -> None:
        while True:
            for place, worker in list(self._fleet.live.items()):
                if place in self._places and worker.ready and worker.name not in self._killed:
                    self._fleet.expect_end(worker, "killed")
                    self._fleet.send(worker, signal.SIGKILL)
                    self._killed.add(worker.name)
            await asyncio.sleep(LOOK_S)

    async def heal(self) -> None:
        await _end(self._looping)

    async def effect(self) -> Effect:
        return Effect("workers killed", len(self._killed))


class WorkersThrottled:
    """Workers are stopped for a part of each turn."""

    def __init__(self, scene: Scene, fault: Fault, places: tuple[Place, ...]) -> None:
        self._freezer = scene.stack.freezer
        self._workers = [w for place, w in scene.stack.fleet.live.items() if place in places]
        self._share: float = getattr(fault, "share", 1.0)
        self._turns = 0
        self._turning: asyncio.Task[None] | None = None

    async def inject(self) -> tuple[str, ...]:
        self._freezer.stand_by(self._pids)
        self._turning = asyncio.create_task(self._turn())
        return tuple(w.name for w in self._workers)

    async def _turn(self) -> None:
        while True:
            self._signal(signal.SIGSTOP)
            await asyncio.sleep(TURN_S * (1 - self._share))
            self._turns += sum(stopped(pid) for pid in self._pids)
            self._signal(signal.SIGCONT)
            await asyncio.sleep(TURN_S * self._share)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    async def heal(self) -> None:
        await _end(self._turning)
        await self._freezer.thaw(self._pids)

    async def effect(self) -> Effect:
        return Effect("turns in which a worker stood still", self._turns)

    @property
    def _pids(self) -> tuple[int, ...]:
        return tuple(w.pid for w in self._workers)


class AtTheDoor:
    """Something is done in workers' own event loops (`staged`); `counts` says whether an answer shows that it was."""

    def __init__(
        self, scene: Scene, places: tuple[Place, ...], order: str, what: str, counts: Callable[[float], int]
    ) -> None:
        self._doors = scene.stack.doors
        self._workers = [w for place, w in scene.stack.fleet.live.items() if place in places]
        self._order = order
        self._what = what
        self._counts = counts
        self._asked: list[asyncio.Task[float]] = []

    async def inject(self) -> tuple[str, ...]:
        self._asked = [asyncio.create_task(self._ask(w)) for w in self._workers]
        return tuple(w.name for w in self._workers)

    async def _ask(self, worker: Worker) -> float:
        try:
            async with asyncio.timeout(ANSWER_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", port_of(self._doors, worker.pid))
                writer.write(self._order.replace("WORKER", worker.name).encode() + b"\n")
                answer = float(await reader.readline())
                writer.close()
                return answer
        except (OSError, TimeoutError, ValueError):
            return 0.0  # it has ended, or never opened its door: nothing was done to it

    async def heal(self) -> None:
        """It is over by itself."""

    async def effect(self) -> Effect:
        return Effect(self._what, sum([self._counts(await asked) for asked in self._asked]))


class InstanceJoins:
    """An instance starts that was not there."""

    def __init__(self, scene: Scene, fault: Fault) -> None:
        self._fleet = scene.stack.fleet
        self._instance: int = getattr(fault, "instance", 0)
        self._joining: asyncio.Task[None] | None = None

    async def inject(self) -> tuple[str, ...]:
        self._joining = asyncio.create_task(self._fleet.join(self._instance))
        return (f"instance {self._instance}",)

    async def heal(self) -> None:
        """It stays."""

    async def effect(self) -> Effect:
        there = [w for place, w in self._fleet.live.items() if place[0] == self._instance]
        return Effect("workers that joined", sum(w.ready for w in there))


async def _end(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait({task})


def _block(scene: Scene, _: int, fault: Fault, places: tuple[Place, ...]) -> AtTheDoor:
    lasts = fault.for_ or 0.0
    return AtTheDoor(scene, places, f"block {lasts}", "event loops that stood still", lambda s: int(s >= lasts))


def _deaf(scene: Scene, _: int, __: Fault, places: tuple[Place, ...]) -> AtTheDoor:
    return AtTheDoor(scene, places, "cancel WORKER-listener", "listening tasks ended", int)


MAKERS: Mapping[type[Fault], Maker] = {
    WorkerKill: lambda scene, _, __, places: WorkersEnd(scene, places, signal.SIGKILL),
    WorkerRestart: lambda scene, _, __, places: WorkersEnd(scene, places, signal.SIGTERM),
    WorkerPause: lambda scene, _, __, places: WorkersFrozen(scene, places),
    WorkerRollingRestart: lambda scene, _, fault, places: WorkersRoll(scene, fault, places),
    WorkerCrashLoop: lambda scene, _, __, places: WorkersCrashLoop(scene, places),
    WorkerBlock: _block,
    WorkerThrottle: lambda scene, _, fault, places: WorkersThrottled(scene, fault, places),
    WorkerDeaf: _deaf,
    WorkerLateJoin: lambda scene, _, fault, __: InstanceJoins(scene, fault),
}
