"""The clock of an event loop, read to its full resolution."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


def clock_of(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    """Seconds on `loop`'s clock, to the microsecond.

    uvloop's own `time()` is that clock in whole milliseconds, as of when its current iteration began: too coarse for
    events that are compared between processes. It is the host's monotonic clock (libuv's `uv_hrtime`), so that one is
    read instead. Any other loop, a simulated one included, is asked itself.
    """
    return time.monotonic if type(loop).__module__.split(".")[0] == "uvloop" else loop.time
