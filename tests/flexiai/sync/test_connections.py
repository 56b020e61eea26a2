"""Connections for commands: how many, which one is next, and what happens to one that is of no use any more."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, cast

import pytest
from redis.asyncio.connection import AbstractConnection, Connection

from flexiai.sync.connections import Connections


class Scripted:
    """A connection that answers its number when it is let. `said`: what happened to it."""

    def __init__(self, number: int, may_answer: asyncio.Event) -> None:
        self.number = number
        self.said: list[str] = []
        self.dirty = False
        self.connected = False
        self._reader: asyncio.StreamReader | None = None
        self._may_answer = may_answer

    async def connect(self) -> None:
        if not self.connected:
            self.connected = True
            self.said.append("connect")

    async def can_read(self) -> bool:
        return self.dirty

    async def disconnect(self) -> None:
        self.connected = self.dirty = False
        self.said.append("disconnect")

    async def send_command(self, *words: str | int) -> None:
        self.said.append(str(words[0]))

    async def read_response(self) -> int:
        await self._may_answer.wait()
        return self.number


class Scene:
    """Connections, and all that were made."""

    def __init__(self, most: int) -> None:
        self.made: list[Scripted] = []
        self.may_answer = asyncio.Event()
        self.connections = Connections(self._make, most)

    def _make(self) -> AbstractConnection:
        self.made.append(Scripted(len(self.made), self.may_answer))
        return cast(AbstractConnection, self.made[-1])


def run(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scene())


def test_no_more_are_made_than_there_may_be_and_the_others_wait() -> None:
    async def scene() -> None:
        there = Scene(most=2)
        asked = [asyncio.create_task(there.connections.execute("GET", "a")) for _ in range(5)]
        await asyncio.sleep(0)
        assert len(there.made) == 2
        there.may_answer.set()
        assert set(await asyncio.gather(*asked)) == {0, 1}
        assert len(there.made) == 2

    run(scene)


def test_the_one_that_was_used_last_is_used_next() -> None:
    async def scene() -> None:
        there = Scene(most=2)
        there.may_answer.set()
        assert [await there.connections.execute("GET", "a") for _ in range(3)] == [0, 0, 0]
        assert there.made[0].said == ["connect", "GET", "GET", "GET"]

    run(scene)


def test_one_with_something_left_to_read_is_made_anew() -> None:
    async def scene() -> None:
        there = Scene(most=1)
        there.may_answer.set()
        await there.connections.execute("GET", "a")
        there.made[0].dirty = True
        await there.connections.execute("SET", "a")
        assert there.made[0].said == ["connect", "GET", "disconnect", "connect", "SET"]

    run(scene)


def test_a_command_that_is_given_up_leaves_its_turn_to_the_next() -> None:
    async def scene() -> None:
        there = Scene(most=1)
        given_up = asyncio.create_task(there.connections.execute("GET", "a"))
        await asyncio.sleep(0)
        given_up.cancel()
        there.may_answer.set()
        assert await there.connections.execute("GET", "b") == 0
        with pytest.raises(asyncio.CancelledError):
            await given_up

    run(scene)


def test_busy_ones_are_closed_too_and_open_again_when_needed() -> None:
    async def scene() -> None:
        there = Scene(most=2)
        asked = [asyncio.create_task(there.connections.execute("GET", "a")) for _ in range(2)]
        await asyncio.sleep(0)
        await there.connections.disconnect()
        assert [c.said for c in there.made] == [["connect", "GET", "disconnect"]] * 2
        there.may_answer.set()
        await asyncio.gather(*asked)
        await there.connections.execute("GET", "b")
        assert there.made[1].said[-2:] == ["connect", "GET"]

    run(scene)


def test_one_that_was_reset_while_it_was_idle_is_made_anew() -> None:
    async def scene() -> None:
        begun: list[asyncio.Transport] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            begun.append(writer.transport)
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while await reader.readuntil(b"PING\r\n"):
                    writer.write(b"+%d\r\n" % len(begun))

        async with asyncio.timeout(10), await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            connections = Connections(lambda: Connection(host=host, port=port, protocol=2, driver_info=None), most=1)
            assert await connections.execute("PING") == b"1"
            reader = connections._free[0]._reader
            begun[0].get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            begun[0].abort()
            while reader.exception() is None:
                await asyncio.sleep(0)
            assert await connections.execute("PING") == b"2"
            await connections.disconnect()

    run(scene)
