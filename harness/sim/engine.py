"""The simulation's one clock and one queue: a simpy Environment, and the only place that imports simpy.

Rules
-----
* Whatever waits in simulated time is an entry of simpy's own queue: simpy processes, loop ticks, timers, segments.
  Entries of one moment run in the order in which they were put.
* An entry is anything with simpy's two members of an event, `callbacks` and `_ok`. Ours are small and may be put again
  after they ran, which is what makes a hop of a simulated loop cost about as much as one of simpy's timeouts.
* A run is bounded in time and in entries, so that nothing hangs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from typing import Any, ClassVar, Protocol

import simpy
from simpy.events import NORMAL


class Stuck(RuntimeError):
    """A simulation that would not end: out of entries, of simulated time, or of patience."""


class Entry(Protocol):
    """Something that waits in the queue: `callbacks` are called with it when its time has come."""

    callbacks: Iterable[Callable[[Any], object]] | None
    _ok: ClassVar[bool]  # simpy: not a failed event


class Call:
    """A function to be called once, at its time, unless cancelled before."""

    __slots__ = ("args", "callbacks", "fn")
    _ok: ClassVar[bool] = True

    def __init__(self, fn: Callable[..., object], args: tuple[object, ...]) -> None:
        self.callbacks: Iterable[Callable[[Any], object]] | None = _CALL
        self.fn: Callable[..., object] | None = fn
        self.args = args

    def cancel(self) -> None:
        """Do not call it."""
        self.fn = None
        self.args = ()


def _call(call: Call) -> None:
    if call.fn is not None:
        call.fn(*call.args)


_CALL = (_call,)


class Engine(simpy.Environment):
    """simpy's Environment with plain calls besides processes. `now`: simulated seconds.

    running  the loop that asyncio takes for the running one: the last that ran, until time stands again
    """

    def __init__(self) -> None:
        super().__init__(0.0)
        self.running: object = None
        self._stopping = False

    def put(self, when: float, entry: Entry) -> None:
        """Let `entry` run at `when` (never before now). It must carry its callbacks."""
        heappush(self._queue, (when if when > self._now else self._now, NORMAL, next(self._eid), entry))  # type: ignore[misc]  # an Entry is all of an Event that a queue needs

    def call_at(self, when: float, fn: Callable[..., object], *args: object) -> Call:
        """Call `fn(*args)` at `when`."""
        call = Call(fn, args)
        self.put(when, call)
        return call

    def call_later(self, delay_s: float, fn: Callable[..., object], *args: object) -> Call:
        """Call `fn(*args)` in `delay_s` seconds."""
        return self.call_at(self._now + delay_s, fn, *args)

    def waiting(self) -> list[Entry]:
        """All that is in the queue, in its order."""
        return [entry for *_, entry in sorted(self._queue, key=lambda item: item[:3])]  # type: ignore[misc]  # as in `put`

    def stop(self) -> None:
        """Make `advance` return after the present entry."""
        self._stopping = True

    def advance(self, *, steps: int, horizon_s: float) -> bool:
        """Run `steps` entries, or fewer if `stop()` is called: whether it was. Stuck if time would pass `horizon_s`."""
        self._stopping = False
        queue = self._queue
        for _ in range(steps):
            if not queue or queue[0][0] > horizon_s:
                raise Stuck(f"the simulation has not ended at {self._now:.3f} s, and nothing is left to happen in time")
            self._now, _, _, entry = heappop(queue)
            callbacks, entry.callbacks = entry.callbacks, None  # type: ignore[assignment]  # as simpy's own step does
            for callback in callbacks:
                callback(entry)
            if not entry._ok and not hasattr(entry, "_defused"):
                raise entry._value  # a failed simpy event that nobody awaited: as simpy's own step does
            if self._stopping:
                return True
        return False
