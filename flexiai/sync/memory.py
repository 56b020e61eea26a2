"""The fleet's store inside one process: the same promises as Redis, by the same pure rules.

Several clients of one process that share a `MemoryStore` are a fleet. Nothing here can be unreachable.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from flexiai.core.circuit import Circuit, Proposal, reseed
from flexiai.core.evidence import Evidence, Report, Terms, hear, judge
from flexiai.errors import SyncError
from flexiai.sync.bus import Hold, Notice, Round, Streak, Told, Verdict

_NOTHING = Round()


@dataclass(slots=True)
class _Lease:
    """`holder` None: nobody's, but a round waits for the next one."""

    holder: str | None
    until: float
    wanted: bool = False
    so_far: Round = _NOTHING


@dataclass(slots=True)
class MemoryStore:
    """What a fleet shares. `now`: the store's clock, in seconds (any origin; the clients' clocks do not matter)."""

    now: Callable[[], float]
    records: dict[str, Circuit] = field(default_factory=dict)
    evidence: dict[str, Evidence] = field(default_factory=dict)
    leases: dict[str, _Lease] = field(default_factory=dict)
    listeners: list[MemorySubscription] = field(default_factory=list)

    def told(self, provider: str, now_ms: int | None = None) -> Told:
        """What is held about a provider, now (or at `now_ms`)."""
        return Told.at(provider, self.records.get(provider, Circuit()), self.now_ms() if now_ms is None else now_ms)

    def keep(self, provider: str, circuit: Circuit | None, now_ms: int) -> Verdict:
        """Store and tell everybody, if there is something new. All of it is of one moment, as in a script."""
        if circuit is not None:
            self.records[provider] = circuit
        told = self.told(provider, now_ms)
        if circuit is not None:
            self.publish(told)
        return Verdict(circuit is not None, told)

    def publish(self, notice: Notice) -> None:
        """Tell everybody who listens."""
        for listener in tuple(self.listeners):
            listener.hear(notice)

    def lease(self, provider: str) -> _Lease | None:
        """The lease on a provider, unless it has expired."""
        lease = self.leases.get(provider)
        return lease if lease is not None and self.now() < lease.until else None

    def now_ms(self) -> int:
        """The store's clock in whole milliseconds."""
        return int(self.now() * 1000)


class MemorySubscription:
    """One listener's queue of notices."""

    def __init__(self, providers: tuple[str, ...]) -> None:
        self._providers = frozenset(providers)
        self._notices: asyncio.Queue[Notice] = asyncio.Queue()

    def hear(self, notice: Notice) -> None:
        """A notice arrives."""
        if notice.provider in self._providers:
            self._notices.put_nowait(notice)

    async def next(self, timeout_s: float) -> Notice | None:
        """The next notice, or None when none came in time."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._notices.get()
        except TimeoutError:
            return None

    async def ping(self, timeout_s: float) -> list[Notice]:
        """Always alive; the notices that wait."""
        return [self._notices.get_nowait() for _ in range(self._notices.qsize())]


class MemoryBus:
    """One client's way to a `MemoryStore`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._closed = False

    @asynccontextmanager
    async def subscribe(self, providers: tuple[str, ...]) -> AsyncIterator[MemorySubscription]:
        """Every transition of these providers from now on."""
        subscription = MemorySubscription(providers)
        self._open.listeners.append(subscription)
        try:
            yield subscription
        finally:
            self._store.listeners.remove(subscription)

    async def read(self) -> dict[str, Told]:
        """All records."""
        return {provider: self._open.told(provider) for provider in self._store.records}

    async def propose(self, provider: str, proposal: Proposal, age_s: float) -> Verdict:
        """`core.evidence.judge`, at once."""
        store, held, now_ms = self._open, self._held(provider), self._open.now_ms()
        stored = store.told(provider, now_ms).circuit
        after, accepted, noted = judge(held, stored, proposal, round(age_s * 1000), now_ms)
        store.evidence[provider] = after
        return replace(store.keep(provider, accepted, now_ms), noted=noted)

    async def report(self, provider: str, report: Report, terms: Terms) -> Verdict:
        """`core.evidence.hear`, at once."""
        store, stored, now_ms = self._open, self._open.told(provider).circuit, self._store.now_ms()
        after, opened, begun = hear(self._held(provider), stored, report, terms, now_ms)
        store.evidence[provider] = after
        if begun:
            store.publish(Streak(provider, stored.epoch, after.count, after.workers, (now_ms - after.first_ms) / 1000))
        counted = opened.failure_count if opened else after.count if after.epoch == report.base == stored.epoch else 0
        return replace(store.keep(provider, opened, now_ms), failures=counted)

    async def restore(self, provider: str, circuit: Circuit) -> Verdict:
        """`core.circuit.reseed`, at once."""
        store, now_ms = self._open, self._open.now_ms()
        return store.keep(provider, reseed(store.told(provider, now_ms).circuit, circuit), now_ms)

    async def acquire(self, provider: str, token: str, ttl_s: float) -> Round | None:
        """Take the probe lease if nobody has it (or the owner of `token` does)."""
        lease = self._open.lease(provider) or _Lease(None, 0.0)
        if lease.holder is not None and _owner(lease.holder) != _owner(token):
            lease.wanted = True
            return None
        self._store.leases[provider] = lease
        lease.holder, lease.until = token, self._store.now() + ttl_s
        return lease.so_far

    async def renew(self, provider: str, token: str, ttl_s: float, so_far: Round) -> Hold:
        """Keep the probe lease, if it is still ours."""
        lease = self._open.lease(provider)
        if lease is None or lease.holder != token:
            return Hold.GONE
        lease.until = self._store.now() + ttl_s
        lease.so_far = so_far if so_far.succeeded else _NOTHING
        return Hold.WANTED if lease.wanted else Hold.OURS

    async def release(self, provider: str, token: str, ttl_s: float, so_far: Round) -> None:
        """Give the probe lease back, if it is still ours."""
        lease = self._open.lease(provider)
        if lease is None or lease.holder != token:
            return
        del self._store.leases[provider]
        if so_far.succeeded:
            self._store.leases[provider] = _Lease(None, self._store.now() + ttl_s, so_far=so_far)

    async def aclose(self) -> None:
        """No further use."""
        self._closed = True

    def _held(self, provider: str) -> Evidence:
        return self._store.evidence.get(provider, Evidence())

    @property
    def _open(self) -> MemoryStore:
        if self._closed:
            raise SyncError("this bus is closed")
        return self._store


def _owner(token: str) -> str:
    """Whose acquisition it is: a token is `owner:number`."""
    owner, _, number = token.rpartition(":")
    return owner if number.isdecimal() else token
