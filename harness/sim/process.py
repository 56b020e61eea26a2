"""A simulated process: an event loop on a host, which can be killed, frozen, woken, and asked to end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Literal

from harness.sim.engine import Call, Engine
from harness.sim.loop import SimLoop, Trouble
from harness.sim.network import Network

How = Literal["killed", "terminated", "died"]


class SimProcess:
    """A process on `host`. `on_end` is called once, when it has ended, with how; its kernel has then closed its
    sockets. `trouble` takes what nobody observed: exceptions, and tasks left behind by an end in good order."""

    def __init__(
        self,
        engine: Engine,
        network: Network,
        host: str,
        pid: int,
        *,
        callback_cost_s: float,
        trouble: Trouble,
        on_end: Callable[[How], None],
    ) -> None:
        self.host = host
        self.pid = pid
        self.paused = False
        self.ended = False
        self.loop = SimLoop(engine, network, host, callback_cost_s=callback_cost_s, trouble=trouble)
        self._engine = engine
        self._network = network
        self._trouble = trouble
        self._on_end = on_end
        self._main: asyncio.Task[None] | None = None
        self._deadline: Call | None = None

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Begin with `main`; if it fails, the process dies of it. It may end: the process lives on."""
        self._main = self.loop.create_task(main)
        self._main.add_done_callback(self._main_ended)

    def kill(self) -> None:
        """SIGKILL: not another instruction runs."""
        self._end("killed")

    def pause(self) -> None:
        """SIGSTOP: nothing runs; the kernel goes on taking bytes."""
        if not self.ended:
            self.paused = True
            self.loop.freeze()

    def resume(self) -> None:
        """SIGCONT: what came meanwhile is taken, and timers are late."""
        if not self.ended:
            self.paused = False
            self.loop.thaw()

    def terminate(self, shutdown: Coroutine[Any, Any, None], grace_s: float) -> None:
        """SIGTERM: run the process's own way to end; killed if that takes longer than `grace_s`."""
        task = self.loop.create_task(shutdown)
        task.add_done_callback(self._shut_down)
        self._deadline = self._engine.call_later(grace_s, self.kill)

    def bury(self) -> None:
        """Let go of what it left, once the simulation is over."""
        self.loop.bury()

    def _main_ended(self, main: asyncio.Task[None]) -> None:
        if not main.cancelled() and (error := main.exception()) is not None:
            self._trouble("the process died", error)
            self._engine.call_later(0.0, self._end, "died")

    def _shut_down(self, shutdown: asyncio.Task[None]) -> None:
        if not shutdown.cancelled() and (error := shutdown.exception()) is not None:
            self._trouble("the shutdown failed", error)
        self._engine.call_later(0.0, self._end, "terminated")

    def _end(self, how: How) -> None:
        if self.ended:
            return
        self.ended = True
        if self._deadline is not None:
            self._deadline.cancel()
        if how == "terminated":
            self._tell_of_tasks_left()
        self.loop.die()
        self._network.crash(self.host)
        self._on_end(how)

    def _tell_of_tasks_left(self) -> None:
        for name in sorted(_what_it_runs(task) for task in self.loop.tasks()):
            self._trouble(f"a task was left behind at the end: {name}", None)


def _what_it_runs(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", "a task")
