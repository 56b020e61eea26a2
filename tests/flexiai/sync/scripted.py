"""A server that speaks RESP by a script: whatever a Redis may say, however rarely it does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ssl import SSLContext

Answer = Callable[[list[str]], bytes | None]


@asynccontextmanager
async def scripted(answer: Answer, tls: SSLContext | None = None) -> AsyncIterator[int]:
    """The port of a server while the context is open. `answer`: the reply to a command; None: never any."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while words := await _command(reader):
                if (reply := answer(words)) is not None:
                    writer.write(reply)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _command(reader: asyncio.StreamReader) -> list[str]:
    count = int((await reader.readline() or b"*0")[1:])
    words = []
    for _ in range(count):
        size = int((await reader.readline())[1:])
        words.append((await reader.readexactly(size + 2))[:-2].decode())
    return words
