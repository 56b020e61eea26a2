"""An asyncio event loop whose clock and scheduler is the simulation's engine: one per simulated process.

Rules
-----
* Callbacks run in the order in which they became ready; a tick runs those that were ready when it began, as asyncio's.
* A callback takes `callback_cost_s` of the process's CPU: after a tick of n callbacks the loop is busy for n times
  that, and what becomes ready meanwhile waits. Event-loop lag exists.
* A timer is one entry of the engine's queue; a cancelled one stays there, empty, until its time.
* A frozen loop (SIGSTOP) runs nothing. When it goes on it takes what came from outside first and then the timers that
  are overdue, as a selector loop does.
* A dead loop (SIGKILL) never runs anything again. Its tasks are kept until `bury()`.
"""

from __future__ import annotations

import asyncio
from asyncio.events import _set_running_loop
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple
from weakref import ref

from harness.sim.afterlife import lay_to_rest
from harness.sim.dialing import Streams
from harness.sim.engine import Engine
from harness.sim.handles import Handle, Tick, Timer
from harness.sim.network import Network
from harness.sim.refusals import NotSimulated

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Trouble = Callable[[str, BaseException | None], None]
"""Takes what nobody observed: a message, and the exception if there is one."""


_CLOCK_S = 1e-6


class SimLoop(Streams):
    """The event loop of one simulated process, on a host of the simulated network.

    trouble         takes exceptions that nobody observed; without it they end the simulation
    clock           this process's own clock: `rate` of the engine's seconds, and `offset_s`
    waited          what came while it was frozen, in all
    """

    def __init__(
        self,
        engine: Engine,
        network: Network,
        host: str,
        *,
        callback_cost_s: float = 20e-6,
        trouble: Trouble | None = None,
    ) -> None:
        self.engine = engine
        self.network = network
        self.host = host
        self.callback_cost_s = callback_cost_s
        self.clock_offset_s = 0.0
        self.clock_rate = 1.0
        self._ran_early: set[Timer] = set()
        self.dead = False
        self._trouble = trouble
        self._ready: deque[Handle | Timer] = deque()
        self._overdue: list[Timer] = []
        self._frozen = False
        self._missed = False  # a tick came while frozen
        self.waited = 0  # what came while frozen, in all
        self._armed = False  # a tick is queued, or runs
        self._busy_until = 0.0
        self._tick = Tick()
        self._on_tick = (self._run_tick,)
        self._tasks_made = 0
        self._tasks: list[ref[asyncio.Task[Any]]] = []
        self._tasks_seen = 64  # look through them when there are twice as many
        self._remains: list[asyncio.Task[Any]] = []

    # -- callbacks and timers

    def time(self) -> float:
        """This process's clock, in seconds."""
        return self.engine._now * self.clock_rate + self.clock_offset_s

    def call_soon(self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None) -> Handle:
        handle = Handle(callback, args, context)
        self._ready.append(handle)
        if not self._armed:
            self._arm()
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> Timer:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> Timer:
        timer = Timer(when, callback, args, self, context)
        self.engine.put((when - self.clock_offset_s) / self.clock_rate, timer)
        return timer

    def set_clock(self, *, ahead_s: float = 0.0, rate: float | None = None) -> int:
        """Set this process's clock ahead (or back), and let it run faster or slower; how many timers that moves."""
        self.clock_offset_s += ahead_s
        if rate is not None:
            self.clock_offset_s += self.engine.now * (self.clock_rate - rate)
            self.clock_rate = rate
        timers = [t for t in self.engine.waiting() if isinstance(t, Timer) and t._loop is self and not t._cancelled]
        for timer in timers:
            self.engine.call_at((timer._when - self.clock_offset_s) / self.clock_rate, self._perhaps_early, timer)
        return len(timers)

    def _perhaps_early(self, timer: Timer) -> None:
        """The time of a timer that was set before the clock was has come, if it has not run already."""
        if (
            not timer._cancelled
            and timer.callbacks is not None
            and timer not in self._ran_early
            and self._is_due(timer)
        ):
            self._ran_early.add(timer)
            self._run_timer(timer)

    def _is_due(self, timer: Timer) -> bool:
        return timer._when - self.time() <= _CLOCK_S

    def occupy(self, seconds: float) -> None:
        """A callback takes that long: nothing runs meanwhile."""
        self._busy_until = max(self._busy_until, self.engine.now) + seconds

    def happened(self, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Something came from outside (said by the engine, never from within a callback): run it as I/O is run."""
        self._ready.append(Handle(callback, args, None))
        if self._frozen:
            self.waited += 1
        self._run_or_arm()

    def timer_due(self, timer: Timer) -> None:
        """A timer's time has come, unless the clock was set meanwhile."""
        if self._ran_early and timer in self._ran_early:
            self._ran_early.discard(timer)
            return
        if not self._is_due(timer):
            timer.wait_again()
            self.engine.put((timer._when - self.clock_offset_s) / self.clock_rate, timer)
            return
        self._run_timer(timer)

    def _run_timer(self, timer: Timer) -> None:
        if self._frozen:
            self.waited += 1
            self._overdue.append(timer)
        else:
            self._ready.append(timer)
            self._run_or_arm()

    def _run_or_arm(self) -> None:
        if self._armed:
            return
        self._arm() if self._frozen or self._busy_until > self.engine._now else self._run_tick(self._tick)

    def _arm(self) -> None:
        self._armed = True
        self._tick.callbacks = self._on_tick
        self.engine.put(self._busy_until, self._tick)

    def _run_tick(self, _tick: Tick) -> None:
        if self._frozen:
            self._missed = True
            return
        if self._busy_until > self.engine._now:  # it became busy while this waited
            self._arm()
            return
        self._armed = True
        ready = self._ready
        count = len(ready)
        if self.engine.running is not self:
            self.engine.running = self
            _set_running_loop(self)  # a system call: not for every tick
        for _ in range(count):
            handle = ready.popleft()
            if not handle._cancelled:
                try:
                    handle._context.run(handle._callback, *handle._args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:
                    self._report("a callback raised", error)
        self._busy_until = self.engine._now + count * self.callback_cost_s
        self._armed = False
        if ready:
            self._arm()

    # -- tasks and futures

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        self._tasks_made += 1
        task = asyncio.Task(coro, loop=self, name=name or f"{self.host}-{self._tasks_made}", context=context)
        self._tasks.append(ref(task))  # asyncio.all_tasks would look through those of every process
        if len(self._tasks) > 2 * self._tasks_seen:
            self._tasks = [r for r in self._tasks if (known := r()) is not None and not known.done()]
            self._tasks_seen = max(64, len(self._tasks))
        return task

    def get_task_factory(self) -> None:
        return None

    # -- life and death

    def is_running(self) -> bool:
        return not self.dead

    def is_closed(self) -> bool:
        return self.dead

    def close(self) -> None:
        self.die()

    async def shutdown_asyncgens(self) -> None:
        return None

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        return None

    def freeze(self) -> None:
        """SIGSTOP: nothing runs until `thaw`."""
        self._frozen = True

    def thaw(self) -> None:
        """SIGCONT: what waited runs; what came from outside first, overdue timers next."""
        if self.dead:
            return
        self._frozen = False
        self._ready.extend(self._overdue)
        self._overdue.clear()
        if self._missed or (self._ready and not self._armed):
            self._missed = False
            self._arm()

    def tasks(self) -> list[asyncio.Task[Any]]:
        """Its tasks that have not ended, in the order in which they began."""
        return [task for r in self._tasks if (task := r()) is not None and not task.done()]

    def die(self) -> None:
        """SIGKILL: nothing ever runs here again."""
        if not self.dead:
            self.dead = self._frozen = self._armed = True
            self._remains = self.tasks()

    def bury(self) -> None:
        """Let go of what a dead process left suspended, once nobody watches any more."""
        remains = dict.fromkeys((*self._remains, *self.tasks()))  # since it died, a generator's end may have begun some
        self._remains.clear()
        while remains:
            self._tasks.clear()
            lay_to_rest(remains, self)
            remains = dict.fromkeys(self.tasks())  # what their `finally` blocks began; it ends before it has begun
        self._ready.clear()
        self._overdue.clear()

    # -- what nobody observed

    get_debug = staticmethod(bool)  # False, without a frame: asyncio asks it of every future, task and wait

    def set_debug(self, enabled: bool) -> None:
        if enabled:
            raise NotSimulated("a simulated event loop has no debug mode")

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.default_exception_handler(context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self._report(str(context.get("message", "unhandled")), context.get("exception"))

    def _report(self, message: str, error: BaseException | None) -> None:
        if self.dead:
            return
        if self._trouble is None:
            raise error if error is not None else RuntimeError(message)
        self._trouble(message, error)
