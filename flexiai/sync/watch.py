"""A task that must not die unnoticed: what it died of is told, and it is started again.

Most of what a worker does for the fleet it never has to do, so such a task begins when it is first summoned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextvars import copy_context
from typing import Any

from flexiai.sync.backoff import Backoff

ASK_AGAIN_S = 0.1
Work = Callable[[], Coroutine[Any, Any, None]]


class Summons(asyncio.Event):
    """Set when there is something to do. Whoever waits for that need not be there before the first time."""

    def __init__(self) -> None:
        super().__init__()
        self._first: Callable[[], None] | None = None

    def set(self) -> None:
        """There is something to do."""
        super().set()
        if self._first is not None:
            first, self._first = self._first, None
            first()

    def when_first(self, call: Callable[[], None]) -> None:
        """Call when it is set for the first time from now on; at once if it is set."""
        if self.is_set():
            call()
        else:
            self._first = call

    def forget(self) -> None:
        """Call nobody."""
        self._first = None


class Watched:
    """Work that never ends by itself. If it does, `died` hears why, and after a backoff it begins anew (`revived`).

    summons  what the work waits for when it begins: it begins then (None: at once)
    """

    def __init__(
        self,
        name: str,
        work: Work,
        backoff: Backoff,
        *,
        summons: Summons | None = None,
        died: Callable[[str], None],
        revived: Callable[[str], None] = lambda why: None,
    ) -> None:
        self._name = name
        self._work = work
        self._backoff = backoff
        self._summons = summons
        self._died = died
        self._revived = revived
        self._worker: asyncio.Task[None] | None = None
        self._next: asyncio.TimerHandle | None = None  # when it begins anew
        self._stopped = False
        self._context = copy_context()

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The task that does the work; None before it began."""
        return self._worker

    @property
    def alive(self) -> bool:
        """Whether the work is being done."""
        return self._worker is not None and not self._worker.done()

    def start(self) -> None:
        """Begin the work when it is summoned, and the watch over it."""
        self._context = copy_context()  # whoever summons it, it is not done on that one's behalf
        if self._summons is None:
            self._begin()
        else:
            self._summons.when_first(self._begin)

    def release(self) -> tuple[asyncio.Task[None], ...]:
        """Watch it no longer; the task that is then to be ended (`end`), if it ever began."""
        self._stopped = True
        if self._summons is not None:
            self._summons.forget()
        if self._next is not None:
            self._next.cancel()
        worker, self._worker = self._worker, None
        return () if worker is None else (worker,)

    def _begin(self) -> None:
        self._worker = asyncio.create_task(self._work(), name=self._name, context=self._context)
        self._worker.add_done_callback(self._ended)

    def _ended(self, worker: asyncio.Task[None]) -> None:
        if self._stopped:
            return
        why = _why(worker)
        self._next = worker.get_loop().call_later(self._backoff.next(), self._begin_anew, why)
        self._died(why)

    def _begin_anew(self, why: str) -> None:
        self._begin()
        self._revived(why)


async def stop(watched: Iterable[Watched]) -> None:
    """End them; returns when all have ended."""
    await end(*(task for each in watched for task in each.release()))


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks until all have ended; asks more than once, since a library may lose a cancellation."""
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=ASK_AGAIN_S)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # retrieved, so that the loop does not complain of it


def _why(task: asyncio.Task[None]) -> str:
    if task.cancelled():
        return "it was cancelled"
    error = task.exception()
    return "it returned" if error is None else f"{type(error).__name__}: {error}"
