"""A socket as the kernel keeps it: one end of a simulated TCP connection.

Rules
-----
* Bytes go out while the peer has room for them (`WINDOW_BYTES` under way or unread); the rest waits, and is `unsent`.
* Bytes that came wait until they are taken, whether or not the process runs.
* `close` says FIN after what is unsent, or RST at once when unread bytes are thrown away; bytes that come to a closed
  socket are answered by RST.
* What came before a reset can still be read; after it, the error.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from errno import ECONNRESET

from harness.sim.wire import SEGMENT_BYTES, Lane, Path

WINDOW_BYTES = 262_144


class End:
    """One end. `on_readable` is called when something came (bytes, end, error), `on_sent` when unsent bytes went."""

    __slots__ = (
        "_inbox",
        "_lane",
        "_outbox",
        "_path",
        "_room",
        "closed",
        "eof",
        "error",
        "finished",
        "finishing",
        "on_readable",
        "on_sent",
        "peer",
        "unsent",
    )

    peer: End

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lane = Lane()
        self._inbox: list[bytes] = []
        self._outbox: deque[memoryview] = deque()
        self._room = WINDOW_BYTES
        self.unsent = 0
        self.finishing = False  # no more bytes are taken from us
        self.finished = False  # we said FIN
        self.eof = False  # the peer said FIN
        self.closed = False
        self.error: OSError | None = None
        self.on_readable: Callable[[], None] = _nothing
        self.on_sent: Callable[[], None] = _nothing

    # -- what the process does

    def send(self, data: bytes) -> None:
        """Send bytes, now or when the peer has room. Nothing happens on a broken or closed socket."""
        if self.closed or self.error is not None or not data:
            return
        size = len(data)
        if size <= self._room and size <= SEGMENT_BYTES and not self._outbox:
            self._room -= size
            self._carry(size, self.peer._arrive, data)
        else:
            self._outbox.append(memoryview(data))  # what is taken off it leaves no copy of the rest
            self.unsent += size
            self._pump()

    def take(self) -> bytes:
        """All bytes that came and were not yet taken; empty if there are none."""
        inbox = self._inbox
        data = inbox[0] if len(inbox) == 1 else b"".join(inbox)
        inbox.clear()
        if self.peer.unsent:
            self._carry(0, self.peer._make_room, len(data))
        else:
            self.peer._room += len(data)
        return data

    @property
    def readable(self) -> bool:
        """Whether bytes wait to be taken."""
        return bool(self._inbox)

    def finish(self) -> None:
        """Say FIN once all is sent: no more bytes will come from this end."""
        if self.finishing or self.error is not None:
            return
        self.finishing = True
        self._pump()

    def close(self) -> None:
        """Let go of the socket; what is unsent is still sent."""
        if self._inbox:
            self.reset()
        elif not self.closed:
            self.finish()
            self.closed = True

    def reset(self) -> None:
        """Break the connection: unsent bytes are lost, and the peer is told by RST."""
        if self.closed and not self._outbox:
            return
        self.closed = True
        self.forget_unsent()
        if self.error is None:
            self._carry(0, self.peer._break)

    def forget_unsent(self) -> None:
        """Lose what the peer had no room for."""
        self._outbox.clear()
        self.unsent = 0

    def confirm(self, done: Callable[[End], None]) -> None:
        """Tell the peer that the connection stands: `done` gets its end."""
        self._carry(0, done, self.peer)

    # -- what the wire brings

    def _arrive(self, data: bytes) -> None:
        if self.closed:
            self._carry(0, self.peer._break)
        elif self.error is None:
            self._inbox.append(data)
            self.on_readable()

    def _end(self) -> None:
        if not self.closed and self.error is None:
            self.eof = True
            self.on_readable()

    def _break(self) -> None:
        self.forget_unsent()
        if not self.closed and self.error is None:
            self.error = ConnectionResetError(ECONNRESET, "Connection reset by peer")
            self.on_readable()

    def _make_room(self, size: int) -> None:
        self._room += size
        if self._outbox:
            self._pump()
            self.on_sent()

    # -- the sending side

    def _pump(self) -> None:
        outbox = self._outbox
        while outbox and self._room > 0:
            data = outbox.popleft()
            size = min(len(data), self._room, SEGMENT_BYTES)
            if size < len(data):
                outbox.appendleft(data[size:])
            self._room -= size
            self.unsent -= size
            self._carry(size, self.peer._arrive, bytes(data[:size]))
        if self.finishing and not outbox and not self.finished:
            self.finished = True
            self._carry(0, self.peer._end)

    def _carry(self, size: int, fn: Callable[..., object], *args: object) -> None:
        if self._lane.lost or self.peer._lane.lost:
            self._path.carry(Lane(), 0, self._break)
        else:
            self._path.carry(self._lane, size, fn, *args)


def pair(there: Path, back: Path) -> tuple[End, End]:
    """The two ends of a new connection: of who asked for it, and of who was asked."""
    near, far = End(there), End(back)
    near.peer, far.peer = far, near
    return near, far


def _nothing() -> None:
    return None
