"""The fault proxy as a process, upstreams to relay to, and clients, for tests."""

from __future__ import annotations

import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import msgspec

from harness.real.wire_rules import Answer, Count, Drop, Listen, Order, Put, Rule

BOUND_S = 10.0
HOST = "127.0.0.1"


class ProxyProcess:
    """`python -m harness.real.proxy` and its control connection."""

    def __init__(self) -> None:
        self.process = subprocess.Popen((sys.executable, "-m", "harness.real.proxy"), stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], BOUND_S)[0], "not ready in time"
        word, port = self.process.stdout.readline().split()
        assert word == b"READY"
        self._control = socket.create_connection((HOST, int(port)), timeout=BOUND_S)
        self._lines = self._control.makefile("rb")

    def tell(self, order: Order) -> Answer:
        return self.say(msgspec.json.encode(order))

    def say(self, line: bytes) -> Answer:
        self._control.sendall(line + b"\n")
        return msgspec.json.decode(self._lines.readline(), type=Answer)

    def listen(self, upstream: str, port: int) -> int:
        return self.tell(Listen(upstream, port)).port

    def put(self, index: int, rule: Rule) -> None:
        assert self.tell(Put(index, rule)) == Answer()

    def drop(self, index: int) -> None:
        assert self.tell(Drop(index)) == Answer()

    def counts(self) -> dict[int, int]:
        return self.tell(Count()).counts

    def stop(self) -> None:
        self._lines.close()
        self._control.close()
        self.process.kill()
        self.process.wait(BOUND_S)
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def fault_proxy() -> Iterator[ProxyProcess]:
    """A proxy for as long as the context is open."""
    proxy = ProxyProcess()
    try:
        yield proxy
    finally:
        proxy.stop()


def echo(conn: socket.socket) -> None:
    """Send back what comes, until its end."""
    while data := conn.recv(65536):
        conn.sendall(data)


class Upstream:
    """A server on a free port, one thread a connection. `began` and `ended` count its connections."""

    def __init__(self, serve: Callable[[socket.socket], None] = echo) -> None:
        self._serve = serve
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self.began = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                conn, _ = self._listener.accept()
                self.began.release()
                threading.Thread(target=self._run, args=(conn,), daemon=True).start()

    def _run(self, conn: socket.socket) -> None:
        with closing(conn), suppress(OSError):
            conn.settimeout(BOUND_S)
            self._serve(conn)
        self.ended.release()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def upstream(serve: Callable[[socket.socket], None] = echo) -> Iterator[Upstream]:
    """A server for as long as the context is open."""
    server = Upstream(serve)
    try:
        yield server
    finally:
        server.close()


def connect(port: int) -> socket.socket:
    """A client's connection."""
    return socket.create_connection((HOST, port), timeout=BOUND_S)


def exactly(conn: socket.socket, size: int) -> bytes:
    """That many bytes; fewer when the connection ends."""
    parts: list[bytes] = []
    while size and (data := conn.recv(min(size, 1 << 20))):
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def silent(conn: socket.socket) -> bool:
    """Whether nothing waits to be read."""
    return not select.select([conn], [], [], 0)[0]
