"""flexiai's app as ever, with a door for the harness: what no signal can do to a worker is done in its event loop.

Only a run whose faults need it loads this module in place of `flexiai.app`; the production code knows nothing of it.
The door is a port of loopback, announced in the folder that HARNESS_DOORS names. One order a line:

    block SECONDS   nothing else runs in the loop for so long; answered with how long that was
    cancel SUFFIX   cancels the tasks whose name ends so; answered with how many
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from flexiai.app import create_app
from harness.real.doors import announce


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        verb, argument = line.decode().split()
        writer.write(f"{_block(float(argument)) if verb == 'block' else _cancel(argument)}\n".encode())
        await writer.drain()
    writer.close()


def _block(seconds: float) -> float:
    began = time.monotonic()
    time.sleep(seconds)
    return time.monotonic() - began


def _cancel(suffix: str) -> int:
    tasks = [task for task in asyncio.all_tasks() if task.get_name().endswith(suffix)]
    return sum(task.cancel() for task in tasks)


app = create_app()
_lifespan = app.router.lifespan_context


@asynccontextmanager
async def _with_door(application: FastAPI) -> AsyncIterator[None]:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    announce(Path(os.environ["HARNESS_DOORS"]), os.getpid(), server.sockets[0].getsockname()[1])
    try:
        async with _lifespan(application):
            yield
    finally:
        server.close()


app.router.lifespan_context = _with_door
