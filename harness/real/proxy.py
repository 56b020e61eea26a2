"""The TCP fault proxy, a process of its own: `python -m harness.real.proxy`.

It prints `READY <control port>`, relays what it is told to relay (`wire_rules`), and ends at SIGTERM or SIGINT. It
knows which process each connection belongs to, so that k of n workers can be cut off from Redis or from a provider.
"""

from __future__ import annotations

import asyncio
import signal
import sys

import msgspec

from harness.real.board import Board
from harness.real.relay import HOST, Link, identify
from harness.real.wire_rules import Answer, Count, Drop, Listen, Order, Put, Redirect

_decode = msgspec.json.Decoder(Order).decode
_encode = msgspec.json.Encoder().encode


class FaultProxy:
    """Relays any number of upstreams under one board of rules."""

    def __init__(self) -> None:
        self._board = Board()
        self._links: set[Link] = set()
        self._ports: dict[str, int] = {}
        self._servers: list[asyncio.Server] = []

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the orders of one control connection until it ends."""
        while line := await reader.readline():
            try:
                answer = await self.obey(_decode(line))
            except (msgspec.MsgspecError, OSError) as error:
                answer = Answer(error=f"{type(error).__name__}: {error}")
            writer.write(_encode(answer) + b"\n")
            await writer.drain()
        writer.close()

    async def obey(self, order: Order) -> Answer:
        """Carry out one order."""
        match order:
            case Listen(upstream, port, redis):
                self._ports[upstream] = port
                return Answer(port=await self._listen(upstream, redis))
            case Redirect(upstream, port):
                self._redirect(upstream, port)
            case Put(index, rule):
                self._board.rules[index] = rule
                self._apply()
            case Drop(index):
                self._board.rules.pop(index, None)
                self._apply()
            case Count():
                return Answer(counts=dict(self._board.counts))
        return Answer()

    def _redirect(self, upstream: str, port: int) -> None:
        self._ports[upstream] = port
        for link in [link for link in self._links if link.upstream == upstream]:
            link.reset()

    async def _listen(self, upstream: str, redis: bool) -> int:
        def accept() -> asyncio.Protocol:
            return Link(upstream, self._ports, self._board, self._links, redis=redis).near

        server = await asyncio.get_running_loop().create_server(accept, HOST, 0)
        self._servers.append(server)
        bound: int = server.sockets[0].getsockname()[1]
        return bound

    def _apply(self) -> None:
        identify(list(self._links), self._board)
        for link in list(self._links):
            link.obey()

    def close(self) -> None:
        """Stop listening, end every link."""
        for server in self._servers:
            server.close()
        for link in list(self._links):
            link.reset()


async def serve() -> None:
    """Run until told to end."""
    proxy = FaultProxy()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    server = await asyncio.start_server(proxy.control, HOST, 0)
    print("READY", server.sockets[0].getsockname()[1], flush=True)
    await told.wait()
    server.close()
    proxy.close()


def main() -> int:
    """Serve; on uvloop where there is one: a hop costs a third."""
    try:
        import uvloop  # noqa: PLC0415 - an extra that not every platform has
    except ImportError:
        asyncio.run(serve())
    else:
        uvloop.run(serve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
