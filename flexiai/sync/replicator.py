"""Keeps one worker's breakers and the fleet's store of one mind: the parts, put together behind `SyncPort`.

    listener    subscribes, reads, applies, restores                          one task, watched
    proposers   tell the store of local transitions                           one task a provider, watched, when needed
    reporters   tell how this worker fares while a provider fails              one task a provider, watched, when needed
    gates       compete for the right to probe and keep it                    one task a provider, watched, when needed
    facts       brings what the store says to the breakers and tells of it
    link        knows how well all that goes

Time is the running loop's, chance an injected generator's; there are no threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from random import Random

from flexiai.clock import clock_of
from flexiai.core.breaker import Breaker
from flexiai.errors import SyncError
from flexiai.events import Event
from flexiai.sync.bus import Bus, Streak
from flexiai.sync.facts import Facts
from flexiai.sync.link import Link
from flexiai.sync.listener import Listener
from flexiai.sync.port import SyncStatus
from flexiai.sync.probe_gate import ProbeGate
from flexiai.sync.proposer import Proposer
from flexiai.sync.reporter import Reporter
from flexiai.sync.site import Site
from flexiai.sync.watch import Watched, stop
from flexiai.types import SyncConfig

_log = logging.getLogger(__name__)


class Replicator:
    """A client's line to the other workers (`SyncPort`)."""

    def __init__(
        self,
        *,
        bus: Bus,
        breakers: Mapping[str, Breaker],
        config: SyncConfig,
        emit: Callable[[Event], None],
        worker: str,
        rng: Random,
    ) -> None:
        """Nothing runs before `start`. `breakers` by provider; `worker` must be unique in the fleet."""
        self._site = Site(worker, self._now, emit, config, rng)
        self._bus = bus
        self._clock: Callable[[], float] | None = None
        self._joined = asyncio.Event()
        self._link = Link(self._site)
        facts = Facts(self._site, breakers, stirred=self.announce)
        listener = Listener(
            self._site, bus, breakers, facts, self._link, joined=self._on_joined, failing=self._on_failing
        )
        self._reporters = (
            {provider: Reporter(self._site, breaker, bus, facts, self._link) for provider, breaker in breakers.items()}
            if config.evidence == "fleet"
            else {}
        )
        self._proposers = {
            provider: Proposer(self._site, breaker, bus, facts, self._link) for provider, breaker in breakers.items()
        }
        self._gates = {
            provider: ProbeGate(self._site, breaker, bus, facts, self._link, read_all=listener.read_all)
            for provider, breaker in breakers.items()
        }
        self._ear = Watched(
            f"{worker}-listener",
            listener.run,
            self._site.backoff(),
            died=self._link.listener_died,
            revived=self._link.listener_revived,
        )
        self._hands = [
            *(self._hand(f"{worker}-propose-{name}", part) for name, part in self._proposers.items()),
            *(self._hand(f"{worker}-report-{name}", part) for name, part in self._reporters.items()),
            *(self._hand(f"{worker}-probe-{name}", part) for name, part in self._gates.items()),
        ]

    async def start(self) -> bool:
        """Join the fleet; returns once its view was read (True) or after the join timeout (False: it joins later)."""
        self._clock = clock_of(asyncio.get_running_loop())
        for watched in (self._ear, *self._hands):
            watched.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._site.config.join_timeout_s):
                await self._joined.wait()
        return self._joined.is_set()

    def announce(self, provider: str) -> None:
        """The provider's breaker has changed by itself; the fleet is told off the caller's path."""
        self._proposers[provider].wake()
        self._gates[provider].stir()

    def counted(self, provider: str, *, failed: bool) -> None:
        """The provider's breaker has counted an outcome; the fleet is told off the caller's path, if it is news."""
        if reporter := self._reporters.get(provider):
            reporter.counted(failed=failed)

    def want_probe(self, provider: str) -> bool:
        """Whether this worker may probe the provider now. False: it competes for that right in the background."""
        return self._gates[provider].want()

    def status(self) -> SyncStatus:
        """How well this worker hears the fleet, now."""
        return self._link.status(listening=self._ear.alive)

    async def aclose(self) -> None:
        """Stop, give back held leases, close every connection: at most two operations' time."""
        await stop((self._ear, *self._hands))
        await asyncio.gather(*(gate.aclose() for gate in self._gates.values() if gate.holds))
        with contextlib.suppress(SyncError):
            await self._bus.aclose()

    def _on_joined(self) -> None:
        self._joined.set()
        for provider in self._proposers:
            self.announce(provider)

    def _on_failing(self, streak: Streak) -> None:
        if reporter := self._reporters.get(streak.provider):
            reporter.heard(streak)

    def _now(self) -> float:
        return (self._clock or clock_of(asyncio.get_running_loop()))()

    def _hand(self, name: str, part: Proposer | Reporter | ProbeGate) -> Watched:
        return Watched(
            name,
            part.run,
            self._site.backoff(),
            summons=part.summons,
            died=lambda why: _log.error("%s died and begins anew: %s", name, why),
        )
