"""One subscription: a connection of its own, read by one task, proven alive by PING and a deadline for its PONG.

redis-py's `PubSub` reconnects behind its user's back, which would hide the very gap after which all records must be
read again. So this stands on redis-py's connection, one floor below.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from flexiai.errors import SyncError
from flexiai.sync.address import Address
from flexiai.sync.bus import Notice
from flexiai.sync.codec import Malformed, log_malformed


class RedisSubscription:
    """A live subscription to the channels of some providers. `channels`: each with its provider, and how to read what
    is said there (Malformed: it cannot be read). `now_ms` tells the store's time, if it is known."""

    def __init__(
        self,
        connection: AbstractConnection,
        channels: Mapping[bytes, tuple[str, Callable[[str, bytes, float | None], Notice]]],
        address: Address,
        now_ms: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._connection = connection
        self._channels = channels
        self._address = address
        self._now_ms = now_ms
        self._early: list[Notice] = []  # came before the last channel was confirmed, newest first
        self._pings = 0

    async def open(self, timeout_s: float) -> None:
        """Connect, subscribe, and await the confirmation of every channel."""
        async with self._address.bounded(timeout_s):
            connect: Any = self._connection.connect  # untyped in redis-py
            await connect()
            await self._connection.send_command("SUBSCRIBE", *self._channels)
            awaited = set(self._channels)
            while awaited:
                match await self._connection.read_response(disable_decoding=True):
                    case [b"subscribe", channel, _]:
                        awaited.discard(channel)
                    case message:
                        self._early[:0] = self._heard(message)

    async def next(self, timeout_s: float) -> Notice | None:
        """The next notice, or None when none came in time. Raises SyncError when the subscription is lost."""
        if self._early:
            return self._early.pop()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while (message := await self._receive(deadline - loop.time())) is not None:
            for notice in self._heard(message):
                return notice
        return None

    async def ping(self, timeout_s: float) -> list[Notice]:
        """Prove that the subscription is alive; the notices that came meanwhile. SyncError without a pong in time."""
        self._pings += 1
        word = str(self._pings).encode()
        heard: list[Notice] = []
        if not self._connection.is_connected:  # redis-py would connect again here, subscribed to nothing
            raise SyncError(f"Redis at {self._address}: the subscription is closed")
        async with self._address.bounded(timeout_s):
            await self._connection.send_command("PING", word)
            while (message := await self._connection.read_response(disable_decoding=True)) != [b"pong", word]:
                heard += self._heard(message)
        return heard

    async def close(self) -> None:
        """Close the connection, without waiting for the other side."""
        with contextlib.suppress(RedisError, OSError):
            await self._connection.disconnect(nowait=True)

    async def _receive(self, timeout_s: float) -> Any:
        """The next message as redis-py parses it (a list), or None when none came in time; what came stays whole."""
        try:
            return await self._connection.read_response(disable_decoding=True, timeout=max(0.0, timeout_s))
        except (RedisError, OSError) as error:
            raise self._address.error(error) from None

    def _heard(self, message: Any) -> list[Notice]:
        """The fact in a message: one, or none when it is not a notice of ours."""
        match message:
            case [b"message", channel, bytes(raw)] if channel in self._channels:
                provider, read = self._channels[channel]
                try:
                    return [read(provider, raw, self._now_ms())]
                except Malformed as error:
                    log_malformed(channel.decode(), provider, error)
        return []
