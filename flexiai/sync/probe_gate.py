"""One provider's right to probe: competed for in the background, kept while it is used, given back after.

Rules
-----
* A request never waits for the lease: it says that it wants one and goes elsewhere. The lease, once won, turns the
  breaker HALF_OPEN, and a later request of this worker probes. A worker that is denied it goes on competing while its
  demand is fresh, so that somebody holds it at all times.
* Between winning and granting all records are read: the last holder told its result before it gave the lease back.
* A holder that nobody asks to probe keeps the lease only until another worker wants it, and competes again after its
  next request. It is as patient as its search has been long: when that is the time between two requests of one worker,
  a holder lives to see its next one, in whatever order requests come to the workers.
* Whoever gives the lease back stops probing first: the store never has it to give while a probe may begin here. That
  another wants it a holder learns with a renewal, and then decides by what has happened here until that moment.
* One whose lease is lost, or whose store is silent until it must have expired, stops probing.
* The result of a probe reaches the store before the lease goes back, so that nobody probes in between. A round that is
  not over goes to the next holder with the successes it has counted.
* Each acquisition has a token of its own: a release that arrives late cannot free a newer one of the same worker.
* Without the store each worker probes by itself ("alone"), later by its own jitter. When the store is back, such a
  probe needs the lease like any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from typing import Literal

from flexiai.core.breaker import Breaker
from flexiai.core.circuit import State
from flexiai.errors import SyncError
from flexiai.events import ProbeLease
from flexiai.sync.bus import Bus, Hold, Round
from flexiai.sync.facts import Facts
from flexiai.sync.link import Link
from flexiai.sync.site import Site
from flexiai.sync.watch import Summons

ALONE_SHARE = 0.2  # of the open time: the most that a worker without the store waits beyond it
ALONE_MAX_S = 5.0
RENEWALS_PER_LEASE = 3
TRIES_PER_LEASE = 5
FRESH_LEASES = 3  # for so many leases after a request a worker that was denied competes by itself
PATIENCE_MAX = 60  # times `probe_idle_s`: no holder keeps others waiting for longer without a request


class ProbeGate:
    """The gate of one provider. `read_all`: reads and applies all records."""

    def __init__(
        self,
        site: Site,
        breaker: Breaker,
        bus: Bus,
        facts: Facts,
        link: Link,
        *,
        read_all: Callable[[], Awaitable[None]],
    ) -> None:
        self._site = site
        self._breaker = breaker
        self._bus = bus
        self._facts = facts
        self._link = link
        self._config = site.config
        self._owner = f"{site.worker}:{site.rng.getrandbits(64):016x}"
        self._acquisition = 1  # the next one's number; one whose answer is lost is tried again under its own
        self._read_all = read_all
        self.summons = Summons()
        self._stirred = asyncio.Event()
        self._held_until = -math.inf  # the lease is ours, and expires then at the earliest; -inf: it is not ours
        self._asked_at = -math.inf  # when a request last wanted to probe, and nothing has come of it yet
        self._search_epoch = -1
        self._search_began = 0.0  # when a request first did, on that record
        self._alone_life = -1
        self._alone_wait_s = 0.0

    def want(self) -> bool:
        """A request would probe: whether it may. If not, the lease is competed for."""
        self._note_demand()
        if self._link.connected:
            self.summons.set()
            return False
        return self._alone()

    def stir(self) -> None:
        """The breaker may have changed, or the store be back: a probe that goes on without the lease then needs it."""
        self._stirred.set()
        wanted = self._breaker.state is State.HALF_OPEN or self._is_demanded
        if wanted and not self.holds and self._link.connected:
            self.summons.set()

    async def run(self) -> None:
        """Compete and hold, for ever."""
        while True:
            await self.summons.wait()
            self.summons.clear()
            with contextlib.suppress(SyncError):  # the link knows; the next request, or read, begins anew
                if self._probe_due():
                    await self._compete()

    @property
    def holds(self) -> bool:
        """Whether the lease is ours, as far as we know."""
        return self._held_until > -math.inf

    async def aclose(self) -> None:
        """Give the lease back if it is held."""
        if self.holds:
            with contextlib.suppress(SyncError):
                await self._give_back()

    def _note_demand(self) -> None:
        self._asked_at = self._site.now()
        if self._search_epoch != self._breaker.circuit.epoch:
            self._search_epoch = self._breaker.circuit.epoch
            self._search_began = self._asked_at

    @property
    def _is_demanded(self) -> bool:
        return self._site.now() - self._asked_at < FRESH_LEASES * self._config.lease_s

    def _alone(self) -> bool:
        if self._alone_life != self._breaker.generation:
            self._alone_life = self._breaker.generation
            open_for_s = (self._breaker.proposal or self._breaker.circuit).open_for_ms / 1000
            self._alone_wait_s = self._site.rng.uniform(0.0, min(ALONE_MAX_S, ALONE_SHARE * open_for_s))
        if self._site.now() < self._breaker.open_until + self._alone_wait_s:
            return False
        self._say("alone")
        return True

    def _probe_due(self) -> bool:
        if self._breaker.state is State.OPEN:
            return self._site.now() >= self._breaker.open_until
        return self._breaker.state is State.HALF_OPEN

    async def _compete(self) -> None:
        while (handed := await self._won()) is None:
            await asyncio.sleep(self._site.rng.uniform(0.5, 1.0) * self._config.lease_s / TRIES_PER_LEASE)
            if not (self._is_demanded and self._probe_due()):
                break
        self.summons.clear()  # all that was wanted until now has been competed for
        if handed is not None:
            await self._hold(handed)

    async def _won(self) -> Round | None:
        asked_at = self._site.now()
        acquiring = self._bus.acquire(self._breaker.provider, self._token, self._config.lease_s)
        handed = await self._link.asking(acquiring)
        if handed is None:
            self._say("denied")
            self._facts.changed(self._breaker.provider, self._breaker.revoke_probe(self._site.now()))
            return None
        self._held_until = asked_at + self._config.lease_s
        self._say("won")
        return handed

    async def _hold(self, handed: Round) -> None:
        try:
            await self._read_all()
        except SyncError:
            self._lost()  # it expires by itself; a probe begun alone must not take it for held
            raise
        if self._left_s() <= 0.0:
            self._lost()
            return
        succeeded = handed.succeeded if handed.epoch == self._breaker.circuit.epoch else 0
        self._facts.changed(self._breaker.provider, self._breaker.grant_probe(self._site.now(), succeeded))
        if await self._kept_while_half_open():
            await self._result_told()
            await self._give_back()

    async def _kept_while_half_open(self) -> bool:
        """Until the probe has a result (True), or the lease is gone (False)."""
        used_at, patience_s = self._site.now(), self._patience_s()
        tick_s = min(self._config.lease_s / RENEWALS_PER_LEASE, self._config.probe_idle_s)
        while self._breaker.state is State.HALF_OPEN:
            await self._stir_or(min(tick_s, self._left_s()))
            if self._breaker.state is not State.HALF_OPEN:
                break
            hold = await self._kept()
            if hold is Hold.GONE:
                self._lost()
                return False
            if self._breaker.probes_in_flight:
                used_at = self._site.now()
            if hold is Hold.WANTED and self._is_idle(used_at, patience_s):
                self._asked_at = -math.inf
                await self._give_back()
                return False
        return True

    def _is_idle(self, used_at: float, patience_s: float) -> bool:
        return self._breaker.state is State.HALF_OPEN and self._site.now() - used_at >= patience_s

    def _patience_s(self) -> float:
        shortest_s = self._config.probe_idle_s
        return min(max(shortest_s, self._site.now() - self._search_began), PATIENCE_MAX * shortest_s)

    async def _kept(self) -> Hold:
        """What has become of the lease. Where the store is silent it is ours until it must have expired."""
        asked_at = self._site.now()
        try:
            async with asyncio.timeout(self._left_s()):
                renewing = self._bus.renew(self._breaker.provider, self._token, self._config.lease_s, self._so_far())
                hold = await self._link.asking(renewing)
        except (SyncError, TimeoutError):
            return Hold.OURS if self._left_s() > 0.0 else Hold.GONE
        self._held_until = asked_at + self._config.lease_s
        return hold

    def _left_s(self) -> float:
        return self._held_until - self._site.now()

    async def _result_told(self) -> None:
        while self._breaker.proposal is not None and (left_s := self._left_s()) > 0.0:
            await self._stir_or(left_s)

    async def _give_back(self) -> None:
        token, so_far = self._token, self._so_far()
        self._stop()
        try:
            releasing = self._bus.release(self._breaker.provider, token, self._config.lease_s, so_far)
            await self._link.asking(releasing)
        except SyncError:
            self._say("lost")  # it expires by itself
            raise
        self._say("released")

    def _lost(self) -> None:
        self._asked_at = -math.inf
        self._say("lost")
        self._stop()

    def _stop(self) -> None:
        """The lease is not ours any more, or will not be in a moment: nothing is probed by it."""
        self._held_until = -math.inf
        self._acquisition += 1
        self._facts.changed(self._breaker.provider, self._breaker.revoke_probe(self._site.now()))

    @property
    def _token(self) -> str:
        return f"{self._owner}:{self._acquisition}"

    def _so_far(self) -> Round:
        """What the next holder may build upon; nothing where the round is over."""
        if self._breaker.state is not State.HALF_OPEN:
            return Round()
        return Round(self._breaker.circuit.epoch, self._breaker.probes_succeeded)

    async def _stir_or(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._stirred.wait()
        self._stirred.clear()

    def _say(self, action: Literal["won", "denied", "released", "lost", "alone"]) -> None:
        self._site.emit(
            ProbeLease(t=self._site.now(), worker=self._site.worker, provider=self._breaker.provider, action=action)
        )
