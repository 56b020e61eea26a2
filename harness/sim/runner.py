"""Runs coroutines to their ends in simulated time."""

from __future__ import annotations

import asyncio
import gc
from asyncio.events import _set_running_loop
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from harness.sim.afterlife import generators_of_loops
from harness.sim.engine import Stuck
from harness.sim.loop import SimLoop

T = TypeVar("T")

_STEPS = 500_000  # between collections of garbage


def simulate(loop: SimLoop, main: Coroutine[Any, Any, T], *, horizon_s: float = 1e6, max_steps: int = 10**9) -> T:
    """The result of `main`, run on `loop`, in a simulation that is over then."""
    with simulation():
        return run_until(loop, main, horizon_s=horizon_s, max_steps=max_steps)


@contextmanager
def simulation() -> Iterator[None]:
    """While it lasts, time may be simulated: `run_until`, any number of times."""
    with generators_of_loops(), _garbage_at_set_times(), _tasks_unlisted():
        yield


def run_until(loop: SimLoop, main: Coroutine[Any, Any, T], *, horizon_s: float, max_steps: int) -> T:
    """The result of `main`, run on `loop`; whatever else is in the engine's queue runs with it.

    Stuck if it has not ended by `horizon_s` (simulated) or after about `max_steps` entries of the queue.
    """
    engine = loop.engine
    task = loop.create_task(main)
    task.add_done_callback(lambda _: engine.stop())
    try:
        for _ in range(0, max_steps, _STEPS):
            if engine.advance(steps=_STEPS, horizon_s=horizon_s):
                return task.result()
            gc.collect()
    finally:
        engine.running = None
        _set_running_loop(None)
    raise Stuck(f"the simulation has not ended at {engine.now:.3f} s, after {max_steps} steps")


@contextmanager
def _garbage_at_set_times() -> Iterator[None]:
    """Garbage is collected when the simulation says so: what is reported of dropped tasks must not depend on when
    Python happens to count enough objects. Nothing is frozen: with a frozen world its garbage would never be found."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _tasks_unlisted() -> Iterator[None]:
    """asyncio lists the tasks of all loops, and Python 3.11 takes as long for that as for making one: a simulated loop
    knows its own. Those of other threads' loops are listed as ever."""
    everywhere = getattr(asyncio.tasks, "_all_tasks", None)
    if everywhere is None:
        yield  # a later Python, which does it in C
        return
    listed = everywhere.add
    everywhere.add = lambda task: None if type(task._loop) is SimLoop else listed(task)
    try:
        yield
    finally:
        del everywhere.add
