"""The way to Redis: commands, and connections for subscriptions, to one server or to a primary that moves.

Rules
-----
* Nothing is retried here. A redirection by a cluster is followed: the command was not executed.
* A connection to a primary that moves finds its place when it connects; when the primary is known to be elsewhere, all
  connections to the old one are closed at once, those of subscriptions, too: nobody listens where nobody speaks.
* Whatever a command ends with but an answer puts the place in doubt: the next one asks first.
* Whoever calls bounds the time (`Address.bounded`).

redis-py has clients of its own, for Sentinel and Cluster, too; they wait and retry by their own rules. A connection of
its does not retry unless it is told to.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol
from weakref import WeakSet

from redis.asyncio.connection import AbstractConnection, Connection, UnixDomainSocketConnection
from redis.crc import key_slot
from redis.event import EventDispatcher
from redis.exceptions import AskError, MovedError, NoScriptError, ReadOnlyError
from redis.exceptions import ConnectionError as RedisConnectionError

from flexiai.sync.connections import Connections
from flexiai.sync.target import Place, Target
from flexiai.sync.tls import TcpConnection
from flexiai.sync.whereabouts import ClusterGuide, SentinelGuide, Whereabouts

MAX_CONNECTIONS = 4
MAX_REDIRECTIONS = 3


class Way(Protocol):
    """How commands and subscriptions get to Redis."""

    async def execute(self, *words: str | int) -> Any:
        """The reply to a command, as redis-py has parsed it."""
        ...

    def connection(self) -> AbstractConnection:
        """A connection of its own, not yet connected."""
        ...

    async def aclose(self) -> None:
        """Close every connection for commands."""
        ...


def way_to(target: Target, timeout_s: float, key: str) -> Way:
    """The way there. `key`: one of ours, whose slot in a cluster is that of all."""
    options = _options(target)
    if target.kind == "server":
        return ServerWay(target, options)
    return PrimaryWay(target, options, timeout_s, key.encode())


class ServerWay:
    """To one server."""

    def __init__(self, target: Target, options: dict[str, Any]) -> None:
        (place,) = target.places
        if not place.port:
            self._made: Callable[[], AbstractConnection] = partial(
                UnixDomainSocketConnection, path=place.host, **options
            )
        elif target.tls is not None:
            self._made = partial(TcpConnection, host=place.host, port=place.port, tls=target.tls, **options)
        else:
            self._made = partial(Connection, host=place.host, port=place.port, **options)
        self._connections = Connections(self._made, MAX_CONNECTIONS)

    async def execute(self, *words: str | int) -> Any:
        """The reply to a command. One that is no primary any more is left: its name may lead to another by now."""
        try:
            return await self._connections.execute(*words)
        except ReadOnlyError:
            await self._connections.disconnect()
            raise

    def connection(self) -> AbstractConnection:
        """A connection of its own, not yet connected."""
        return self._made()

    async def aclose(self) -> None:
        """Close every connection for commands."""
        await self._connections.disconnect()


class PrimaryWay:
    """To a primary that moves."""

    def __init__(self, target: Target, options: dict[str, Any], timeout_s: float, key: bytes) -> None:
        self._options = options | {"tls": target.tls}
        guide = SentinelGuide(target.service) if target.kind == "sentinel" else ClusterGuide(key_slot(key))
        self._guards = target.guard if target.kind == "sentinel" else target.login
        self._whereabouts = Whereabouts(guide, target.places, self._to_guide, self._moved, timeout_s / 2)
        self._made = partial(_PrimaryConnection, whereabouts=self._whereabouts, host="", port=0, **self._options)
        self._connections = Connections(self._made, MAX_CONNECTIONS)
        self._lent: WeakSet[AbstractConnection] = WeakSet()

    async def execute(self, *words: str | int) -> Any:
        """The reply to a command, wherever a cluster sends us for it."""
        redirections = 0
        while True:
            await self._whereabouts.now()
            try:
                return await self._connections.execute(*words)
            except NoScriptError:
                raise
            except MovedError as moved:
                if (redirections := redirections + 1) > MAX_REDIRECTIONS:
                    raise
                await self._whereabouts.heard(await self._redirected(moved))
            except AskError as asked:
                return await self._execute_once(await self._redirected(asked), *words)
            except BaseException:
                self._whereabouts.doubt()
                raise

    def connection(self) -> AbstractConnection:
        """A connection of its own, not yet connected; closed when the primary moves."""
        connection = self._made()
        self._lent.add(connection)
        return connection

    async def aclose(self) -> None:
        """Close every connection for commands."""
        await self._connections.disconnect()

    async def _moved(self) -> None:
        await self._connections.disconnect()
        for connection in tuple(self._lent):
            await connection.disconnect(nowait=True)

    async def _redirected(self, to: MovedError | AskError) -> Place:
        """A node that leaves its own host out means the one that we asked."""
        return Place(to.host or (await self._whereabouts.now()).host, to.port)

    async def _execute_once(self, place: Place, *words: str | int) -> Any:
        """A slot is on its way there: this one command is answered there already."""
        connection = TcpConnection(host=place.host, port=place.port, **self._options)
        try:
            connect: Any = connection.connect
            await connect()
            for command in (("ASKING",), words):
                await connection.send_command(*command)
                reply = await connection.read_response(disable_decoding=True)
            return reply
        finally:
            await connection.disconnect()

    def _to_guide(self, place: Place) -> Connection:
        return TcpConnection(host=place.host, port=place.port, **(self._options | self._guards.options() | {"db": 0}))


class _PrimaryConnection(TcpConnection):
    """A connection that looks up where it leads when it connects, and whose end puts that in doubt."""

    def __init__(self, *, whereabouts: Whereabouts, **options: Any) -> None:
        super().__init__(**options)
        self._whereabouts = whereabouts

    async def connect(self) -> None:
        """Connected to where the primary is now, whatever it was connected to."""
        place = await self._whereabouts.now()
        if (self.host, self.port) != (place.host, place.port):
            await super().disconnect()
            self.host, self.port = place.host, place.port
        connect: Any = super().connect
        try:
            await connect()
        except BaseException:
            self._whereabouts.doubt()
            raise
        if await self._whereabouts.now() != place:
            await self.disconnect()
            raise RedisConnectionError(f"the primary has left {place}")

    async def disconnect(self, nowait: bool = False, *args: Any, **options: Any) -> None:
        """Closed; whether the primary is still there must be asked."""
        self._whereabouts.doubt()
        await super().disconnect(nowait, *args, **options)


def _options(target: Target) -> dict[str, Any]:
    """What redis-py needs to know. One deadline is enough: each operation's own (`Address.bounded`)."""
    return target.login.options() | {
        "db": target.db,
        "client_name": target.client_name,
        "protocol": 2,
        "driver_info": None,  # no CLIENT SETINFO: servers before 7.2 answer it with an error
        "event_dispatcher": EventDispatcher(),  # one for all: none of its events concerns us
        "health_check_interval": 0,
        "decode_responses": False,
        "socket_timeout": None,
        "socket_connect_timeout": None,
    }
