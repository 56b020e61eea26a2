"""The requests that a worker has under way, how many there may be, and their end when the worker must."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

from flexiai.app.refused import CutShort, NoRoom


class Load:
    """The chat requests under way, at most `most` of them (None: no bound). A request is in while it is in `with`.

    Entering raises NoRoom where there is one too many; `cut_short` makes it raise CutShort where it is.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._tasks: set[asyncio.Task[Any]] = set()
        self._cut: set[asyncio.Task[Any]] = set()

    @property
    def under_way(self) -> int:
        """How many there are now."""
        return len(self._tasks)

    def __enter__(self) -> None:
        if self._most is not None and len(self._tasks) >= self._most:
            raise NoRoom(self._most)
        self._tasks.add(_this_task())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = _this_task()
        self._tasks.discard(task)
        if self._cut and task in self._cut:
            self._cut.discard(task)
            if isinstance(error, asyncio.CancelledError) and task.uncancel() == 0:
                raise CutShort() from None

    def cut_short(self) -> int:
        """Give up every request under way; how many there were."""
        for task in self._tasks:
            self._cut.add(task)
            task.cancel()
        return len(self._tasks)


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a request is served by a task")
    return task
