"""The fleet under test: real uvicorn instances, each with its worker processes, told apart by place.

A worker is known by its journal (`flexiai.journal`): it appears when its first event does, and its place is the
instance whose process is its parent, with the lowest slot of that instance that is free. uvicorn itself starts
another worker in place of one that died.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import psutil

from flexiai.events import WorkerReady, WorkerStarted
from harness.faults import Place
from harness.history import Entry, decode_line
from harness.real.child import Children
from harness.real.ports import HeldPort
from harness.scenario import Topology
from harness.world import WorldError

READY_TIMEOUT_S = 120.0
POLL_S = 0.02
WATCH_S = 0.05


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process. `name` is the identity its events carry; `up_at` on the host's monotonic clock."""

    name: str
    pid: int
    place: Place
    generation: int
    up_at: float
    ready: bool = False


class Journals:
    """Reads workers' journals as they grow: each line once, whole lines only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[Path, int] = {}

    def fresh(self) -> Iterator[tuple[int, Entry]]:
        """(pid, entry) of every line written since the last call."""
        for path in sorted(self.folder.glob("*.jsonl")):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._read[path] = self._read.get(path, 0) + len(line)
                    if line.strip():
                        yield int(path.stem), decode_line(line, str(path))


End = Literal["killed", "terminated", "died"]


class Watcher(Protocol):
    """Who is told of workers that appear and end; times are on the host's monotonic clock."""

    def heard(self, entry: Entry, t: float) -> None:
        """A worker's journal says what happened, and when."""
        ...

    def worker_up(self, worker: Worker) -> None:
        """A worker process began to live."""
        ...

    def worker_down(self, worker: Worker, how: End, at: float) -> None:
        """A worker process is gone."""
        ...


