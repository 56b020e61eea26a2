"""SimRedis: the simulated server process: up, paused, killed, started again; one thread, whose work takes time.

Rules
-----
* Requests are served one read at a time, in the order in which they came, each client's own in its order. The effect
  and the answer come when the server takes a read up; it is then busy for as long as that work costs, and what comes
  meanwhile waits.
* Paused: connections are taken and bytes wait; nothing is answered until it resumes.
* Killed: every connection breaks and the memory is gone (kept for a start that is not empty); a client that comes
  is refused. Scripts and subscriptions never survive a kill.
* The wire's bytes, the clock and the timer are its only contact with the world: `on_connect(wire)`, `now()`,
  `call_later(delay_s, fn)`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from harness.sim.redis.core import Core, Denial, Stats
from harness.sim.redis.pubsub import publish
from harness.sim.redis.resp import ProtocolError, encode
from harness.sim.redis.session import BufferLimit, Session, Wire
from harness.sim.redis.store import Database

PUBSUB_LIMIT = BufferLimit(hard_bytes=32 * 2**20, soft_bytes=8 * 2**20, soft_s=60.0)
"""redis.conf: client-output-buffer-limit pubsub 32mb 8mb 60."""

SMALL_LIMIT = BufferLimit(hard_bytes=32_768, soft_bytes=32_768, soft_s=0.0)
TOO_MUCH_BYTES = 524_288
"""A message that is larger than a connection's window and such a limit together."""

_SOON_S = 1e-9


class ServedWire(Wire, Protocol):
    """A wire that tells its receiver what comes."""

    receiver: Session


@dataclass(frozen=True, slots=True)
class Costs:
    """How long the server is busy, in seconds: with a command (each one in a script too), with a copy of a message."""

    command_s: float = 10e-6
    delivery_s: float = 2e-6


class _State(StrEnum):
    UP = "up"
    PAUSED = "paused"
    DOWN = "down"


