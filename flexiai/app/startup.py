"""A start that cannot succeed ends with one clear message, however many workers the server starts.

Rules
-----
* uvicorn loads the app in its workers only. A worker whose lifespan fails ends with uvicorn's start-up failure code,
  upon which its supervisor ends the others and itself (0.54 does; older ones started new workers for ever).
* All workers fail alike and at once, so the eldest alone speaks. The younger ones wait to be ended by the supervisor;
  one that is not ended (its elders are well, or gone) speaks for itself after a while.
* What is not the deployment's own doing (a bug) keeps its traceback.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import re
import signal

from starlette.types import Message, Send

from flexiai.errors import ConfigurationError

SUPERVISOR_ACTS_WITHIN_S = 10.0  # its health check may first wait 5 s for a worker that has just ended


class Startup:
    """What became of a start. `refused`: the error of the deployment's that makes it impossible."""

    def __init__(self) -> None:
        self.refused: ConfigurationError | None = None

    def plainly(self, send: Send) -> Send:
        """`send` for lifespan messages, which tells a refusal in its own words, once among siblings."""

        async def tell(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed" and self.refused is not None:
                if _has_elder():
                    await _wait_to_be_ended()
                message = {**message, "message": f"FlexiAI cannot start: {self.refused}"}
            await send(message)

        return tell


def _has_elder() -> bool:
    """Whether this process is a supervisor's child, and not the first (multiprocessing numbers them from 1)."""
    number = re.search(r"-(\d+)$", multiprocessing.current_process().name)
    return multiprocessing.parent_process() is not None and number is not None and int(number[1]) > 1


async def _wait_to_be_ended() -> None:
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, signal.SIG_DFL)  # a worker that never served has nothing to finish
    await asyncio.sleep(SUPERVISOR_ACTS_WITHIN_S)
