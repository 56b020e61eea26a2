"""Redis by its name: bounds on what is done there, and errors that name it and show no secret."""

from __future__ import annotations

from types import TracebackType

from redis.exceptions import RedisError

from flexiai.errors import SyncError
from flexiai.limit import Limit
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

    def bounded(self, timeout_s: float) -> Bounded:
        """What happens inside ends within `timeout_s`; whatever Redis or the network do to it is a SyncError.

        Our own standstill is not taken for Redis's silence (`Limit`).
        """
        return Bounded(self, timeout_s)

    def error(self, error: Exception) -> SyncError:
        """`error` as a SyncError, without anything that must stay secret."""
        said = (str(error) or type(error).__name__).partition(_QUOTED_BACK)[0]
        for secret in self._secrets:
            said = said.replace(secret, HIDDEN)
        return SyncError(f"Redis at {self}: {said}")


class Bounded:
    """`async with address.bounded(…)`."""

    __slots__ = ("_address", "_limit", "_timeout_s")

    def __init__(self, address: Address, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._limit = Limit(timeout_s)

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._limit.__aexit__(kind, error, trace)
        except TimeoutError as late:
            error = late
        if isinstance(error, TimeoutError):
            raise SyncError(f"Redis at {self._address} did not answer within {self._timeout_s:g} s") from None
        if isinstance(error, RedisError | OSError):
            raise self._address.error(error) from None