class Fleet:
    """The instances and their workers."""

    def __init__(
        self,
        topology: Topology,
        folder: Path,
        children: Children,
        *,
        app: str = "flexiai.app:app",
        late: frozenset[int] = frozenset(),
    ) -> None:
        """`app`: what the workers serve; `late`: instances that a fault starts."""
        self.late = late
        self._app = app
        self._env: Mapping[str, str] = {}
        self._ports: dict[int, int] = {}
        self._held: dict[int, HeldPort] = {}
        self.instances = topology.instances
        self.workers_each = topology.workers
        self.hosts: tuple[str, ...] = ()
        self.entries: list[Entry] = []
        self.watcher: Watcher | None = None
        self.folder = folder
        self._all = children
        self._journals = Journals(folder)
        self._parents: dict[int, int] = {}
        self._live: dict[Place, Worker] = {}
        self._lives: dict[Place, int] = {}
        self._ending: dict[str, End] = {}
        self._watch_task: asyncio.Task[None] | None = None

    @property
    def live(self) -> Mapping[Place, Worker]:
        """The worker at each place, as far as is known."""
        return self._live

    async def start(self, env: Mapping[str, str]) -> None:
        """Start every instance but the late ones; returns when their workers are ready, or raises WorldError with what
        the log says."""
        self._env = env
        ports = [HeldPort() for _ in range(self.instances)]
        self._ports = {number: port.number for number, port in enumerate(ports, 1)}
        try:
            for number in self._ports:
                if number not in self.late:
                    await self._launch(number)
            self.hosts = tuple(f"http://127.0.0.1:{port.number}" for port in ports)
            self._watch_task = asyncio.create_task(self._watch())
            await self._await_ready()
        finally:
            for number, port in enumerate(ports, 1):
                if number in self.late:
                    self._held[number] = port
                else:
                    port.release()

    async def join(self, instance: int) -> None:
        """Start an instance that was not there from the beginning; returns when its workers are ready."""
        await self._launch(instance)
        self.late = self.late - {instance}
        await self._await_ready()

    async def _launch(self, number: int) -> None:
        command = [sys.executable, "-m", "harness.real.instance"]
        command += [str(self._ports[number]), str(self.workers_each), self._app]
        child = await self._all.spawn(f"instance {number}", command, env=self._env, cwd=self.folder)
        self._parents[child.pid] = number
        if (held := self._held.pop(number, None)) is not None:
            held.release()

    async def _await_ready(self) -> None:
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                while not self._all_ready():
                    self.check()
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            ready = sum(w.ready for w in self._live.values())
            wanted = (self.instances - len(self.late)) * self.workers_each
            raise WorldError(f"only {ready} of {wanted} workers were ready after {READY_TIMEOUT_S:g} s") from None

    def _all_ready(self) -> bool:
        wanted = (self.instances - len(self.late)) * self.workers_each
        return len(self._live) == wanted and all(w.ready for w in self._live.values())

    def check(self) -> None:
        """Raise WorldError if an instance (not merely a worker) has ended, or the watching of workers has."""
        self._all.check()
        if self._watch_task is not None and self._watch_task.done():
            raise WorldError(f"the workers can no longer be watched: {self._watch_task.exception()!r}")

    async def _watch(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(WATCH_S)

    def look(self) -> None:
        """Take in what the journals say, and who has ended."""
        for pid, entry in self._journals.fresh():
            self.entries.append(entry)
            if isinstance(entry, WorkerStarted):
                self._appear(pid, entry)
            elif isinstance(entry, WorkerReady):
                self._become_ready(entry)
            if self.watcher is not None:
                self.watcher.heard(entry, entry.t)
        for worker in [w for w in self._live.values() if not _running(w.pid)]:
            self._end(worker, time.monotonic())

    def _appear(self, pid: int, started: WorkerStarted) -> None:
        instance = self._instance_of(pid)
        for worker in [w for w in self._live.values() if w.place[0] == instance and not _running(w.pid)]:
            self._end(worker, started.t)
        slots = range(1, self.workers_each + 1)
        place = next((instance, s) for s in slots if (instance, s) not in self._live)
        self._lives[place] = self._lives.get(place, -1) + 1
        self._live[place] = Worker(started.worker, pid, place, self._lives[place], started.t)
        if self.watcher is not None:
            self.watcher.worker_up(self._live[place])

    def _end(self, worker: Worker, at: float) -> None:
        del self._live[worker.place]
        if self.watcher is not None:
            self.watcher.worker_down(worker, self._ending.get(worker.name, "died"), at)

    def _instance_of(self, pid: int) -> int:
        try:
            return self._parents[psutil.Process(pid).ppid()]
        except (psutil.NoSuchProcess, KeyError):  # gone again already: it was one of an instance that lacks a worker
            lacking = (i for i in range(1, self.instances + 1) if self._count(i) < self.workers_each)
            return next(lacking, 1)

    def _count(self, instance: int) -> int:
        return sum(place[0] == instance for place in self._live)

    def _become_ready(self, entry: WorkerReady) -> None:
        for place, worker in self._live.items():
            if worker.name == entry.worker:
                self._live[place] = replace(worker, ready=True)

    def expect_end(self, worker: Worker, how: End) -> None:
        """A fault is about to end this worker: it will not have died by itself."""
        self._ending[worker.name] = how

    def send(self, worker: Worker, number: signal.Signals) -> None:
        """Send a signal to one worker."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, number)

    async def gone(self, worker: Worker, timeout_s: float) -> bool:
        """Whether a worker's process ended within `timeout_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while _running(worker.pid):  # noqa: ASYNC110 - the end of somebody else's child is no event of ours
                    await asyncio.sleep(POLL_S / 4)
                return True
        return False

    async def stop(self) -> None:
        """End every instance in good order, its workers with it, and read their journals to the end."""
        if self._watch_task is not None:
            self._watch_task.cancel()
            await asyncio.wait([self._watch_task])
        for held in self._held.values():
            held.release()
        await self._all.stop(grace_s=15.0)
        self.entries.extend(entry for _, entry in self._journals.fresh())


def _running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
