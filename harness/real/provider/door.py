"""The provider's port, which can be shut: connections are then refused by the kernel, not accepted and closed.

The port stays the provider's own while it is shut: a second socket is bound to it that never listens, so no other
process can be given it.
"""

from __future__ import annotations

import errno
import socket

from aiohttp import web

from harness.real.provider.faults import Standing
from harness.real.provider.service import reset

HOST = "127.0.0.1"
BACKLOG = 1024


def bound(port: int) -> socket.socket:
    """A TCP socket on HOST and `port` (0: any free one); OSError says which port cannot be had, and why."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((HOST, port))
    except OSError as error:
        sock.close()
        why = "is in use" if error.errno == errno.EADDRINUSE else str(error.strerror)
        raise OSError(f"port {HOST}:{port}: {why}") from error
    return sock


class Door:
    """Lets connections in to `runner`, on the port that `keeper` is bound to; it closes `keeper` when released."""

    def __init__(self, runner: web.AppRunner, keeper: socket.socket) -> None:
        self._runner = runner
        self._keeper = keeper
        self.port: int = keeper.getsockname()[1]
        self._site: web.SockSite | None = None

    @property
    def is_open(self) -> bool:
        """Whether connections are accepted."""
        return self._site is not None

    async def open(self) -> None:
        """Accept connections (nothing if it does already). OSError if another process listens on the port."""
        if self._site is not None:
            return
        site = web.SockSite(self._runner, bound(self.port), backlog=BACKLOG)
        await site.start()
        self._site = site

    async def shut(self, fault: Standing | None = None) -> None:
        """Refuse connections and reset those that exist, which `fault` is given the credit for."""
        if self._site is not None:
            site, self._site = self._site, None
            await site.stop()
        for connection in self._runner.server.connections if self._runner.server is not None else ():
            if connection.transport is not None:
                reset(connection.transport)
                if fault is not None:
                    fault.cut += 1

    def release(self) -> None:
        """Give the port up."""
        self._keeper.close()
