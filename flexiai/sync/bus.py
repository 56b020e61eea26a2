"""The seam to the fleet's store: what the replicator needs of Redis, or of memory.

Every operation is bounded in time and raises `SyncError` when the store cannot be reached. Facts arrive as `Told`:
the circuit together with how long it still has to stay open, so that nobody compares clocks.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from flexiai.core.circuit import Circuit, Proposal
from flexiai.core.evidence import Report, Terms


@dataclass(frozen=True, slots=True)
class Told:
    """A fact as it reached us, with its times in seconds, counted from when the store said so.

    left_s     until a probe is due; or, of a CLOSED one, until all traffic is back
    held_s     for how long an operator's hold is still in force
    age_s      how long ago its evidence was seen
    transit_s  how long it has been on its way, as far as we know the store's clock: told, never decided by
    """

    provider: str
    circuit: Circuit
    left_s: float
    held_s: float = 0.0
    age_s: float = 0.0
    transit_s: float = field(default=0.0, compare=False)

    @classmethod
    def at(cls, provider: str, circuit: Circuit, now_ms: int) -> Told:
        """`circuit`, as told at the store's time `now_ms`."""
        age_ms = max(0, now_ms - circuit.since_ms) if circuit.epoch else 0
        return cls(
            provider, circuit, circuit.left_ms(now_ms) / 1000, circuit.held_left_ms(now_ms) / 1000, age_ms / 1000
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """The store's answer to a proposal, a report or a restored record: what it now holds, and whether it took ours.

    noted     it stands, and our opening was noted as a vote
    failures  of a report: how many failures of the fleet stand, that no success has ended
    """

    accepted: bool
    told: Told
    noted: bool = False
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Streak:
    """The fleet has begun to fail on a provider. `since_s`: how long ago the first of its failures was."""

    provider: str
    epoch: int
    failures: int
    workers: int
    since_s: float


Notice = Told | Streak


@dataclass(frozen=True, slots=True)
class Round:
    """How far a round of probes has come: `succeeded` of them, on the record of `epoch`. None yet: all zero."""

    epoch: int = 0
    succeeded: int = 0


class Hold(IntEnum):
    """What has become of a lease that its holder renews: no longer its own; kept; kept, and another wants it."""

    GONE = 0
    OURS = 1
    WANTED = 2


class Subscription(Protocol):
    """A live subscription to every transition of the fleet, and to the beginnings of its streaks."""

    async def next(self, timeout_s: float) -> Notice | None:
        """The next notice, or None when none came in time. Raises SyncError when the subscription is lost."""
        ...

    async def ping(self, timeout_s: float) -> list[Notice]:
        """Prove that the subscription is alive; the notices that came meanwhile. SyncError without a pong in time."""
        ...


class Bus(Protocol):
    """The fleet's store and its notices."""

    def subscribe(self, providers: tuple[str, ...]) -> AbstractAsyncContextManager[Subscription]:
        """Subscribed, and confirmed by the store, on entry."""
        ...

    async def read(self) -> dict[str, Told]:
        """All records, in one round trip. Providers without a record are absent."""
        ...

    async def propose(self, provider: str, proposal: Proposal, age_s: float) -> Verdict:
        """Compare, store and publish in one step (`core.evidence.judge`); `age_s`: how old the evidence is."""
        ...

    async def report(self, provider: str, report: Report, terms: Terms) -> Verdict:
        """Tell how this worker fares; store, open and publish in one step (`core.evidence.hear`)."""
        ...

    async def restore(self, provider: str, circuit: Circuit) -> Verdict:
        """Write back a record that the store has lost or holds otherwise (`core.circuit.reseed`)."""
        ...

    async def acquire(self, provider: str, token: str, ttl_s: float) -> Round | None:
        """Take the probe lease if nobody has it (or the owner of `token` does): what its last holder has left of a
        round. None: another has it, and will know that it is wanted. A token is `owner:number`."""
        ...

    async def renew(self, provider: str, token: str, ttl_s: float, so_far: Round) -> Hold:
        """Keep the probe lease, if it is still ours. Whoever has it next goes on from `so_far`."""
        ...

    async def release(self, provider: str, token: str, ttl_s: float, so_far: Round) -> None:
        """Give the probe lease back, if it is still ours; `so_far` is left to the next holder for `ttl_s`."""
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...
