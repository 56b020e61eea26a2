"""Failures told to the fleet: what is said, what is not, and what ends a streak."""

from __future__ import annotations

import asyncio
from random import Random

from flexiai.core.circuit import Cause, State
from flexiai.core.evidence import Report, Terms
from flexiai.events import EvidenceHeard, EvidenceSent, ProposalSent, RecordApplied, Transition
from flexiai.sync.bus import Streak, Verdict
from flexiai.sync.memory import MemoryBus, MemoryStore
from flexiai.sync.reporter import SPACING_S
from tests.flexiai.sync.distant import MOST_S, Distant
from tests.flexiai.sync.fleet import QUICK, Faulty, agreed, fleet, until
from tests.flexiai.sync.scene import FAILS, RULES, WORKS, scene, settled


def test_as_many_failures_as_the_threshold_open_it_for_all_whoever_had_them() -> None:
    async def play(store: MemoryStore) -> None:
        async with fleet(4, lambda: MemoryBus(store), rules=RULES) as workers:
            for worker in workers[:3]:
                worker.attempt(FAILS)
                await settled()
            record = await agreed(workers, State.OPEN)
            assert (record.worker, record.reason, record.failure_count) == ("w2", Cause.CONSECUTIVE_FAILURES, 3)
            assert not any(w.seen(ProposalSent) for w in workers)  # nobody had seen enough by itself
            assert [e.accepted for e in workers[2].seen(RecordApplied)] == [True]
            assert {e.cause for w in workers for e in w.seen(Transition)} == {Cause.SYNC}

    scene(play)


def test_while_all_is_well_nothing_is_told() -> None:
    async def play(store: MemoryStore) -> None:
        buses = [Faulty(MemoryBus(store)) for _ in range(2)]
        remaining = list(buses)
        async with fleet(2, lambda: remaining.pop(0), rules=RULES) as workers:
            for _ in range(50):
                for worker in workers:
                    worker.attempt(WORKS)
                await settled()
            assert not any(bus.reported for bus in buses)

    scene(play)


def test_a_success_anywhere_ends_the_streak_and_is_told_once() -> None:
    async def play(store: MemoryStore) -> None:
        buses = [Faulty(MemoryBus(store)) for _ in range(3)]
        remaining = list(buses)
        async with fleet(3, lambda: remaining.pop(0), rules=RULES) as (a, b, c):
            a.attempt(FAILS)
            await settled()
            assert [(e.failures, e.workers) for e in c.seen(EvidenceHeard)] == [(1, 1)]
            for _ in range(20):
                c.attempt(WORKS)
                await settled()
            assert [e.failures for e in c.seen(EvidenceSent)] == [0]
            for worker in (a, b):
                worker.attempt(FAILS)
                await settled()
            assert a.state is b.state is State.CLOSED  # three failures, but no three in a row
            b.attempt(FAILS)
            await agreed([a, b, c], State.OPEN)

    scene(play)


def test_who_has_succeeded_since_the_first_failure_says_so_when_it_hears_of_the_streak() -> None:
    async def play(store: MemoryStore) -> None:
        async with fleet(1, lambda: MemoryBus(store), rules=RULES) as (worker,):
            worker.attempt(WORKS)
            await asyncio.sleep(0.1)
            store.publish(Streak("p", 0, 1, 1, since_s=0.05))
            await settled()
            assert not worker.seen(EvidenceSent)  # it succeeded before that
            store.publish(Streak("p", 0, 1, 1, since_s=0.5))
            await settled()
            assert [(e.failures, e.base) for e in worker.seen(EvidenceSent)] == [(0, 0)]

    scene(play)


