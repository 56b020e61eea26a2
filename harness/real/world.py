"""The real world: real Redis, real providers, real uvicorn workers, real load, and faults by signal, control and wire.

Every process of a run is a child of the harness; everything lives on loopback, on free ports, in one temporary
directory. All clocks are the host's CLOCK_MONOTONIC, so that times of different processes compare.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import msgspec

from harness.faults import Fault, Place
from harness.history import (
    Entry,
    FaultEffect,
    Happening,
    History,
    HistoryError,
    ProviderServed,
    RequestSent,
    WorkerDown,
    WorkerUp,
)
from harness.real.injectors import MAKERS, Injector, Scene, Swizzle, Wire, injector, sample
from harness.real.interrupt import Interruptible
from harness.real.locust_process import Load
from harness.real.stack import Stack
from harness.real.workers import End, Worker
from harness.scenario import Scenario
from harness.world import Hear, WorldError, refusal_of

T = TypeVar("T")


class RealWorld:
    """One scenario, for real. `logs`: where the processes' logs go; they are kept after the run."""

    mode: Literal["sim", "real"] = "real"

    def __init__(self, scenario: Scenario, seed: int, logs: Path) -> None:
        self._scenario = scenario
        self._logs = logs
        self._zero: float | None = None
        self._entries: list[Any] = []  # in absolute time, until history() subtracts the zero
        self._stack = Stack(scenario, seed, logs)
        self._stack.fleet.watcher = self
        self._injected: dict[int, Injector] = {}
        self._times: dict[int, int] = {}
        self._scene = Scene(self._stack, time.monotonic, self._entries.append, lambda index: self._times.get(index, 0))
        self._load = Load(scenario, seed, self._stack.folder, logs)
        self._hear: Hear | None = None
        self._following: set[asyncio.Task[None]] = set()
        self._stopped = False

    def refuses(self, fault: Fault) -> str | None:
        """Whether a fault cannot be done for real, and why."""
        return refusal_of(fault, "real", MAKERS)

    def execute(self, drive: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run `drive` on an event loop of its own. Ctrl-C and SIGTERM cancel it, so that it stops the world first."""
        try:
            return Interruptible(lambda: self._stopped).run(lambda: self._executed(drive))
        finally:
            self._stack.discard()

    async def _executed(self, drive: Callable[[], Coroutine[Any, Any, T]]) -> T:
        try:
            return await drive()
        finally:
            await self.stop()

    def now(self) -> float:
        """Seconds since the run began; during start-up, negative and without meaning but their order."""
        return time.monotonic() - self._zero if self._zero is not None else -1.0

    def record(self, entry: Happening) -> None:
        """Take a happening that is stamped with `now()`."""
        t = entry.t + self._zero if self._zero is not None else time.monotonic()
        self._entries.append(msgspec.structs.replace(entry, t=t))
        self.heard(cast("Entry", entry), t)

    def listen(self, hear: Hear) -> None:
        """Tell `hear` of everything, as soon as it is read."""
        self._hear = hear

    def heard(self, entry: Entry, t: float) -> None:
        """Something happened at `t` of the host's clock: a worker's journal says so, or the harness did it."""
        if self._hear is not None:
            self._hear(entry, t - self._zero if self._zero is not None else -1.0)

    async def start(self) -> None:
        """Start everything; the run's zero is when every worker is ready and the load waits for its go."""
        try:
            async with asyncio.TaskGroup() as parts:
                parts.create_task(self._stack.start())
                parts.create_task(self._load.start(lambda: self._stack.fleet.hosts))
        except BaseExceptionGroup as broken:
            raise broken.exceptions[0] from None
        await self._load.ready()
        self._zero = time.monotonic()

    def check(self) -> None:
        """Raise WorldError when something has ended that no fault was to end."""
        self._stack.check()
        self._load.check()
        for task in [task for task in self._following if task.done()]:
            self._following.discard(task)
            task.result()

    async def start_load(self) -> None:
        """Say go."""
        await sample(self._scene)
        self._load.go(self._zero or time.monotonic())

    async def inject(self, index: int, places: tuple[Place, ...]) -> tuple[str, ...]:
        """Put a fault in effect; on what. One that is repeated leaves its evidence first."""
        if index in self._injected:
            await self._evidence(index)
        self._times[index] = self._times.get(index, -1) + 1
        self._injected[index] = injector(self._scene, index, places)
        return await self._injected[index].inject()

    async def heal(self, index: int) -> None:
        """Record what the fault has changed, and end it."""
        await self._evidence(index)
        await self._injected.pop(index).heal()

    async def finish_load(self, timeout_s: float) -> None:
        """Await the last answers; then what the faults that nothing healed have changed."""
        await self._load.finish(timeout_s, self.check)
        for index in list(self._injected):
            await self._evidence(index)
        await sample(self._scene)

    async def stop(self) -> None:
        """Stop everything, once, and read what every process wrote; what fails does not keep the rest running."""
        if self._stopped:
            return
        self._stopped = True
        for task in self._following:
            task.cancel()
        try:
            async with AsyncExitStack() as rest:
                rest.callback(self._collect)
                rest.push_async_callback(self._stack.stop)
                await self._load.stop()
        except HistoryError as torn:
            raise WorldError(f"a process of the run wrote what cannot be read: {torn}") from torn

    def history(self) -> History:
        """All that happened, in seconds since the run began; of one that never began, in seconds before its end."""
        zero = self._zero if self._zero is not None else max((entry.t for entry in self._entries), default=0.0)
        return History.of([_since(zero, entry) for entry in self._entries])

    def worker_up(self, worker: Worker) -> None:
        """A worker appeared: it goes into the history, and under the faults that its place is under."""
        instance, slot = worker.place
        up = WorkerUp(t=worker.up_at, worker=worker.name, instance=instance, slot=slot, generation=worker.generation)
        self._entries.append(up)
        self.heard(up, up.t)
        for wire in [i for i in self._injected.values() if isinstance(i, Wire | Swizzle)]:
            task = asyncio.create_task(wire.follow())
            self._following.add(task)

    def worker_down(self, worker: Worker, how: End, at: float) -> None:
        """A worker is gone."""
        if not self._stopped:
            down = WorkerDown(t=at, worker=worker.name, how=how)
            self._entries.append(down)
            self.heard(down, at)

    async def _evidence(self, index: int) -> None:
        effect = await self._injected[index].effect()
        if effect.count > 0:
            at, nth = time.monotonic(), self._times[index]
            self._entries.append(FaultEffect(t=at, fault=index, what=effect.what, count=effect.count, time=nth))

    def _collect(self) -> None:
        self._entries += [*self._stack.entries(), *self._load.entries()]


def _since(zero: float, entry: Any) -> Any:
    """An entry in seconds since the run began."""
    if isinstance(entry, RequestSent):
        return msgspec.structs.replace(entry, t=entry.t - zero, intended=entry.intended - zero)
    if isinstance(entry, ProviderServed):
        return msgspec.structs.replace(entry, t=entry.t - zero, began=entry.began - zero)
    return msgspec.structs.replace(entry, t=entry.t - zero)
