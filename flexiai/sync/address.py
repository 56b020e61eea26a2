"""Redis by its name: bounds on what is done there, and errors that name it and show no secret."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.exceptions import RedisError

from flexiai.errors import SyncError
from flexiai.sync.target import Target

HIDDEN = "***"
_QUOTED_BACK = ", with args beginning with:"  # a server that does not know AUTH repeats what came after it


class Address:
    """A place's name: host:port, a path, or those who know where it is. Its text has no secret."""

    def __init__(self, target: Target) -> None:
        self._where = str(target)
        self._secrets = target.secrets

    def __str__(self) -> str:
        return self._where

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
        said = (str(error) or type(error).__name__).partition(_QUOTED_BACK)[0]
        for secret in self._secrets:
            said = said.replace(secret, HIDDEN)
        return SyncError(f"Redis at {self}: {said}")
