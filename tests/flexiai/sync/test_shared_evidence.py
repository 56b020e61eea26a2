"""Failures told to the fleet: what is said and what is not, quorums, and a fleet on a slow and lossy way to its store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexiai.core.breaker import Permit
from flexiai.core.circuit import Cause, Circuit, Proposal, State
from flexiai.core.evidence import Report, Terms
from flexiai.core.outcome import Outcome
from flexiai.errors import SyncError
from flexiai.events import EvidenceHeard, EvidenceSent, ProposalSent, RecordApplied, Transition
from flexiai.sync.bus import Notice, Streak, Subscription, Verdict
from flexiai.sync.memory import MemoryBus, MemoryStore
from flexiai.sync.reporter import SPACING_S
from flexiai.types import BreakerConfig
from tests.flexiai.sync.fleet import QUICK, Faulty, Worker, agreed, fleet, until
from tests.harness.sim.simulated import run

RULES = BreakerConfig(failure_threshold=3, reset_timeout_s=30.0, reset_jitter=0.0, failure_rate=None)
SOON_DUE = RULES.model_copy(update={"reset_timeout_s": 0.05, "max_reset_timeout_s": 0.05})
TWO = QUICK.model_copy(update={"open_quorum": 2})
AHEAD_S = 1000.0  # how far the store's clock is ahead of the workers'
FAILS, WORKS = Outcome.FAILURE, Outcome.SUCCESS


def scene(play: Callable[[MemoryStore], Coroutine[object, object, None]]) -> None:
    """In simulated time."""

    async def staged() -> None:
        loop = asyncio.get_running_loop()
        await play(MemoryStore(lambda: AHEAD_S + loop.time()))

    run(staged())


async def settled() -> None:
    """Long enough for everything that is said at once, and too short for a reconcile to matter."""
    await asyncio.sleep(5 * SPACING_S)


# --- what is told -----------------------------------------------------------------------------------------------------


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


# --- quorum -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [FAILS, Outcome.MISCONFIGURED])
def test_one_workers_trouble_is_its_own_and_it_comes_back_by_its_own_probe(outcome: Outcome) -> None:
    async def play(store: MemoryStore) -> None:
        soon = SOON_DUE.model_copy(update={"misconfigured_for_s": 0.05})
        async with fleet(3, lambda: MemoryBus(store), TWO, soon) as (broken, *others):
            for _ in range(3 if outcome is FAILS else 1):
                for other in others:
                    other.attempt(WORKS)
                broken.attempt(outcome)
                await settled()
            assert broken.state is State.OPEN
            assert broken.breaker.private
            assert [e.private for e in broken.seen(Transition)] == [True]
            assert all(other.state is State.CLOSED for other in others)
            assert "p" not in store.records
            await until(lambda: broken.state is State.HALF_OPEN or broken.replicator.want_probe("p"), "granted")
            assert store.lease("p") is not None
            broken.attempt(WORKS)
            assert broken.state is State.CLOSED
            await settled()
            assert not store.evidence["p"].votes
            assert not any(other.seen(Transition) for other in others)

    scene(play)


def test_a_second_workers_finding_makes_it_everybodys() -> None:
    async def play(store: MemoryStore) -> None:
        async with fleet(4, lambda: MemoryBus(store), TWO, RULES) as workers:
            workers[0].fails()
            await settled()
            assert workers[0].breaker.private
            workers[1].attempt(FAILS)  # with the three before it, which no success has ended
            await agreed(workers, State.OPEN)
            assert not any(w.breaker.private for w in workers)

    scene(play)


def test_two_votes_open_it_although_others_succeed() -> None:
    async def play(store: MemoryStore) -> None:
        async with fleet(3, lambda: MemoryBus(store), TWO, RULES) as workers:
            for worker in workers[:2]:
                for _ in range(3):
                    workers[2].attempt(WORKS) if workers[2].state is State.CLOSED else None
                    await settled()
                    worker.attempt(FAILS)
                    await settled()
            await agreed(workers, State.OPEN)

    scene(play)


def test_a_quorum_that_no_fleet_can_have_still_leaves_each_protected_and_recovering() -> None:
    async def play(store: MemoryStore) -> None:
        too_many = QUICK.model_copy(update={"open_quorum": 99})
        async with fleet(3, lambda: MemoryBus(store), too_many, SOON_DUE) as workers:
            for worker in workers:
                worker.fails()
            await settled()
            assert all(w.state is State.OPEN and w.breaker.private and w.breaker.proposal is None for w in workers)
            for worker in workers:  # one after the other: there is one right to probe
                await until(lambda w=worker: w.state is State.HALF_OPEN or w.replicator.want_probe("p"), "granted")
                worker.attempt(WORKS)
            assert all(w.state is State.CLOSED for w in workers)

    scene(play)


def test_an_operators_word_and_the_reopening_of_what_the_fleet_holds_open_need_no_quorum() -> None:
    async def play(store: MemoryStore) -> None:
        async with fleet(2, lambda: MemoryBus(store), TWO, SOON_DUE) as (a, b):
            for worker in (a, b):
                worker.fails()
            opened = await agreed([a, b], State.OPEN)
            await until(lambda: a.state is State.HALF_OPEN or a.replicator.want_probe("p"), "granted")
            a.attempt(FAILS)
            await until(lambda: store.records["p"].epoch > opened.epoch, "told")
            assert (await agreed([a, b], State.OPEN)).reason is Cause.PROBE_FAILED
            b.reset()
            assert (await agreed([a, b], State.CLOSED)).reason is Cause.RESET
            a.fails()
            await settled()
            assert a.breaker.private
            b.reset()
            await agreed([a, b], State.CLOSED)
            assert not a.breaker.private

    scene(play)


# --- a slow and lossy way ---------------------------------------------------------------------------------------------

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
        await asyncio.sleep(self._bus.rng.uniform(0.0, MOST_S / 4))
        return None if self._bus.rng.random() < self._bus.loss else notice

    async def ping(self, timeout_s: float) -> list[Notice]:
        return await self._subscription.ping(timeout_s)


STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.booleans(), st.floats(0, 0.3)),  # who, does it work, and what passes after
    max_size=40,
)


async def attempts(workers: list[Worker], steps: list[tuple[int, bool, float]]) -> list[tuple[float, bool]]:
    """Each step an attempt, if its worker is CLOSED: when it ended, and whether it worked."""
    made = []
    for who, works, pause_s in steps:
        worker = workers[who]
        if worker.state is State.CLOSED and isinstance(permit := worker.breaker.admit(worker.now()), Permit):
            made.append((worker.now(), works))
            worker.ends(permit, WORKS if works else FAILS)
        await asyncio.sleep(pause_s)
        if any(w.state is not State.CLOSED for w in workers):
            break
    return made


@settings(max_examples=80, deadline=None)
@given(steps=STEPS, seed=st.integers(0, 2**32))
def test_what_opens_is_what_nobody_could_know_to_be_no_streak(steps: list[tuple[int, bool, float]], seed: int) -> None:
    """Without losses: of the failures that opened it, none is older than a success that there was time to tell of."""

    async def play(store: MemoryStore) -> None:
        rng = Random(seed)
        async with fleet(4, lambda: Distant(store, rng, 0.0), rules=RULES) as workers:
            made = await attempts(workers, steps)
            await asyncio.sleep(1.0)
            record = store.records.get("p")
            if record is None:
                return
            opened_at = (record.epoch + 1) / 1000 - AHEAD_S  # an epoch is the store's time, cut to a millisecond
            local = any(w.seen(ProposalSent) for w in workers)
            first = sorted(t for t, works in made if not works and t <= opened_at)[-RULES.failure_threshold]
            heard_of = first + 3 * MOST_S + SPACING_S  # its report, and the notice
            told_by = opened_at - (4 * MOST_S + SPACING_S)  # another report may be on its way
            between = [t for t, works in made if works and first < t <= opened_at]
            assert local or not [t for t in between if max(t, heard_of) <= told_by]

    scene(play)


@settings(max_examples=60, deadline=None)
@given(
    who=st.lists(st.integers(0, 3), min_size=3, max_size=3),
    before=st.lists(st.tuples(st.integers(0, 3), st.just(True), st.floats(0, 0.1)), max_size=8),
    seed=st.integers(0, 2**32),
    loss=st.sampled_from([0.0, 0.3]),
)
def test_failures_in_a_row_open_it_for_all_whatever_is_lost(
    who: list[int], before: list[tuple[int, bool, float]], seed: int, loss: float
) -> None:
    async def play(store: MemoryStore) -> None:
        rng = Random(seed)
        async with fleet(4, lambda: Distant(store, rng, loss), rules=RULES) as workers:
            await attempts(workers, before)
            await asyncio.sleep(3 * MOST_S)  # the store knows the order only up to what ways take
            await attempts(workers, [(worker, False, 0.01) for worker in who])
            record = await agreed(workers, State.OPEN)
            assert record.failure_count == RULES.failure_threshold
            epochs = [[e.epoch for e in w.seen(RecordApplied)] for w in workers]
            assert all(one == sorted(one) for one in epochs)

    scene(play)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, seed=st.integers(0, 2**32), loss=st.sampled_from([0.0, 0.3]), quorum=st.integers(2, 3))
def test_with_a_quorum_the_record_opens_only_if_so_many_workers_have_failed(
    steps: list[tuple[int, bool, float]], seed: int, loss: float, quorum: int
) -> None:
    async def play(store: MemoryStore) -> None:
        rng = Random(seed)
        config = QUICK.model_copy(update={"open_quorum": quorum})
        async with fleet(4, lambda: Distant(store, rng, loss), config, RULES) as workers:
            failed: set[int] = set()
            for who, works, pause_s in steps:
                worker = workers[who]
                if worker.state is State.CLOSED:
                    worker.attempt(WORKS if works else FAILS)
                    failed |= set() if works else {who}
                await asyncio.sleep(pause_s)
                if store.records.get("p", Circuit()).state is State.OPEN:
                    assert len(failed) >= quorum
                    break
            await asyncio.sleep(5.0)
            fleets = store.records.get("p", Circuit()).state
            for worker in workers:
                assert worker.breaker.proposal is None
                assert worker.state is fleets or worker.breaker.private

    scene(play)
