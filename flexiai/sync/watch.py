"""A task that must not die unnoticed: what it died of is told, and it is started again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from flexiai.sync.backoff import Backoff

ASK_AGAIN_S = 0.1
Work = Callable[[], Coroutine[Any, Any, None]]


class Watched:
    """Work that never ends by itself. If it does, `died` hears why, and after a backoff it begins anew (`revived`)."""

    def __init__(
        self,
        name: str,
        work: Work,
        backoff: Backoff,
        *,
        died: Callable[[str], None],
        revived: Callable[[str], None] = lambda why: None,
    ) -> None:
        self._name = name
        self._work = work
        self._backoff = backoff
        self._died = died
        self._revived = revived
        self._worker: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The task that does the work; None before it began."""
        return self._worker

    @property
    def alive(self) -> bool:
        """Whether the work is being done."""
        return self._worker is not None and not self._worker.done()

    def start(self) -> None:
        """Begin the work, and the watch over it."""
        self._begin()
        self._watcher = asyncio.create_task(self._watch(), name=f"{self._name}-watch")

    async def stop(self) -> None:
        """End both; returns when they have ended. Asks more than once: a library may lose a cancellation."""
        if self._watcher is not None:
            await end(self._watcher)
        if self._worker is not None:
            await end(self._worker)

    def _begin(self) -> asyncio.Task[None]:
        self._worker = asyncio.create_task(self._work(), name=self._name)
        return self._worker

    async def _watch(self) -> None:
        while self._worker is not None:
            await asyncio.wait({self._worker})
            why = _why(self._worker)
            self._died(why)
            await asyncio.sleep(self._backoff.next())
            self._begin()
            self._revived(why)


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task until it has ended; asks more than once, since a library may lose a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=ASK_AGAIN_S)
    if not task.cancelled():
        task.exception()  # retrieved, so that the loop does not complain of it


def _why(task: asyncio.Task[None]) -> str:
    if task.cancelled():
        return "it was cancelled"
    error = task.exception()
    return "it returned" if error is None else f"{type(error).__name__}: {error}"