class SimRedis:
    """A Redis of its own. `stats` counts through all its lives."""

    def __init__(
        self,
        now: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], object],
        *,
        name: str = "redis",
        password: str | None = None,
        costs: Costs | None = None,
        pubsub_limit: BufferLimit = PUBSUB_LIMIT,
    ) -> None:
        self.stats = Stats()
        self._now = now
        self._call_later = call_later
        self._name = name
        self._password = password
        self._costs = costs or Costs()
        self._limit = pubsub_limit
        self._state = _State.UP
        self._core = self._fresh()
        self._waiting: deque[Session] = deque()  # clients with bytes that were not yet looked at
        self._busy_until = 0.0
        self._woken = False  # a wake-up is on its way
        self._clients = 0

    # -- what the network tells

    def on_connect(self, conn: ServedWire) -> None:
        """A client connected."""
        self._clients += 1
        session = Session(self._clients, conn, self._received, self._gone)
        conn.receiver = session
        if self._state is _State.DOWN:
            self.stats.refused += 1
            session.ended = True
            conn.abort()
            return
        self.stats.connections += 1
        self._core.sessions[session] = None

    # -- what faults do

    @property
    def up(self) -> bool:
        """Whether it answers."""
        return self._state is _State.UP

    def kill(self) -> None:
        """SIGKILL: every connection breaks, all that was not answered is lost."""
        if self._state is _State.DOWN:
            return
        self._state = _State.DOWN
        self._waiting.clear()
        for session in list(self._core.sessions):
            self._cut(session)

    def start(self, *, empty: bool = True) -> None:
        """Start a killed server, with nothing in it, or with the keys that it held."""
        if self._state is not _State.DOWN:
            return
        before = self._core
        self._core = self._fresh()
        if empty:
            self.stats.lost_keys += sum(len(db) for db in before.databases)
        else:
            self._core.databases = before.databases
        self._busy_until = self._now()
        self._state = _State.UP

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing is answered."""
        if self._state is _State.UP:
            self._state = _State.PAUSED

    def resume(self) -> None:
        """SIGCONT: everything that waited is served."""
        if self._state is _State.PAUSED:
            self._state = _State.UP
            if not self._woken:
                self._serve()

    def flush(self) -> int:
        """FLUSHALL by an operator; how many keys are lost."""
        lost = sum(len(db) for db in self._core.databases)
        for db in self._core.databases:
            db.clear()
        self.stats.lost_keys += lost
        return lost

    def kill_subscribers(self) -> int:
        """CLIENT KILL TYPE pubsub by an operator; how many were disconnected."""
        return self._cut_all(session for session in self._core.sessions if session.subscriptions)

    def cut(self, peers: frozenset[str]) -> int:
        """Break the connections of these hosts; how many."""
        return self._cut_all(session for session in self._core.sessions if session.wire.peer in peers)

    def overflow(self) -> int:
        """Publish more on each channel than its subscribers may leave unread; how many were disconnected."""
        core = self._core
        before, core.limit = core.limit, SMALL_LIMIT
        overflowed = self.stats.overflowed
        for channel in list(core.hub.channels):
            publish(core, channel, b"x" * TOO_MUCH_BYTES)
        core.limit = before
        return self.stats.overflowed - overflowed

    def deny(self, denial: Denial | None) -> None:
        """Answer an error instead of doing as asked; None: no longer."""
        self._core.denial = denial

    def lose(self, loses: Callable[[str], bool] | None) -> None:
        """Lose messages to the hosts for which `loses` says so, each time it is asked; None: no longer."""
        self._core.loses = None if loses is None else lambda session: loses(session.wire.peer)

    def replica(self) -> tuple[Database, ...]:
        """All that a replica which hears no more from now on holds."""
        return tuple(db.copy() for db in self._core.databases)

    def fail_over(self, replica: tuple[Database, ...]) -> int:
        """The server is lost and its replica takes its place; how many writes it had missed."""
        before = self._core.databases
        self.kill()
        self.start(empty=False)
        self._core.databases = replica
        return sum(mine.differences(theirs) for mine, theirs in zip(before, replica, strict=True))

    # -- its one thread

    def _received(self, session: Session) -> None:
        if self._state is _State.PAUSED:
            self.stats.waited += 1
        self._waiting.append(session)
        if not self._woken:
            self._serve()

    def _gone(self, session: Session) -> None:
        self._core.forget(session)

    def _serve(self) -> None:
        while self._waiting and self._state is _State.UP:
            wait_s = self._busy_until - self._now()
            if wait_s > _SOON_S:
                self._woken = True
                self._call_later(wait_s, self._wake)
                return
            self._serve_one(self._waiting.popleft())

    def _wake(self) -> None:
        self._woken = False
        self._serve()

    def _serve_one(self, session: Session) -> None:
        """Do all that one client has asked for so far, and answer it in one write."""
        stats = self.stats
        commands, delivered = stats.commands, stats.delivered
        answer = self._answer(session)
        if answer:
            session.wire.write(answer)
        if session.leaving:
            self._core.forget(session)
            session.wire.close()
        cost_s = (stats.commands - commands) * self._costs.command_s
        cost_s += (stats.delivered - delivered) * self._costs.delivery_s
        self._busy_until = self._now() + cost_s

    def _answer(self, session: Session) -> bytes:
        replies: list[bytes] = []
        core, requests = self._core, session.requests
        try:
            while not session.ended and not session.leaving and (request := requests.next()) is not None:
                replies.append(encode(core.execute(session, request), session.resp3))
        except ProtocolError as error:
            replies.append(encode(error.reply))
            session.leaving = True
        return b"".join(replies)

    def _cut_all(self, sessions: Iterable[Session]) -> int:
        chosen = list(sessions)
        for session in chosen:
            self._cut(session)
        return len(chosen)

    def _cut(self, session: Session) -> None:
        self.stats.cut += 1
        self._core.disconnect(session)

    def _fresh(self) -> Core:
        return Core(self._now, name=self._name, password=self._password, limit=self._limit, stats=self.stats)
