"""Ports that are kept for somebody until he listens on them."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"


class HeldPort:
    """A free port of 127.0.0.1, held for a child that will listen on it.

    It is bound but never listened on: the kernel gives it to nobody else, neither as a free port nor for an outgoing
    connection; and as both sides set SO_REUSEADDR, the child can bind it all the same.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((HOST, 0))
        self.number: int = self._socket.getsockname()[1]

    def release(self) -> None:
        """Hold it no longer. May be called more than once."""
        self._socket.close()
