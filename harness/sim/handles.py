"""What a simulated loop has in hand: callbacks that are ready, timers, and its own place in the engine's queue.

asyncio's handles, without their debugging: they are made for every hop, so each field is one assignment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextvars import Context, copy_context
from typing import Any, ClassVar, Protocol

Callbacks = Iterable[Callable[[Any], object]] | None


class Clockwork(Protocol):
    """The loop, as its timers know it."""

    def timer_due(self, timer: Timer) -> None:
        """A timer's time has come."""
        ...


class Handle(asyncio.Handle):
    """A callback that is ready."""

    __slots__ = ()
    _callback: Callable[..., object]
    _args: tuple[Any, ...]
    _context: Context

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None) -> None:
        self._callback = callback
        self._args = args
        self._context = copy_context() if context is None else context
        self._cancelled = False

    def cancel(self) -> None:
        """Do not run it."""
        self._cancelled = True
        self._callback = self._args = None  # type: ignore[assignment]  # let go of what they hold, as asyncio does


class Timer(asyncio.TimerHandle):
    """A callback that waits for its time, as an entry of the engine's queue."""

    __slots__ = ("callbacks",)
    _ok: ClassVar[bool] = True
    _callback: Callable[..., object]
    _args: tuple[Any, ...]
    _context: Context
    _loop: Clockwork

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: Clockwork,
        context: Context | None,
    ) -> None:
        self.callbacks: Callbacks = _DUE
        self._when = when
        self._callback = callback
        self._args = args
        self._loop = loop
        self._context = copy_context() if context is None else context
        self._cancelled = False

    def wait_again(self) -> None:
        """It may be put into the queue once more."""
        self.callbacks = _DUE

    def cancel(self) -> None:
        """Do not run it."""
        self._cancelled = True
        self._callback = self._args = self._context = None  # type: ignore[assignment]  # it stays queued: let go of all


def _due(timer: Timer) -> None:
    if not timer._cancelled:
        timer._loop.timer_due(timer)


_DUE = (_due,)


class Tick:
    """A loop's place in the engine's queue."""

    __slots__ = ("callbacks",)
    _ok: ClassVar[bool] = True

    def __init__(self) -> None:
        self.callbacks: Callbacks = None
