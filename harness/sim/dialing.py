"""How a simulated loop connects and listens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from socket import AF_INET, SOCK_STREAM
from typing import TypeVar, TypeVarTuple

from harness.sim.network import Connection, Network
from harness.sim.refusals import NotSimulated, Refusals
from harness.sim.sockets import End
from harness.sim.streams import SimTransport

P = TypeVar("P", bound=asyncio.BaseProtocol)
Ts = TypeVarTuple("Ts")


class Streams(Refusals):
    """The part of an event loop that connects and listens, on its host of the simulated network."""

    network: Network
    host: str
    dead: bool

    def happened(self, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Something came from outside: run `callback` as I/O is run."""
        raise NotImplementedError

    async def create_connection(
        self,
        protocol_factory: Callable[[], P],
        host: str | None = None,
        port: int | None = None,
        *,
        ssl: object = None,
        sock: object = None,
        **_ignored: object,
    ) -> tuple[SimTransport, P]:
        if ssl or sock is not None or host is None or port is None:
            raise NotSimulated("a simulated connection has a host and a port, and neither TLS nor a socket of its own")
        end = await self._dial(host, port)
        protocol = protocol_factory()
        return SimTransport(self, end, protocol, peername=(host, port)), protocol

    async def create_server(  # type: ignore[override]  # the part of it that a simulation has
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,
        port: int | None = None,
        **_ignored: object,
    ) -> SimServer:
        return SimServer(self, protocol_factory, port or 0)

    async def getaddrinfo(  # type: ignore[override]  # a simulated name is its own address
        self, host: str | None, port: int | None, **_ignored: object
    ) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        return [(AF_INET, SOCK_STREAM, 6, "", (host or self.host, port or 0))]

    def forget(self, end: End) -> None:
        """A socket is not this process's any more."""
        self.network.host(self.host).ends.pop(end, None)

    async def _dial(self, host: str, port: int) -> End:
        waiter: asyncio.Future[End] = self.create_future()

        def answered(answer: End | OSError) -> None:
            if isinstance(answer, End):
                if self.dead:
                    answer.reset()
                    return
                self.network.host(self.host).ends[answer] = None
            self.happened(self._settle, waiter, answer)

        self.network.connect(self.host, host, port, answered)
        return await waiter

    def _settle(self, waiter: asyncio.Future[End], answer: End | OSError) -> None:
        if waiter.done():  # who asked has gone
            if isinstance(answer, End):
                self.forget(answer)
                answer.close()
        elif isinstance(answer, End):
            waiter.set_result(answer)
        else:
            waiter.set_exception(answer)


class SimServer(asyncio.AbstractServer):
    """A listening port of a simulated process. Port 0: a free one."""

    def __init__(self, loop: Streams, protocol_factory: Callable[[], asyncio.BaseProtocol], port: int) -> None:
        taken = loop.network.host(loop.host).listeners
        self.port = port or next(p for p in range(49_152, 65_536) if p not in taken)
        self._loop = loop
        self._factory = protocol_factory
        self._serving = True
        loop.network.listen(loop.host, self.port, self)

    def on_connect(self, conn: Connection) -> None:
        """A peer connected: the loop gives it its protocol."""
        self._loop.happened(self._adopt, conn.detach(), conn.peer)

    def _adopt(self, end: End, peer: str) -> None:
        SimTransport(self._loop, end, self._factory(), peername=(peer, 0))

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def is_serving(self) -> bool:
        return self._serving

    def close(self) -> None:
        if self._serving:
            self._serving = False
            self._loop.network.unlisten(self._loop.host, self.port)

    async def start_serving(self) -> None:
        return None

    async def serve_forever(self) -> None:
        await self._loop.create_future()

    async def wait_closed(self) -> None:
        return None
