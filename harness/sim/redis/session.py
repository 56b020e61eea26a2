"""One client's connection, as the server sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from harness.sim.redis.resp import Reply, Requests, encode

if TYPE_CHECKING:
    from harness.sim.redis.table import Args, Command


class Wire(Protocol):
    """A server's end of a byte stream. `unsent`: bytes written that the peer has no room for; `peer`: who it is."""

    peer: str

    @property
    def unsent(self) -> int:
        """Bytes written that the peer has no room for yet."""
        ...

    def write(self, data: bytes) -> None:
        """Send bytes; never blocks."""
        ...

    def close(self) -> None:
        """End it after what was written."""
        ...

    def abort(self) -> None:
        """Break it."""
        ...


@dataclass(frozen=True, slots=True)
class BufferLimit:
    """How much may wait for a slow client before it is disconnected (Redis: client-output-buffer-limit)."""

    hard_bytes: int
    soft_bytes: int
    soft_s: float


class Transaction:
    """What MULTI began: the commands to be done, and whether one of them was refused already."""

    __slots__ = ("broken", "queue")

    def __init__(self) -> None:
        self.queue: list[tuple[Command, Args]] = []
        self.broken = False


class Session:
    """A client: what it asked for and has not got yet, what it subscribed to, how it wants its answers.

    received  tells the server that bytes came; gone  that the client is not there any more
    """

    __slots__ = (
        "_gone",
        "_received",
        "authenticated",
        "channels",
        "database",
        "ended",
        "id",
        "leaving",
        "name",
        "patterns",
        "requests",
        "resp3",
        "soft_since",
        "transaction",
        "wire",
    )

    def __init__(
        self, number: int, wire: Wire, received: Callable[[Session], None], gone: Callable[[Session], None]
    ) -> None:
        self.id = number
        self.wire = wire
        self.requests = Requests()
        self.name = b""
        self.database = 0
        self.resp3 = False
        self.authenticated = False
        self.transaction: Transaction | None = None
        self.channels: dict[bytes, None] = {}
        self.patterns: dict[bytes, None] = {}
        self.leaving = False  # it is owed its last answer, and nothing after that
        self.ended = False  # nothing more is read or written
        self.soft_since: float | None = None  # since when more waits than the soft limit
        self._received = received
        self._gone = gone

    # -- what the network tells

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if not self.ended:
            self.requests.feed(data)
            self._received(self)

    def closed(self, exc: Exception | None) -> None:
        """The client is not there any more."""
        self._gone(self)

    # -- what commands ask and tell

    @property
    def subscriptions(self) -> int:
        """To how many channels and patterns it is subscribed."""
        return len(self.channels) + len(self.patterns)

    def send(self, reply: Reply) -> None:
        """Send something outside the answer to its own request."""
        self.wire.write(encode(reply, self.resp3))

    def overflows(self, limit: BufferLimit, now: float) -> bool:
        """Whether more waits for it than it may leave lying."""
        unsent = self.wire.unsent
        if unsent <= limit.soft_bytes:
            self.soft_since = None
            return unsent > limit.hard_bytes
        if self.soft_since is None:
            self.soft_since = now
        return unsent > limit.hard_bytes or now - self.soft_since > limit.soft_s
