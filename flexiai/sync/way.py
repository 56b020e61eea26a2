"""The way to Redis: commands, and connections for subscriptions, to one server or to a primary that moves.

Rules
-----
* Nothing is retried here. A redirection by a cluster is followed: the command was not executed.
* A connection to a primary that moves finds its place when it connects; when the primary is known to be elsewhere, all
  connections to the old one are closed at once, those of subscriptions, too: nobody listens where nobody speaks.
* Whatever a command ends with but an answer puts the place in doubt: the next one asks first.
* Whoever calls bounds the time (`Address.bounded`).

redis-py has clients of its own for Sentinel and Cluster; they wait and retry by their own rules.
"""

from __future__ import annotations

from typing import Any, Protocol
from weakref import WeakSet

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection, Connection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import AskError, MovedError, NoScriptError, ReadOnlyError
from redis.exceptions import ConnectionError as RedisConnectionError

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
    options = _options(target, timeout_s)
    if target.kind == "server":
        return ServerWay(target, options)
    return PrimaryWay(target, options, timeout_s, key.encode())


class ServerWay:
    """To one server."""

    def __init__(self, target: Target, options: dict[str, Any]) -> None:
        (place,) = target.places
        if not place.port:
            options |= {"connection_class": UnixDomainSocketConnection, "path": place.host}
        else:
            options |= {"host": place.host, "port": place.port}
        if target.tls is not None:
            options |= {"connection_class": TcpConnection, "tls": target.tls}
        self._pool = _pool(options)
        self._redis = Redis(connection_pool=self._pool)

    async def execute(self, *words: str | int) -> Any:
        """The reply to a command. One that is no primary any more is left: its name may lead to another by now."""
        execute: Any = self._redis.execute_command  # untyped in redis-py
        try:
            return await execute(*words)
        except ReadOnlyError:
            await self._pool.disconnect()
            raise

    def connection(self) -> AbstractConnection:
        """A connection of its own, not yet connected."""
        return _made(self._pool)

    async def aclose(self) -> None:
        """Close every connection for commands."""
        await self._pool.aclose()


class PrimaryWay:
    """To a primary that moves."""

    def __init__(self, target: Target, options: dict[str, Any], timeout_s: float, key: bytes) -> None:
        self._options = options | {"tls": target.tls}
        guide = SentinelGuide(target.service) if target.kind == "sentinel" else ClusterGuide(key_slot(key))
        self._guards = target.guard if target.kind == "sentinel" else target.login
        self._whereabouts = Whereabouts(guide, target.places, self._to_guide, self._moved, timeout_s / 2)
        self._pool = _pool(
            self._options
            | {"connection_class": _PrimaryConnection, "whereabouts": self._whereabouts, "host": "", "port": 0}
        )
        self._redis = Redis(connection_pool=self._pool)
        self._lent: WeakSet[AbstractConnection] = WeakSet()

    async def execute(self, *words: str | int) -> Any:
        """The reply to a command, wherever a cluster sends us for it."""
        execute: Any = self._redis.execute_command
        redirections = 0
        while True:
            await self._whereabouts.now()
            try:
                return await execute(*words)
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
        connection = _made(self._pool)
        self._lent.add(connection)
        return connection

    async def aclose(self) -> None:
        """Close every connection for commands."""
        await self._pool.aclose()

    async def _moved(self) -> None:
        await self._pool.disconnect()
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


def _options(target: Target, timeout_s: float) -> dict[str, Any]:
    """What redis-py needs to know. One deadline is enough: each operation's own (`Address.bounded`)."""
    return target.login.options() | {
        "db": target.db,
        "client_name": target.client_name,
        "protocol": 2,
        "driver_info": None,  # no CLIENT SETINFO: servers before 7.2 answer it with an error
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        "decode_responses": False,
        "socket_timeout": None,
        "socket_connect_timeout": timeout_s,  # also bounds a disconnect
    }


def _pool(options: dict[str, Any]) -> BlockingConnectionPool:
    return BlockingConnectionPool(max_connections=MAX_CONNECTIONS, timeout=None, **options)


def _made(pool: BlockingConnectionPool) -> AbstractConnection:
    make: Any = pool.make_connection  # untyped in redis-py
    connection: AbstractConnection = make()
    return connection
