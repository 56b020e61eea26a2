"""Failures told to a store that is far away: what opens a provider there, whatever is lost or late, by chance."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from flexiai.core.breaker import Permit
from flexiai.core.circuit import Circuit, State
from flexiai.events import ProposalSent, RecordApplied
from flexiai.sync.memory import MemoryStore
from flexiai.sync.reporter import SPACING_S
from tests.flexiai.sync.distant import MOST_S, Distant
from tests.flexiai.sync.fleet import QUICK, Worker, agreed, fleet, until
from tests.flexiai.sync.scene import AHEAD_S, FAILS, RULES, WORKS, scene

STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.booleans(), st.floats(0, 0.3)),  # who, does it work, and what passes after
    max_size=40,
)


@dataclass(frozen=True)
class Ended:
    """The end of an attempt."""

    t: float
    who: int
    works: bool


async def attempts(workers: list[Worker], steps: list[tuple[int, bool, float]]) -> list[Ended]:
    """Each step an attempt, if its worker is CLOSED; in the order of their ends."""
    made = []
    for who, works, pause_s in steps:
        worker = workers[who]
        if worker.state is State.CLOSED and isinstance(permit := worker.breaker.admit(worker.now()), Permit):
            made.append(Ended(worker.now(), who, works))
            worker.ends(permit, WORKS if works else FAILS)
        await asyncio.sleep(pause_s)
        if any(w.state is not State.CLOSED for w in workers):
            break
    return made


APART_S = 1.5 * MOST_S  # from when on the store, and who hears of it, know which of two workers' ends came first
HEARD_S = 3 * MOST_S + SPACING_S  # after a failure all have heard of it: its report may wait for another's answer
TOLD_S = 4 * MOST_S + SPACING_S  # after a success, of which they know that it is news, the store knows of it


def standing(made: list[Ended], opened_at: float) -> list[Ended]:
    """The failures, of those until then, that no later success has ended for all that anybody could know."""

    def ends(success: Ended, failure: Ended) -> bool:
        own = success.who == failure.who
        news_at = success.t if own else max(success.t, failure.t + HEARD_S)
        return (own or success.t > failure.t + APART_S) and news_at <= opened_at - TOLD_S

    def is_over(failure: Ended, later: list[Ended]) -> bool:
        return any(end.works and ends(end, failure) for end in later)

    failures = [(end, made[i:]) for i, end in enumerate(made) if not end.works and end.t <= opened_at]
    return [failure for failure, later in failures if not is_over(failure, later)]


@settings(max_examples=80, deadline=None)
@example(steps=[(0, False, 0.03125), (0, True, 0.25), (1, False, 0.0), (1, False, 0.0)], seed=0)  # while it is told
@given(steps=STEPS, seed=st.integers(0, 2**32))
def test_what_opens_is_what_nobody_could_know_to_be_no_streak(steps: list[tuple[int, bool, float]], seed: int) -> None:
    """Without losses: no failure that opened it is older than a success that there was time to tell of."""

    async def play(store: MemoryStore) -> None:
        rng = Random(seed)
        async with fleet(4, lambda: Distant(store, rng, 0.0), rules=RULES) as workers:
            made = await attempts(workers, steps)
            await asyncio.sleep(1.0)
            record = store.records.get("p")
            if record is None or any(w.seen(ProposalSent) for w in workers):
                return  # nothing opened it, or a worker that had seen enough by itself
            opened_at = (record.epoch + 1) / 1000 - AHEAD_S  # an epoch is the store's time, cut to a millisecond
            assert len(standing(made, opened_at)) >= RULES.failure_threshold

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

            def settled() -> bool:
                fleets = store.records.get("p", Circuit()).state
                return all(w.breaker.proposal is None and (w.state is fleets or w.breaker.private) for w in workers)

            await until(settled, "all of one mind, or private")  # a lossy way knows no time

    scene(play)
