"""The simulated network: hosts, who listens on them, and connections between them.

How a server without an event loop lives on it (the simulated Redis does):

    class Server:                                   # a Listener
        def on_connect(self, conn: Connection) -> None:
            conn.receiver = Session(conn)

    class Session:                                  # a Receiver
        def data_received(self, data: bytes) -> None: self.conn.write(reply(data))
        def closed(self, exc: Exception | None) -> None: ...    # once; not after one's own close() or abort()

    network.listen("redis", 6379, Server())

Its process's fate is its host's: `network.crash("redis")` is SIGKILL (listeners and connections are gone; the peers
hear FIN or RST as from a kernel, the server hears nothing), `network.freeze("redis")` is SIGSTOP (the kernel still
accepts connections and takes bytes, up to the window; nothing reaches the server until `thaw`). The time is
`network.engine.now`; something later is `network.engine.call_later(delay_s, fn, *args)`, which can be cancelled.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import ECONNREFUSED
from typing import Protocol

from harness.sim.chance import Sampler
from harness.sim.engine import Engine
from harness.sim.sockets import End, pair
from harness.sim.wire import Disturbance, Lane, Path


class Receiver(Protocol):
    """Who takes what arrives on a server's connection."""

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        ...

    def closed(self, exc: Exception | None) -> None:
        """The peer ended the connection (None), or it broke (`exc`). Nothing can be sent any more."""
        ...


class Listener(Protocol):
    """Who takes connections on a port."""

    def on_connect(self, conn: Connection) -> None:
        """A peer connected. `conn.receiver` must be set before this returns."""
        ...


class Connection:
    """A server's end of a connection. `peer`: the name of the host at the other end."""

    __slots__ = ("_end", "_host", "_paused", "peer", "receiver")

    receiver: Receiver

    def __init__(self, end: End, host: Host, peer: str) -> None:
        self._end, self._host, self.peer = end, host, peer
        self._paused = False
        end.on_readable = self._wake

    @property
    def unsent(self) -> int:
        """Bytes written that the peer has no room for (Redis: the client's output buffer)."""
        return self._end.unsent

    def write(self, data: bytes) -> None:
        """Send bytes; never blocks. Ignored once the connection is closed or broken."""
        self._end.send(data)

    def close(self) -> None:
        """Close in good order: what was written still goes out."""
        self._host.ends.pop(self._end, None)
        self._end.close()

    def abort(self) -> None:
        """Break it: the peer sees a reset."""
        self._host.ends.pop(self._end, None)
        self._end.reset()

    def detach(self) -> End:
        """Hand the socket itself over; this object is done with it."""
        self._end.on_readable = _nothing
        return self._end

    def pause_reading(self) -> None:
        """Leave what comes in the kernel's buffer."""
        self._paused = True

    def resume_reading(self) -> None:
        """Take what comes again."""
        self._paused = False
        self._wake()

    def _wake(self) -> None:
        self._host.run(self._read)

    def _read(self) -> None:
        end = self._end
        if self._paused or end.closed:
            return
        if end.readable:
            self.receiver.data_received(end.take())
        if (end.eof or end.error is not None) and not end.closed:
            self.close()
            self.receiver.closed(end.error)


