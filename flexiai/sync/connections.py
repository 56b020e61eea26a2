"""Connections for commands: a few, each with one command at a time; the one that was used last is used next.

redis-py's own client and pool can do all that Redis can; this is what the round trip of a script needs of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from redis.asyncio.connection import AbstractConnection


class Connections:
    """At most `most` connections at once, made when they are needed; more commands than that wait for their turn."""

    def __init__(self, make: Callable[[], AbstractConnection], most: int) -> None:
        self._make = make
        self._turns = asyncio.Semaphore(most)
        self._free: list[AbstractConnection] = []
        self._busy: dict[AbstractConnection, None] = {}

    async def execute(self, *words: str | int) -> Any:
        """The reply to a command, as redis-py has parsed it; redis-py closes a connection on which that fails."""
        async with self._turns:
            connection = self._free.pop() if self._free else self._make()
            self._busy[connection] = None
            try:
                await _ready(connection)
                await connection.send_command(*words)
                return await connection.read_response()
            finally:
                del self._busy[connection]
                self._free.append(connection)

    async def disconnect(self) -> None:
        """Close every connection, the busy ones, too; what is needed after that is opened again."""
        closing = [connection.disconnect() for connection in (*self._free, *self._busy)]
        ended = await asyncio.gather(*closing, return_exceptions=True)
        for error in ended:
            if isinstance(error, BaseException):
                raise error


async def _ready(connection: AbstractConnection) -> None:
    """Connected, whole, with nothing left to read: what was said unasked, or to somebody who has given up, ends it."""
    connect: Any = connection.connect  # untyped in redis-py
    await connect()
    if await connection.can_read() or _was_reset(connection):
        await connection.disconnect()
        await connect()


def _was_reset(connection: AbstractConnection) -> bool:
    """Whether it broke while nobody used it, which redis-py's `can_read` tells of a proper end alone."""
    reader: asyncio.StreamReader | None = connection._reader
    return reader is not None and reader.exception() is not None
