"""How long a helper process lives: until it is told to end, or until the process that started it is gone."""

from __future__ import annotations

import asyncio
import os
import signal

PARENT_CHECK_S = 0.25


async def until_told(parent: int) -> None:
    """Return at SIGTERM or SIGINT, or soon after this process is no longer a child of `parent`.

    PR_SET_PDEATHSIG would be prompter, but it also fires when the *thread* that started this process ends.
    """
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    while os.getppid() == parent and not told.is_set():
        try:
            async with asyncio.timeout(PARENT_CHECK_S):
                await told.wait()
        except TimeoutError:
            continue
