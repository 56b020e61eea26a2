"""The server's heart: what it holds and who is connected, and what one request does to that."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.sim.redis import admin, connection, hashes, keys, pubsub, scripting, strings, transactions
from harness.sim.redis.resp import Reply, Status
from harness.sim.redis.session import BufferLimit, Session
from harness.sim.redis.store import CommandError, Database, failure
from harness.sim.redis.table import Args, Command, by_name, shown, unknown_subcommand, wrong_arity

VERSION = b"7.2.0"
DATABASES = 16
EPOCH_S = 1_700_000_000
"""What TIME says at simulated time 0: an ordinary moment, so that no arithmetic starts at zero."""

QUEUED = Status(b"QUEUED")

_COMMANDS = by_name(
    admin.COMMANDS
    + connection.COMMANDS
    + hashes.COMMANDS
    + keys.COMMANDS
    + pubsub.COMMANDS
    + scripting.COMMANDS
    + strings.COMMANDS
    + transactions.COMMANDS
)
_BEFORE_AUTH = ("auth", "hello", "quit")


@dataclass(slots=True)
class Stats:
    """What the server did since it was made, through all its lives.

    commands      done, those by scripts included; `calls` by name
    published     messages; `delivered`: copies of them to subscribers
    scripts       runs of scripts
    connections   taken; `refused`: those that came while it was down
    waited        times that bytes came while it was paused: nobody answered them then
    cut           connections broken by a kill, a restart or an operator
    overflowed    subscribers disconnected for leaving too much unread
    denied        commands answered with the error of a fault; `dropped`: copies of messages that a fault lost
    lost_keys     keys gone by a kill, an empty restart or a flush
    """

    commands: int = 0
    published: int = 0
    delivered: int = 0
    scripts: int = 0
    connections: int = 0
    refused: int = 0
    waited: int = 0
    cut: int = 0
    overflowed: int = 0
    denied: int = 0
    dropped: int = 0
    lost_keys: int = 0
    calls: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Denial:
    """An error that it answers instead of doing as asked. `commands`: to which ones; None: to every one."""

    text: str
    commands: frozenset[str] | None = None


_MAKES_ROOM = {"del", "unlink", "hdel", "getdel", "expire", "pexpire", "expireat", "pexpireat", "persist", "flushall"}
NEEDS_MEMORY = frozenset(
    {"set", "setex", "psetex", "setnx", "getset", "mset", "append", "incr", "decr", "incrby", "decrby", "setrange"}
    | {"hset", "hmset", "hsetnx", "hincrby"}
)
"""What a full server refuses."""

WRITES = NEEDS_MEMORY | _MAKES_ROOM
"""What a replica refuses."""


class Core:
    """One server process' memory. `now`: simulated seconds; `name` makes its run id; `stats` outlives it."""

    def __init__(
        self,
        now: Callable[[], float],
        *,
        name: str,
        password: str | None,
        limit: BufferLimit,
        stats: Stats,
        version: bytes = VERSION,
    ) -> None:
        self.now = now
        self.password = None if password is None else password.encode()
        self.version = version
        self.stats = stats
        self.started_at = now()
        self.run_id = hashlib.sha1(f"{name}@{self.started_at!r}".encode(), usedforsecurity=False).hexdigest()
        self.databases = tuple(Database(self.now_ms) for _ in range(DATABASES))
        self.hub = pubsub.Hub()
        self.scripts = scripting.Scripts(self)
        self.sessions: dict[Session, None] = {}
        self.denial: Denial | None = None
        self.loses: Callable[[Session], bool] | None = None  # whether a message to this client is lost
        self.limit = limit

    def now_us(self) -> int:
        """The server's time in microseconds."""
        return EPOCH_S * 1_000_000 + int(self.now() * 1e6)

    def now_ms(self) -> int:
        """The server's time in milliseconds."""
        return self.now_us() // 1000

    def db(self, session: Session) -> Database:
        """The database that the client has selected."""
        return self.databases[session.database]

    # -- requests

    def execute(self, session: Session, request: Args) -> Reply:
        """What to answer to one request."""
        try:
            command = self._allowed(session, request)
        except CommandError as error:
            return transactions.refused(session, request, error)
        if session.transaction is not None and not command.immediate:
            session.transaction.queue.append((command, request))
            return QUEUED
        return self.run(command, session, request)

    def run(self, command: Command, session: Session, request: Args) -> Reply:
        """Do one command, and count it."""
        stats = self.stats
        stats.commands += 1
        stats.calls[command.name] = stats.calls.get(command.name, 0) + 1
        try:
            if self.denial is not None:
                self._refuse_denied(command, self.denial, everything=False)
            return command.run(self, session, request)
        except CommandError as error:
            return failure(error)

    def _refuse_denied(self, command: Command, denial: Denial, *, everything: bool) -> None:
        if (denial.commands is None) is not everything:
            return
        if (denial.commands is None and command.name not in _BEFORE_AUTH) or command.name in (denial.commands or ()):
            self.stats.denied += 1
            raise CommandError(denial.text)

    def find(self, request: Args) -> Command | None:
        """The command, or the subcommand, that a request names."""
        command = _COMMANDS.get(request[0].upper())
        if command is None or not command.subcommands or len(request) < 2:
            return command
        return command.subcommands.get(request[1].upper(), command)

    def _allowed(self, session: Session, request: Args) -> Command:
        command = self.find(request)
        if command is None:
            words = "".join(f"'{shown(word)}' " for word in request[1:])
            raise CommandError(f"ERR unknown command '{shown(request[0])}', with args beginning with: {words[:128]}")
        if not command.takes(len(request)):
            raise wrong_arity(command.name)
        if command.subcommands:
            raise unknown_subcommand(request)
        if self.password is not None and not session.authenticated and command.name not in _BEFORE_AUTH:
            raise CommandError("NOAUTH Authentication required.")
        if self.denial is not None:
            self._refuse_denied(command, self.denial, everything=True)
        if session.subscriptions and not session.resp3 and not command.subscribed:
            raise CommandError(
                f"ERR Can't execute '{command.name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET "
                "are allowed in this context"
            )
        return command

    # -- clients

    def deliver(self, session: Session, data: bytes) -> None:
        """Send a subscriber a message, unless it leaves too much unread: then it is disconnected, as Redis does."""
        if self.loses is not None and self.loses(session):
            self.stats.dropped += 1
            return
        session.wire.write(data)
        self.stats.delivered += 1
        if session.overflows(self.limit, self.now()):
            self.stats.overflowed += 1
            self.disconnect(session)

    def disconnect(self, session: Session) -> None:
        """Break a client's connection."""
        self.forget(session)
        session.wire.abort()

    def forget(self, session: Session) -> None:
        """A client is gone."""
        session.ended = True
        self.hub.forget(session)
        self.sessions.pop(session, None)
