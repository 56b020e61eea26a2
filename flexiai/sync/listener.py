"""Hears the fleet: subscribes, reads all records, applies notices, and makes sure that it is not deaf.

Rules
-----
* First subscribe, then read, and that again after each loss: no transition can fall between the two.
* Nothing depends on a notice arriving: all records are read every reconcile interval, with jitter.
* A subscription that no PONG comes back on is dead, whatever TCP says.
* What the store has lost, or holds otherwise under the same epoch, is written back (`core.circuit.reseed`).
* Any failure ends the session; the next one begins after a backoff with jitter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from flexiai.core.breaker import Breaker
from flexiai.core.circuit import Circuit
from flexiai.errors import SyncError
from flexiai.events import RecordRestored
from flexiai.sync.bus import Bus, Notice, Streak, Subscription, Told
from flexiai.sync.facts import Facts
from flexiai.sync.link import Link
from flexiai.sync.site import Site
from flexiai.sync.watch import end


class Listener:
    """One worker's ear. `joined` is called whenever it is subscribed and has read all records, `failing` when the fleet
    begins to fail on a provider."""

    def __init__(
        self,
        site: Site,
        bus: Bus,
        breakers: Mapping[str, Breaker],
        facts: Facts,
        link: Link,
        *,
        joined: Callable[[], None],
        failing: Callable[[Streak], None],
    ) -> None:
        self._site = site
        self._bus = bus
        self._breakers = breakers
        self._facts = facts
        self._link = link
        self._joined = joined
        self._failing = failing
        self._backoff = site.backoff()

    async def run(self) -> None:
        """Listen for ever, one session after the other."""
        while True:
            try:
                await self._session()
            except SyncError as error:
                self._link.down(error)
            await asyncio.sleep(self._backoff.next())

    async def read_all(self) -> None:
        """One read of all records, applied; what the store has lost is written back."""
        known = {provider: breaker.circuit for provider, breaker in self._breakers.items()}
        asked_at = self._site.now()
        records = await self._link.asking(self._bus.read())
        for provider, circuit in known.items():
            told = records.get(provider) or Told(provider, Circuit(), 0.0)
            if _lost(circuit, told.circuit):
                await self._restore(provider, circuit)
            else:
                self._facts.read(told)
        self._link.viewed(asked_at)

    async def _session(self) -> None:
        async with self._bus.subscribe(tuple(self._breakers)) as subscription:
            await self.read_all()
            self._backoff.reset()
            self._link.up()
            self._joined()
            await self._until_lost(subscription)

    async def _until_lost(self, subscription: Subscription) -> None:
        """Listen and reconcile until one of the two fails. No TaskGroup: one that fails while it is cancelled (Python
        3.11) forgets the cancellation, and the listener would outlive its worker."""
        both = [
            asyncio.create_task(self._listen(subscription), name=f"{self._site.worker}-listen"),
            asyncio.create_task(self._reconcile(), name=f"{self._site.worker}-reconcile"),
        ]
        try:
            ended, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end(*both)
        for task in sorted((task for task in both if task in ended), key=_is_loss):  # a set's own order is by chance
            task.result()

    async def _listen(self, subscription: Subscription) -> None:
        while True:
            ping_at = self._site.now() + self._site.config.health_interval_s
            while (left_s := ping_at - self._site.now()) > 0:
                notice = await subscription.next(left_s)
                if notice is not None:
                    self._hear(notice)
            asked_at = self._site.now()
            for notice in await self._link.asking(subscription.ping(self._site.config.pong_timeout_s)):
                self._hear(notice)
            self._link.viewed(asked_at)

    def _hear(self, notice: Notice) -> None:
        self._link.heard()
        if isinstance(notice, Streak):
            self._failing(notice)
        else:
            self._facts.noticed(notice)

    async def _reconcile(self) -> None:
        while True:
            await asyncio.sleep(self._site.rng.uniform(0.75, 1.0) * self._site.config.reconcile_interval_s)
            await self.read_all()

    async def _restore(self, provider: str, circuit: Circuit) -> None:
        verdict = await self._link.asking(self._bus.restore(provider, circuit))
        if verdict.accepted:
            epoch = verdict.told.circuit.epoch
            self._site.emit(
                RecordRestored(t=self._site.now(), worker=self._site.worker, provider=provider, epoch=epoch)
            )
        self._facts.read(verdict.told)


def _lost(known: Circuit, held: Circuit) -> bool:
    """Whether the store, which once told us `known`, holds less, or something else, under that epoch."""
    return known.epoch > held.epoch or (known.epoch == held.epoch and known != held)


def _is_loss(ended: asyncio.Task[None]) -> bool:
    """Whether it ended by the loss of the store; what nobody foresaw comes first."""
    return not ended.cancelled() and isinstance(ended.exception(), SyncError)
