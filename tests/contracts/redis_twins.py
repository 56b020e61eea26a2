"""The simulated Redis and a real one side by side, each behind the same plain face: bytes in, replies out."""

from __future__ import annotations

import socket
from collections.abc import Callable
from itertools import count

from harness.sim.redis import Costs, SimRedis
from harness.sim.redis.session import Session


class Clock:
    """Virtual time that a test moves. What is due later is run when the time has passed it."""

    def __init__(self, now: float = 0.0) -> None:
        self.time = now
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def now(self) -> float:
        return self.time

    def call_later(self, delay_s: float, fn: Callable[[], None]) -> None:
        self._due.append((self.time + delay_s, next(self._order), fn))

    def advance(self, seconds: float) -> None:
        until = self.time + seconds
        while self._due and min(self._due)[0] <= until:
            due = min(self._due)
            self._due.remove(due)
            self.time = max(self.time, due[0])
            due[2]()
        self.time = until


class SimWire:
    """A client of a SimRedis: what it was sent, and how its connection ended. `room`: bytes it takes before it chokes."""

    receiver: Session

    def __init__(self, redis: SimRedis, peer: str = "client", room: float = float("inf")) -> None:
        self.peer = peer
        self.ended = ""
        self.room = room
        self._got = b""
        redis.on_connect(self)

    @property
    def unsent(self) -> int:
        return int(max(0.0, len(self._got) - self.room))

    def write(self, data: bytes) -> None:
        if not self.ended:
            self._got += data

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = self.ended or "reset"

    def send(self, *words: bytes | str | int) -> None:
        self.receiver.data_received(command(*words))

    def take(self) -> bytes:
        got, self._got = self._got, b""
        return got

    def ask(self, *words: bytes | str | int) -> bytes:
        self.send(*words)
        return self.take()


def free_sim(clock: Clock | None = None, **settings: object) -> tuple[SimRedis, Clock]:
    """A simulated server whose work takes no time."""
    clock = clock or Clock()
    costs = Costs(command_s=0, delivery_s=0)
    return SimRedis(clock.now, clock.call_later, costs=costs, **settings), clock  # type: ignore[arg-type]  # by name


class RealClient:
    """A client of a real server."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self._got = b""

    def send(self, *words: bytes | str | int) -> None:
        self._socket.sendall(command(*words))

    def send_raw(self, data: bytes) -> None:
        self._socket.sendall(data)

    def take(self, replies: int) -> bytes:
        """The next replies as they came; fewer when the server closes or does not send more in time."""
        end = 0
        for _ in range(replies):
            while (after := reply_end(self._got, end)) is None:
                if not self._more():
                    return self._cut(len(self._got))
            end = after
        return self._cut(end)

    def _more(self) -> bool:
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            return False
        self._got += data
        return bool(data)

    def _cut(self, end: int) -> bytes:
        taken, self._got = self._got[:end], self._got[end:]
        return taken

    def close(self) -> None:
        self._socket.close()


def reply_end(data: bytes, start: int = 0) -> int | None:
    """Where the RESP value that begins at `start` ends, or None if it is not complete."""
    line_end = data.find(b"\r\n", start)
    if line_end < 0:
        return None
    kind, number, end = data[start : start + 1], data[start + 1 : line_end], line_end + 2
    if kind == b"$" and number != b"-1":
        end += int(number) + 2
    elif kind in b"*%>":
        for _ in range(int(number) * (2 if kind == b"%" else 1)):
            after = reply_end(data, end)
            if after is None:
                return None
            end = after
    return end if end <= len(data) else None


def replies(data: bytes) -> list[bytes]:
    """The RESP values in some bytes."""
    found, start = [], 0
    while start < len(data):
        end = reply_end(data, start)
        assert end is not None, f"not whole: {data[start:]!r}"
        found.append(data[start:end])
        start = end
    return found


def command(*words: bytes | str | int) -> bytes:
    """A request on the wire."""
    encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)