def test_a_success_while_the_own_failure_is_on_its_way_is_told() -> None:
    async def play(store: MemoryStore) -> None:
        bus = Distant(store, Random(1), 0.0)
        async with fleet(1, lambda: bus, rules=RULES) as (worker,):
            worker.attempt(FAILS)
            await asyncio.sleep(0.001)
            assert [e.failures for e in worker.seen(EvidenceSent)] == [1]
            assert "p" not in store.evidence
            worker.attempt(WORKS)
            await asyncio.sleep(5 * MOST_S)
            assert [e.failures for e in worker.seen(EvidenceSent)] == [1, 0]
            assert not store.evidence["p"].count

    scene(play)


class Unanswered(Faulty):
    """What is reported arrives; while it is `cut`, nobody learns that it did."""

    async def report(self, provider: str, report: Report, terms: Terms) -> Verdict:
        verdict = await self._bus.report(provider, report, terms)
        return await super().report(provider, report, terms) if self.cut else verdict


def test_who_does_not_know_whether_its_failures_have_arrived_says_that_it_works_again() -> None:
    async def play(store: MemoryStore) -> None:
        buses = [Unanswered(MemoryBus(store)) for _ in range(2)]
        remaining = list(buses)
        async with fleet(2, lambda: remaining.pop(0), rules=RULES) as (cut, rest):
            buses[0].cut = True
            cut.attempt(FAILS)
            await asyncio.sleep(0.001)
            assert store.evidence["p"].count == 1
            assert not cut.seen(EvidenceHeard)
            cut.attempt(WORKS)
            await settled()
            buses[0].cut = False
            await until(lambda: not store.evidence["p"].count, "told")
            rest.attempt(FAILS)
            rest.attempt(FAILS)
            await settled()
            assert cut.state is rest.state is State.CLOSED

    scene(play)


def test_a_notice_from_before_the_record_does_not_hide_the_streak_of_now() -> None:
    async def play(store: MemoryStore) -> None:
        async with fleet(2, lambda: MemoryBus(store), rules=RULES) as (a, b):
            a.reset()
            await agreed([a, b], State.CLOSED)
            await until(lambda: a.epoch > 0, "told")
            a.attempt(FAILS)
            await settled()
            store.publish(Streak("p", 0, 1, 1, since_s=0.0))
            await settled()
            b.attempt(WORKS)
            await settled()
            assert not store.evidence["p"].count

    scene(play)


def test_a_storm_of_failures_costs_few_reports() -> None:
    async def play(store: MemoryStore) -> None:
        bus = Faulty(MemoryBus(store))
        lenient = RULES.model_copy(update={"failure_threshold": 10_000})
        async with fleet(1, lambda: bus, rules=lenient) as (worker,):
            for _ in range(1000):
                worker.attempt(FAILS)
                await asyncio.sleep(SPACING_S / 100)
            assert len(bus.reported) <= 15

    scene(play)


def test_counting_each_for_itself_tells_nothing() -> None:
    async def play(store: MemoryStore) -> None:
        bus = Faulty(MemoryBus(store))
        alone = QUICK.model_copy(update={"evidence": "worker"})
        async with fleet(1, lambda: bus, alone, RULES) as (worker,):
            worker.fails(2)
            await settled()
            worker.fails(1)
            await agreed([worker], State.OPEN)
            assert not bus.reported
            assert len(bus.proposed) == 1

    scene(play)


def test_without_the_store_each_counts_for_itself_and_what_still_stands_is_told_later() -> None:
    async def play(store: MemoryStore) -> None:
        buses = [Faulty(MemoryBus(store)) for _ in range(2)]
        remaining = list(buses)
        async with fleet(2, lambda: remaining.pop(0), rules=RULES) as (cut, rest):
            buses[0].cut = True
            cut.attempt(FAILS)
            cut.attempt(FAILS)
            await settled()
            assert store.evidence.get("p") is None
            buses[0].cut = False
            await until(lambda: "p" in store.evidence and store.evidence["p"].count == 2, "told")
            rest.attempt(FAILS)
            await agreed([cut, rest], State.OPEN)
            buses[0].cut = True

    scene(play)
