"""Tells the fleet how this worker fares with one provider, while that is news to it: off every caller's path.

Rules
-----
* A worker that fails says so: its failures in a row, and how long ago it last succeeded. While all is well nobody says
  anything, and a request costs the store nothing.
* One that has heard of a streak and has had a success since its begin, or has one later, says so once: that ends the
  streak for all. Who tells of its own failures knows of one by that, answered or not: they may have arrived, and what
  it has of successes while they are on their way is later than they are, whatever a notice makes of their times.
* What is told is how things stand when it is sent. So what happens meanwhile costs no further command, nothing piles
  up, and a report that was lost is made good by the next. There is `SPACING_S` between two.
* Without the store nothing is told; the worker counts for itself, as always.
"""

from __future__ import annotations

import asyncio

from flexiai.core.breaker import Breaker
from flexiai.core.circuit import State
from flexiai.core.evidence import Report, Terms
from flexiai.errors import SyncError
from flexiai.events import EvidenceHeard, EvidenceSent
from flexiai.sync.bus import Bus, Streak
from flexiai.sync.facts import Facts
from flexiai.sync.link import Link
from flexiai.sync.site import Site
from flexiai.sync.watch import Summons

SPACING_S = 0.01
"""Between two reports of one worker: a storm of failures costs a hundred commands a second at most, from each."""


class Reporter:
    """One provider's voice."""

    def __init__(self, site: Site, breaker: Breaker, bus: Bus, facts: Facts, link: Link) -> None:
        self._site = site
        self._breaker = breaker
        self._bus = bus
        self._facts = facts
        self._link = link
        self._terms = Terms(
            breaker.failure_threshold, round(site.config.evidence_window_s * 1000), site.config.open_quorum
        )
        self._backoff = site.backoff()
        self.summons = Summons()
        self._told: tuple[int, tuple[float, ...]] = (0, ())  # the epoch and the failures that the store knows of
        self._streak_epoch = 0  # under which record the latest streak began: with the next one it is void
        self._streaks = 0  # heard of or begun, ever
        self._ended_streaks = 0  # of these, how many had ended when we last looked

    def counted(self, *, failed: bool) -> None:
        """The breaker has counted an outcome."""
        if failed or self._streak_runs:
            self.summons.set()

    def heard(self, streak: Streak) -> None:
        """The fleet has begun to fail."""
        now = self._site.now()
        self._site.emit(
            EvidenceHeard(
                t=now,
                worker=self._site.worker,
                provider=streak.provider,
                epoch=streak.epoch,
                failures=streak.failures,
                workers=streak.workers,
                age_s=streak.since_s,
            )
        )
        self._streak_begins(streak.epoch)
        ok_at = self._breaker.ok_at
        if ok_at is not None and ok_at > now - streak.since_s:
            self.summons.set()

    async def run(self) -> None:
        """Tell for ever."""
        while True:
            await self.summons.wait()
            self.summons.clear()
            if not self._is_news():
                continue
            try:
                await self._tell()
            except SyncError:
                await asyncio.sleep(self._backoff.next())
                self.summons.set()
            else:
                self._backoff.reset()
                await asyncio.sleep(SPACING_S)

    @property
    def _streak_runs(self) -> bool:
        return self._streaks > self._ended_streaks and self._streak_epoch >= self._breaker.circuit.epoch

    def _is_news(self) -> bool:
        breaker = self._breaker
        if breaker.state is not State.CLOSED and not breaker.private:
            return False
        if breaker.failed_at:
            return self._told != (breaker.circuit.epoch, breaker.failed_at)
        return self._streak_runs and breaker.ok_at is not None

    def _streak_begins(self, epoch: int) -> None:
        self._streaks += 1
        self._streak_epoch = max(self._streak_epoch, epoch)  # a notice may be of a record before ours

    async def _tell(self) -> None:
        breaker, now = self._breaker, self._site.now()
        base, failed_at, ok_at = breaker.circuit.epoch, breaker.failed_at, breaker.ok_at
        if failed_at and not self._streak_runs:
            self._streak_begins(base)
        streaks = self._streaks
        self._site.emit(
            EvidenceSent(
                t=now,
                worker=self._site.worker,
                provider=breaker.provider,
                base=base,
                failures=len(failed_at),
                ok_age_s=None if ok_at is None else now - ok_at,
            )
        )
        open_for_s, rounds = breaker.opening(now, self._site.rng.random())
        report = Report(
            base=base,
            worker=self._site.worker,
            failed_ms=tuple(round((now - at) * 1000) for at in failed_at),
            ok_ms=None if ok_at is None else round((now - ok_at) * 1000),
            open_for_ms=round(open_for_s * 1000),
            rounds=rounds,
        )
        verdict = await self._link.asking(self._bus.report(breaker.provider, report, self._terms))
        self._told = (base, failed_at)
        if not verdict.failures:
            self._ended_streaks = streaks
        self._facts.reported(verdict)
