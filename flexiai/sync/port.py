"""What the failover client knows of sync: a few verbs, none of which ever waits on a request's path.

Rules
-----
* `announce`, `counted`, `want_probe` and `status` are synchronous, O(1), and never fail: a Redis that is down is not
  their matter.
* `start` is bounded by the join timeout, `aclose` by the operation timeout; between them sync minds its own business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SyncStatus:
    """How well this worker hears the fleet.

    enabled            whether there is a fleet at all
    connected          the last word from the store was an answer, not an error
    subscribed         subscribed, confirmed by the store, and all records read since
    staleness_s        age of the last complete view (all records read, or the subscription proven alive); None: never
    reconnects         times the subscription was made again after it was lost
    listener_restarts  times the listener had died of something unforeseen and was started again
    deaf               nothing listens: the listener died and is not back yet
    last_error         what went wrong last, without secrets; None: nothing did
    """

    enabled: bool
    connected: bool = False
    subscribed: bool = False
    staleness_s: float | None = None
    reconnects: int = 0
    listener_restarts: int = 0
    deaf: bool = False
    last_error: str | None = None


class SyncPort(Protocol):
    """A client's line to the other workers."""

    async def start(self) -> bool:
        """Join the fleet; returns once its view was read (True) or after the join timeout (False: it joins later)."""
        ...

    def announce(self, provider: str) -> None:
        """The provider's breaker has a proposal for the fleet; it is sent off the caller's path."""
        ...

    def counted(self, provider: str, *, failed: bool) -> None:
        """The provider's breaker has counted an outcome; whether the fleet is told is decided here."""
        ...

    def want_probe(self, provider: str) -> bool:
        """Whether this worker may probe the provider now. False: it competes for that right in the background."""
        ...

    def status(self) -> SyncStatus:
        """How well this worker hears the fleet, now."""
        ...

    async def aclose(self) -> None:
        """Give back what is held for the fleet and close every connection; bounded, never raises SyncError."""
        ...


class NoSync:
    """The port of a client on its own: it probes whenever a probe is due."""

    async def start(self) -> bool:
        """There is nobody to wait for."""
        return True

    def announce(self, provider: str) -> None:
        """There is nobody to tell."""

    def counted(self, provider: str, *, failed: bool) -> None:
        """Nobody counts with us."""

    def want_probe(self, provider: str) -> bool:
        """There is nobody to compete with."""
        return True

    def status(self) -> SyncStatus:
        """Not enabled, and therefore never stale."""
        return SyncStatus(enabled=False)

    async def aclose(self) -> None:
        """There is nothing to close."""
