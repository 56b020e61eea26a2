"""The load of a run: a Locust process that is told what to do by a plan and when to begin by a file (`load`)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from harness.history import Entry, RequestDone, RequestSent, decode_line
from harness.real.child import Child, Children, Silent
from harness.real.load import Plan
from harness.scenario import Scenario
from harness.world import WorldError

READY_S = 60.0


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
        await self._running.said("READY", READY_S)

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
        """Await the end of every request, at most `timeout_s`; WorldError if Locust ended before it was done."""
        with contextlib.suppress(Silent):  # some requests are open still: they get their end in `entries`
            await self._running.said("DONE", timeout_s)
        self._done = True
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
