"""A limit on a wait that does not take our own standstill for the other side's silence.

Rules
-----
* A limit is over when the loop comes to say so. If the loop comes STOOD_STILL_S late or more, it stood still, and what
  has arrived meanwhile lies unread: the wait has so long again, once, and at most as long as it was meant to be.
* A loop that stands still before the limit is over needs no such rule: it reads first, and comes to the limit later.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

STOOD_STILL_S = 0.01
"""Timers of a healthy loop are late by less, however busy it is."""


class Limit:
    """`async with Limit(within_s)`: as `asyncio.timeout`, TimeoutError included."""

    __slots__ = ("_due", "_extended", "_loop", "_timeout", "_timer", "_within_s")

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._timeout = asyncio.timeout(None)
        self._extended = False

    async def __aenter__(self) -> Limit:
        await self._timeout.__aenter__()
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + self._within_s
        self._timer = self._loop.call_at(self._due, self._come)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def expired(self) -> bool:
        """Whether the wait was ended by the limit."""
        return self._timeout.expired()

    def _come(self) -> None:
        now = self._loop.time()
        late_s = now - self._due
        if late_s < STOOD_STILL_S or self._extended:
            self._timeout.reschedule(now)
            return
        self._extended = True
        self._due = now + min(late_s, self._within_s)
        self._timer = self._loop.call_at(self._due, self._come)
