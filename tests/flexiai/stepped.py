"""A coroutine driven suspension by suspension, and left at a chosen one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any


class Stepped:
    """Runs `work` in a task of its own. `count`: how often it suspended; at the `leave_at`-th (1…) it is cancelled.

    `again`: and once more at the suspension after that, where it would clean up.
    """

    def __init__(self, work: Coroutine[Any, Any, Any], leave_at: int, *, again: bool) -> None:
        self.count = 0
        self._at = {leave_at, leave_at + 1} if again else {leave_at}
        self._work = work
        self.task = asyncio.create_task(self._run())

    @property
    def left(self) -> bool:
        """Whether it came to the suspension at which it was to leave."""
        return self.count >= min(self._at)

    async def ended(self) -> None:
        await asyncio.wait((self.task,))

    async def _run(self) -> Any:
        return await self._driven()

    @coroutine
    def _driven(self) -> Generator[Any, Any, Any]:
        step, value = self._work.send, None
        while True:
            try:
                waits_for = step(value)
            except StopIteration as end:
                return end.value
            self.count += 1
            if self.count in self._at:
                asyncio.get_running_loop().call_soon(self.task.cancel)
            try:
                step, value = self._work.send, (yield waits_for)
            except BaseException as error:  # what is thrown in belongs to `work`
                step, value = self._work.throw, error