class Host:
    """Where a process lives. `ends`: its sockets; `refused`: connections to ports on which nobody listened.

    A frozen host's process takes nothing until it is thawed.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.listeners: dict[int, Listener] = {}
        self.ends: dict[End, None] = {}
        self.refused = 0
        self.frozen = False
        self._waiting: dict[Callable[[], None], None] = {}

    def run(self, work: Callable[[], None]) -> None:
        """Let the process take notice of something: now, or when it is thawed."""
        if self.frozen:
            self._waiting[work] = None
        else:
            work()

    def thaw(self) -> None:
        """The process runs again, and takes notice of all that waited, in the order in which it came."""
        self.frozen = False
        waiting, self._waiting = self._waiting, {}
        for work in waiting:
            work()

    def crash(self) -> None:
        """The process is gone: the kernel closes its sockets."""
        self.listeners.clear()
        self._waiting.clear()
        self.frozen = False
        ends, self.ends = self.ends, {}
        for end in ends:
            end.on_readable = end.on_sent = _nothing
            end.forget_unsent()
            end.close()


Connected = Callable[[End | OSError], None]


class Network:
    """Hosts by name and the paths between them. `latency(source, target)` makes the sampler of a path, once."""

    def __init__(
        self, engine: Engine, latency: Callable[[str, str], Sampler], *, bandwidth: float | None = None
    ) -> None:
        self.engine = engine
        self._latency = latency
        self._bandwidth = bandwidth
        self._hosts: dict[str, Host] = {}
        self._paths: dict[tuple[str, str], Path] = {}
        self._disturbances: tuple[Disturbance, ...] = ()  # those that shape what travels
        self._refusals: list[Disturbance] = []

    def host(self, name: str) -> Host:
        """The host of that name; made when first asked for."""
        return self._hosts.get(name) or self._hosts.setdefault(name, Host(name))

    def listen(self, host: str, port: int, listener: Listener) -> None:
        """Take connections to that port."""
        if port in self.host(host).listeners:
            raise OSError(f"port {port} of {host} is in use")
        self.host(host).listeners[port] = listener

    def unlisten(self, host: str, port: int) -> None:
        """Take no more connections to that port; those that are stay."""
        self.host(host).listeners.pop(port, None)

    def connect(self, source: str, target: str, port: int, done: Connected) -> None:
        """Ask for a connection: `done` gets this side's end, or why there is none, when the answer has come."""
        self.path(source, target).carry(Lane(), 0, self._accept, source, target, port, done)

    def crash(self, host: str) -> None:
        """SIGKILL to the process on that host."""
        self.host(host).crash()

    def freeze(self, host: str) -> None:
        """SIGSTOP to the process on that host."""
        self.host(host).frozen = True

    def thaw(self, host: str) -> None:
        """SIGCONT to the process on that host."""
        self.host(host).thaw()

    def disturb(self, disturbance: Disturbance) -> None:
        """Put a disturbance in effect."""
        if disturbance.effect == "refuse":
            self._refusals.append(disturbance)
        else:
            self._shape((*self._disturbances, disturbance))

    def heal(self, disturbance: Disturbance) -> None:
        """End a disturbance."""
        self._refusals = [d for d in self._refusals if d is not disturbance]
        self._shape(tuple(d for d in self._disturbances if d is not disturbance))

    def path(self, source: str, target: str) -> Path:
        """The way from one host to another."""
        path = self._paths.get((source, target))
        if path is None:
            path = Path(self.engine, source, target, self._latency(source, target), self._bandwidth)
            path.disturb(self._covering(path))
            self._paths[source, target] = path
        return path

    def _shape(self, disturbances: tuple[Disturbance, ...]) -> None:
        self._disturbances = disturbances
        for path in self._paths.values():
            path.disturb(self._covering(path))

    def _covering(self, path: Path) -> tuple[Disturbance, ...]:
        return tuple(d for d in self._disturbances if d.covers(path.source, path.target))

    def _refuses(self, source: str, target: str) -> bool:
        refusing = [d for d in self._refusals if d.covers(source, target)]
        for disturbance in refusing:
            disturbance.affected += 1
        return bool(refusing)

    def _accept(self, source: str, target: str, port: int, done: Connected) -> None:
        there, back = self.path(source, target), self.path(target, source)
        host = self.host(target)
        listener = host.listeners.get(port)
        if listener is None or self._refuses(source, target):
            host.refused += 1
            refused = ConnectionRefusedError(ECONNREFUSED, f"Connect call failed ('{target}', {port})")
            back.carry(Lane(), 0, done, refused)
            return
        _, far = pair(there, back)
        host.ends[far] = None
        far.confirm(done)
        connection = Connection(far, host, source)
        host.run(lambda: listener.on_connect(connection))


def _nothing() -> None:
    return None
