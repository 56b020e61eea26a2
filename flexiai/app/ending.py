"""A worker's end in good order, however a supervisor, a container runtime or an operator asks for it.

Rules
-----
* From SIGTERM on the worker says that it is not ready. For `drain_s` it still serves whoever comes, so that balancers
  have time to look elsewhere; then the server is told, which takes no more connections and waits for those it has.
* What is then under way has `shutdown_grace_s` to end. What has not ended by then is cut short, with an error.
* A caller that takes nothing, not even that, would keep its connection, and by it the server, for ever: unless the
  deployment has given uvicorn a bound of its own (`--timeout-graceful-shutdown`), it gets one, LINGER_S after ours.
* A second SIGTERM ends the draining. Any other signal is the server's alone.
* The server's own handler is called, never replaced: where there is none that can be called (no server, another
  thread), nothing is done here.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from flexiai.logs import log

LINGER_S = 2.0
Handler = Callable[[int, FrameType | None], object]


class Ending:
    """The end of one worker. `begun`: it was asked for.

    drain_s, grace_s  seconds for others to look elsewhere, and then for what is under way
    cut_short         gives up what is under way, and says how much that was
    """

    def __init__(self, drain_s: float, grace_s: float, cut_short: Callable[[], int]) -> None:
        self.begun = False
        self._drain_s = drain_s
        self._grace_s = grace_s
        self._cut_short = cut_short

    @contextmanager
    def on_sigterm(self) -> Iterator[None]:
        """Look out for SIGTERM. Must be entered in the event loop."""
        servers = signal.getsignal(signal.SIGTERM) if threading.current_thread() is threading.main_thread() else None
        if not callable(servers):
            yield
            return
        loop = asyncio.get_running_loop()

        def asked(number: int, frame: FrameType | None) -> None:
            if self.begun or self._drain_s <= 0:
                servers(number, frame)
            if not self.begun:
                self.begun = True
                _bound_waiting(servers, self._grace_s + LINGER_S)
                loop.call_soon_threadsafe(self._begin, loop, servers)

        signal.signal(signal.SIGTERM, asked)
        try:
            yield
        finally:
            if signal.getsignal(signal.SIGTERM) is asked:
                signal.signal(signal.SIGTERM, servers)

    def _begin(self, loop: asyncio.AbstractEventLoop, servers: Handler) -> None:
        if self._drain_s > 0:
            log.info("Asked to end: not ready any more, still serving for %g s", self._drain_s)
            loop.call_later(self._drain_s, servers, signal.SIGTERM, None)
        loop.call_later(self._drain_s + self._grace_s, self._end)

    def _end(self) -> None:
        if left := self._cut_short():
            log.warning("%d requests were not done in time and are cut short", left)


def _bound_waiting(servers: Handler, within_s: float) -> None:
    """Let uvicorn, whose handler this is, wait at most that long for connections to close, if it would for ever."""
    config: Any = getattr(getattr(servers, "__self__", None), "config", None)
    if getattr(config, "timeout_graceful_shutdown", within_s) is None:
        config.timeout_graceful_shutdown = within_s
