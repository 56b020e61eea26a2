"""Where Redis is and how it lets us in; and errors that name the first and hide the second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from flexiai.errors import ConfigurationError, SyncError
from flexiai.types import SyncConfig

HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class Address:
    """A Redis server. Its text is host:port or a path; its secrets are in no text."""

    _where: str
    _options: dict[str, Any] = field(repr=False)  # redis-py's own names for what the settings say

    @classmethod
    def of(cls, config: SyncConfig) -> Address:
        """From the URL if there is one, else from the parts; ConfigurationError for a URL that is none."""
        options = _from_url(config.redis_url.get_secret_value()) if config.redis_url else _from_parts(config)
        where = options.get("path") or f"{options.setdefault('host', 'localhost')}:{options.setdefault('port', 6379)}"
        return cls(where, options)

    def __str__(self) -> str:
        return self._where

    def options(self, timeout_s: float) -> dict[str, Any]:
        """What redis-py needs to know. One deadline is enough: each operation's own (`bounded`)."""
        return self._options | {
            "protocol": 2,
            "driver_info": None,  # no CLIENT SETINFO: servers before 7.2 answer it with an error
            "retry": Retry(NoBackoff(), 0),
            "health_check_interval": 0,
            "decode_responses": False,
            "socket_timeout": None,
            "socket_connect_timeout": timeout_s,  # also bounds a disconnect
        }

    @asynccontextmanager
    async def bounded(self, timeout_s: float) -> AsyncIterator[None]:
        """What happens inside ends within `timeout_s`; whatever Redis or the network do to it is a SyncError."""
        try:
            async with asyncio.timeout(timeout_s):
                yield
        except TimeoutError:
            raise SyncError(f"Redis at {self} did not answer within {timeout_s:g} s") from None
        except (RedisError, OSError) as error:
            raise self.error(error) from None

    def error(self, error: Exception) -> SyncError:
        """`error` as a SyncError, without anything that must stay secret."""
        said = str(error) or type(error).__name__
        for secret in filter(None, (self._options.get("password"), self._options.get("ssl_password"))):
            said = said.replace(secret, HIDDEN)
        return SyncError(f"Redis at {self}: {said}")


def _from_url(url: str) -> dict[str, Any]:
    try:
        return dict(parse_url(url))
    except ValueError:
        raise ConfigurationError("redis_url is not a redis://, rediss:// or unix:// URL with valid options") from None


def _from_parts(config: SyncConfig) -> dict[str, Any]:
    password = config.redis_password.get_secret_value() if config.redis_password else None
    return {
        "host": config.redis_host,
        "port": config.redis_port,
        "db": config.redis_db,
        "username": config.redis_username,
        "password": password or None,
    }
