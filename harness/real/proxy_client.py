"""The harness's hold on the fault proxy: the process, and its control connection."""

from __future__ import annotations

import asyncio
import sys

import msgspec

from harness.real.child import Child, Children
from harness.real.wire_rules import Answer, Count, Drop, Listen, Order, Put, Redirect, Rule
from harness.world import WorldError

READY_S = 30.0
ANSWER_S = 5.0

__all__ = ["Proxy", "Rule"]


class Proxy:
    """One fault proxy."""

    def __init__(self, children: Children) -> None:
        self._children = children
        self._child: Child | None = None
        self._control: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Start the process and reach its control port."""
        self._child = await self._children.spawn("proxy", [sys.executable, "-m", "harness.real.proxy"])
        (port,) = await self._child.said("READY", READY_S)
        self._control = await asyncio.open_connection("127.0.0.1", int(port))

    async def listen(self, upstream: str, port: int, *, redis: bool = False) -> int:
        """Relay to a local port under a name; the port to use instead. `redis`: its rules may be about messages."""
        return (await self._ask(Listen(upstream, port, redis))).port

    async def redirect(self, upstream: str, port: int) -> None:
        """The upstream is at another port now."""
        await self._ask(Redirect(upstream, port))

    async def put(self, index: int, rule: Rule) -> None:
        """Put a rule in effect, or replace it."""
        await self._ask(Put(index, rule))

    async def drop(self, index: int) -> None:
        """End a rule."""
        await self._ask(Drop(index))

    async def counts(self) -> dict[int, int]:
        """What each rule has affected so far."""
        return (await self._ask(Count())).counts

    def close(self) -> None:
        """Let go of the control connection; the process is ended with the other children."""
        if self._control is not None:
            self._control[1].close()

    async def _ask(self, order: Order) -> Answer:
        if self._control is None or self._child is None:
            raise WorldError("the fault proxy was not started")
        reader, writer = self._control
        try:
            async with self._turn, asyncio.timeout(ANSWER_S):
                writer.write(msgspec.json.encode(order) + b"\n")
                line = await reader.readline()
        except (OSError, TimeoutError) as error:
            raise self._child.trouble(f"does not answer: {type(error).__name__}") from error
        answer = msgspec.json.decode(line or b'{"error": "it ended"}', type=Answer)
        if answer.error is not None:
            raise self._child.trouble(f"refused {type(order).__name__.lower()}: {answer.error}")
        return answer
