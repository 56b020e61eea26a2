"""A quorum for opening: one worker's trouble is its own, and that of several is everybody's."""

from __future__ import annotations

import pytest

from flexiai.core.circuit import Cause, State
from flexiai.core.outcome import Outcome
from flexiai.events import Transition
from flexiai.sync.memory import MemoryBus, MemoryStore
from tests.flexiai.sync.fleet import QUICK, agreed, fleet, until
from tests.flexiai.sync.scene import FAILS, RULES, WORKS, scene, settled

SOON_DUE = RULES.model_copy(update={"reset_timeout_s": 0.05, "max_reset_timeout_s": 0.05})
TWO = QUICK.model_copy(update={"open_quorum": 2})


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
