"""A limit on a wait that does not take our own standstill for the other side's silence.

Rules
-----
* Our own loop looks at the clock TURNS times while it waits. Where it comes STOOD_STILL_S late or more, it stood still:
  what was to be sent meanwhile has not been sent, and what has arrived lies unread. The wait is longer by what was
  lost: by how late the loop came, and by as much again for what it lost before, at most the time between two looks.
* A wait becomes at most twice as long as it was meant to be (but is over only when the loop comes to say so).
"""

from __future__ import annotations

import asyncio
from types import TracebackType

TURNS = 8
STOOD_STILL_S = 0.01
"""Timers of a healthy loop are late by less, however busy it is."""


class Limit:
    """`async with Limit(within_s)`: as `asyncio.timeout`, TimeoutError included."""

    __slots__ = ("_due", "_latest", "_look_at", "_loop", "_timeout", "_timer", "_turn_s", "_within_s")

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._turn_s = within_s / TURNS
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> Limit:
        await self._timeout.__aenter__()
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._due = now + self._within_s
        self._latest = self._due + self._within_s
        self._look_later(now)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def expired(self) -> bool:
        """Whether the wait was ended by the limit."""
        return self._timeout.expired()

    def _look_later(self, now: float) -> None:
        self._look_at = min(now + self._turn_s, self._due)
        self._timer = self._loop.call_at(self._look_at, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        late_s = now - self._look_at
        if late_s >= STOOD_STILL_S:
            self._due = min(self._due + late_s + min(late_s, self._turn_s), self._latest)
        if now >= self._due:
            self._timeout.reschedule(now)
        else:
            self._look_later(now)
