"""A store at the other end of a slow and lossy way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

from flexiai.core.circuit import Proposal
from flexiai.core.evidence import Report, Terms
from flexiai.errors import SyncError
from flexiai.sync.bus import Notice, Streak, Subscription, Verdict
from flexiai.sync.memory import MemoryBus, MemoryStore
from tests.flexiai.sync.fleet import QUICK, Faulty

MOST_S = 0.05  # each way


class Distant(Faulty):
    """A store that is up to MOST_S away, each way; with `loss`, that share of commands, answers and notices is lost."""

    def __init__(self, store: MemoryStore, rng: Random, loss: float) -> None:
        super().__init__(MemoryBus(store))
        self.rng = rng
        self.loss = loss

    async def way(self) -> None:
        await asyncio.sleep(self.rng.uniform(0.0, MOST_S))
        if self.rng.random() < self.loss:
            await asyncio.sleep(QUICK.operation_timeout_s)
            raise SyncError("lost on the way")

    @asynccontextmanager
    async def subscribe(self, providers: tuple[str, ...]) -> AsyncIterator[Subscription]:
        async with self._bus.subscribe(providers) as subscription:
            yield DistantSubscription(self, subscription)

    async def propose(self, provider: str, proposal: Proposal, age_s: float) -> Verdict:
        await self.way()
        verdict = await self._bus.propose(provider, proposal, age_s)
        await self.way()
        return verdict

    async def report(self, provider: str, report: Report, terms: Terms) -> Verdict:
        await self.way()
        verdict = await self._bus.report(provider, report, terms)
        await self.way()
        return verdict


class DistantSubscription:
    """Its notices take their time, too."""

    def __init__(self, bus: Distant, subscription: Subscription) -> None:
        self._bus = bus
        self._subscription = subscription

    async def next(self, timeout_s: float) -> Notice | None:
        notice = await self._subscription.next(timeout_s)
        if notice is None:
            return None
        transit_s = self._bus.rng.uniform(0.0, MOST_S / 4)
        await asyncio.sleep(transit_s)
        if self._bus.rng.random() < self._bus.loss:
            return None
        return replace(notice, since_s=notice.since_s + transit_s) if isinstance(notice, Streak) else notice

    async def ping(self, timeout_s: float) -> list[Notice]:
        return await self._subscription.ping(timeout_s)
