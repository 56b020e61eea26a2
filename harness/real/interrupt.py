"""A run that Ctrl-C and SIGTERM cancel, once, so that it stops what it started.

A second one, and one that comes while it is being stopped anyway, is remembered but stops nothing: the stopping is
bounded, and cut short it would leave processes behind.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruptible:
    """Runs one coroutine on an event loop of its own. `stopping`: whether it has begun to stop what it started."""

    def __init__(self, stopping: Callable[[], bool]) -> None:
        self._stopping = stopping
        self._interrupted = False

    def run(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run it to its end; KeyboardInterrupt, after that end, if it was interrupted."""
        try:
            done = asyncio.run(self._run(main))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        if self._interrupted:
            raise KeyboardInterrupt
        return done

    async def _run(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._interrupt, task)
        try:
            return await main()
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def _interrupt(self, task: asyncio.Task[Any] | None) -> None:
        if task is not None and not self._interrupted and not self._stopping():
            task.cancel()
        self._interrupted = True
