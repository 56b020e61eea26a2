"""Tells the fleet of one breaker's transitions: the latest, off every caller's path, until the store answers."""

from __future__ import annotations

import asyncio
import contextlib

from flexiai.core.breaker import Breaker
from flexiai.core.circuit import Proposal
from flexiai.errors import SyncError
from flexiai.events import ProposalFailed, ProposalSent
from flexiai.sync.bus import Bus
from flexiai.sync.facts import Facts
from flexiai.sync.link import Link
from flexiai.sync.site import Site
from flexiai.sync.watch import Summons


class Proposer:
    """One provider's way to the store. What waits is the breaker's own `proposal`: one at most."""

    def __init__(self, site: Site, breaker: Breaker, bus: Bus, facts: Facts, link: Link) -> None:
        self._site = site
        self._breaker = breaker
        self._bus = bus
        self._facts = facts
        self._link = link
        self._backoff = site.backoff()
        self.summons = Summons()

    def wake(self) -> None:
        """There may be something to tell, or the store may be back."""
        if self._breaker.proposal is not None:
            self.summons.set()

    async def run(self) -> None:
        """Tell for ever."""
        while True:
            await self.summons.wait()
            self.summons.clear()
            while (proposal := self._breaker.proposal) is not None:
                if not await self._send(proposal):
                    await self._pause()

    async def _send(self, proposal: Proposal) -> bool:
        provider = self._breaker.provider
        self._site.emit(
            ProposalSent(
                t=self._site.now(),
                worker=self._site.worker,
                provider=provider,
                state=proposal.state,
                base=proposal.base,
            )
        )
        with self._facts.answer_awaited(provider):
            try:
                age_s = max(0.0, self._site.now() - proposal.seen_at)
                verdict = await self._link.asking(self._bus.propose(provider, proposal, age_s))
            except SyncError as error:
                self._site.emit(
                    ProposalFailed(t=self._site.now(), worker=self._site.worker, provider=provider, error=str(error))
                )
                return False
            self._backoff.reset()
            self._facts.answered(provider, proposal, verdict)
        return True

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._backoff.next()):
                await self.summons.wait()
        self.summons.clear()
