"""An event loop in a thread of its own, for callers that have none.

Rules
-----
* The thread starts with the first work and is a daemon: it never keeps a process alive. At the interpreter's exit it is
  stopped in good order if nobody did so before.
* To stop is to cancel what is under way (its callers get FlexiAIError), then to run the farewell, then to end.
* Work may be handed in from any thread but this one, which would wait for itself.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from flexiai.errors import FlexiAIError

T = TypeVar("T")
STOP_TIMEOUT_S = 10.0
"""How long to wait for the farewell: more than every bound within it."""


class LoopThread:
    """Runs coroutines for other threads. `farewell` is awaited in the loop before it ends, if it ever started."""

    def __init__(self, farewell: Callable[[], Awaitable[None]]) -> None:
        self._farewell = farewell
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopped = False

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run `work()` in the loop and wait for it. FlexiAIError if the loop was stopped, before or meanwhile."""
        if threading.current_thread() is self._thread:
            raise RuntimeError("called from the client's own thread (a listener, a provider): it would wait for itself")
        with self._lock:
            loop = self._started_loop()
            future = asyncio.run_coroutine_threadsafe(self._tracked(work), loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise FlexiAIError("this client was closed before the answer came") from None
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """End the loop and wait for it, at most STOP_TIMEOUT_S. Does nothing if it is stopped or never ran."""
        self.signal()
        if self._thread is not None and threading.current_thread() is not self._thread:
            self._thread.join(STOP_TIMEOUT_S)

    def signal(self) -> None:
        """As `stop`, without waiting."""
        with self._lock:
            first, self._stopped = not self._stopped, True
        if first and self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)

    def _started_loop(self) -> asyncio.AbstractEventLoop:
        if self._stopped:
            raise FlexiAIError("this client is closed")
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._live, args=(self._loop,), name="flexiai", daemon=True)
            self._thread.start()
            atexit.register(self.stop)
        return self._loop

    def _live(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self._until_stopped())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()
            atexit.unregister(self.stop)

    async def _until_stopped(self) -> None:
        await self._stop.wait()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._farewell()

    async def _tracked(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this is a coroutine
        self._tasks.add(task)
        try:
            return await work()
        finally:
            self._tasks.discard(task)
