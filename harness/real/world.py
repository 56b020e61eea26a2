"""The real world: real Redis, real providers, real uvicorn workers, real load, and faults by signal, control and wire.

Every process of a run is a child of the harness; everything lives on loopback, on free ports, in one temporary
directory. All clocks are the host's CLOCK_MONOTONIC, so that times of different processes compare.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from harness.faults import Fault
from harness.history import (
    Entry,
    FaultEffect,
    Happening,
    History,
    ProviderServed,
    RequestDone,
    RequestSent,
    WorkerDown,
    WorkerUp,
    decode_line,
)
from harness.real.child import Child, Children
from harness.real.injectors import Injector, Scene, Wire, injector, sample
from harness.real.load import Plan
from harness.real.stack import Stack
from harness.real.workers import End, Worker
from harness.scenario import Scenario
from harness.world import WorldError

T = TypeVar("T")
LOCUST_READY_S = 60.0


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
        self._scene = Scene(self._stack, time.monotonic, self._entries.append)
        self._injected: dict[int, Injector] = {}
        self._load = Load(scenario, seed, self._stack.folder, logs)
        self._following: set[asyncio.Task[None]] = set()
        self._stopped = False

    def refuses(self, fault: Fault) -> str | None:
        """Nothing of today's vocabulary is impossible for real."""
        return None

    def execute(self, drive: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run `drive` on an event loop of its own. Ctrl-C and SIGTERM cancel it, so that it stops the world first."""
        return asyncio.run(self._executed(drive))

    async def _executed(self, drive: Callable[[], Coroutine[Any, Any, T]]) -> T:
        task = asyncio.ensure_future(drive())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        try:
            return await task
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def now(self) -> float:
        """Seconds since the run began; during start-up, negative and without meaning but their order."""
        return time.monotonic() - self._zero if self._zero is not None else -1.0

    def record(self, entry: Happening) -> None:
        """Take a happening that is stamped with `now()`."""
        self._entries.append(msgspec.structs.replace(entry, t=entry.t + (self._zero or 0.0)))

    async def start(self) -> None:
        """Start everything; the run's zero is when every worker is ready and the load waits for its go."""
        await asyncio.gather(self._stack.start(), self._load.start(lambda: self._stack.fleet.hosts))
        await self._load.ready()
        self._zero = time.monotonic()

    def check(self) -> None:
        """Raise WorldError when something has ended that no fault was to end."""
        self._stack.check()
        self._load.check()

    async def start_load(self) -> None:
        """Say go."""
        await sample(self._scene)
        self._load.go(self._zero or time.monotonic())

    async def inject(self, index: int) -> tuple[str, ...]:
        """Put a fault in effect; on what."""
        self._injected[index] = injector(self._scene, index)
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
        """Stop everything, once; nothing is left behind."""
        if self._stopped:
            return
        self._stopped = True
        for task in self._following:
            task.cancel()
        await self._load.stop()
        await self._stack.stop()
        self._collect()

    def history(self) -> History:
        """All that happened, in seconds since the run began."""
        zero = self._zero if self._zero is not None else time.monotonic()
        return History.of([_since(zero, entry) for entry in self._entries])

    def worker_up(self, worker: Worker) -> None:
        """A worker appeared: it goes into the history, and under the faults that its place is under."""
        instance, slot = worker.place
        self._entries.append(
            WorkerUp(t=worker.up_at, worker=worker.name, instance=instance, slot=slot, generation=worker.generation)
        )
        for wire in [i for i in self._injected.values() if isinstance(i, Wire)]:
            task = asyncio.create_task(wire.follow())
            self._following.add(task)
            task.add_done_callback(self._following.discard)

    def worker_down(self, worker: Worker, how: End, at: float) -> None:
        """A worker is gone."""
        if not self._stopped:
            self._entries.append(WorkerDown(t=at, worker=worker.name, how=how))

    async def _evidence(self, index: int) -> None:
        effect = await self._injected[index].effect()
        if effect.count > 0:
            self._entries.append(FaultEffect(t=time.monotonic(), fault=index, what=effect.what, count=effect.count))

    def _collect(self) -> None:
        """Read what every process wrote, then remove it."""
        try:
            self._entries += [*self._stack.entries(), *self._load.entries()]
        finally:
            self._stack.discard()


class Load:
    """The Locust process of a run."""

    def __init__(self, scenario: Scenario, seed: int, folder: Path, logs: Path) -> None:
        self._scenario = scenario
        self._seed = seed
        self._journal = folder / "load.jsonl"
        self._go = folder / "go"
        self._plan = folder / "plan.json"
        self._children = Children(logs)
        self._child: Child | None = None
        self._done = False

    async def start(self, hosts: Callable[[], tuple[str, ...]]) -> None:
        """Start Locust once the fleet's addresses are known; it then waits for its go."""
        while not hosts():  # noqa: ASYNC110 - bounded by the fleet's own start, beside which this runs
            await asyncio.sleep(0.05)
        Plan(self._scenario, self._seed, hosts(), self._journal, self._go).write(self._plan)
        locustfile = Path(__file__).with_name("locustfile.py")
        options = ["--headless", "--users", "1", "--spawn-rate", "1", "--host", hosts()[0], "--loglevel", "WARNING"]
        command = [sys.executable, "-m", "locust", "-f", str(locustfile), "--only-summary", *options]
        env = {**os.environ, "HARNESS_PLAN": str(self._plan)}
        self._child = await self._children.spawn("load", command, env=env, cwd=self._plan.parent)

    async def ready(self) -> None:
        """Locust is up and waits."""
        await self._running.said("READY", LOCUST_READY_S)

    def go(self, zero: float) -> None:
        """Let it begin: the file appears whole."""
        fresh = self._go.with_suffix(".new")
        fresh.write_text(repr(zero))
        fresh.rename(self._go)

    def check(self) -> None:
        """Raise WorldError if Locust ended before the load did."""
        if not self._done:
            self._children.check()

    async def finish(self, timeout_s: float, check: Callable[[], None]) -> None:
        """Await the end of every request, at most `timeout_s`."""
        self._done = True
        with contextlib.suppress(WorldError):
            await self._running.said("DONE", timeout_s)
        check()

    async def stop(self) -> None:
        """End Locust."""
        await self._children.stop()

    def entries(self) -> list[Entry]:
        """What was sent and what came back; a request without an end gets one that says that nobody knows."""
        if not self._journal.exists():
            return []
        lines = self._journal.read_bytes().splitlines()
        entries = [decode_line(line, f"{self._journal}:{n}") for n, line in enumerate(lines, 1)]
        ended = {e.request for e in entries if isinstance(e, RequestDone)}
        lost = [e for e in entries if isinstance(e, RequestSent) and e.request not in ended]
        now = time.monotonic()
        return entries + [RequestDone(t=now, request=e.request, result="info", error="run ended") for e in lost]

    @property
    def _running(self) -> Child:
        if self._child is None:
            raise WorldError("the load was not started")
        return self._child


def _since(zero: float, entry: Any) -> Any:
    """An entry in seconds since the run began."""
    if isinstance(entry, RequestSent):
        return msgspec.structs.replace(entry, t=entry.t - zero, intended=entry.intended - zero)
    if isinstance(entry, ProviderServed):
        return msgspec.structs.replace(entry, t=entry.t - zero, began=entry.began - zero)
    return msgspec.structs.replace(entry, t=entry.t - zero)
