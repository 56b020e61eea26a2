"""The right to probe, whatever the order in which words about it reach the store, answers the workers, and requests come.

Every word of a worker to the store takes its own time there and back. A probe counts for as long as its worker stands
by it: from its beginning to its end, or to the moment at which the worker gave the right up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, cycle
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from flexiai.core.breaker import Permit, Refusal
from flexiai.core.circuit import State
from flexiai.core.outcome import Outcome
from flexiai.events import ProbeLease, Transition
from flexiai.sync.bus import Hold, Round
from flexiai.sync.memory import MemoryBus, MemoryStore
from flexiai.types import BreakerConfig, SyncConfig
from tests.flexiai.sync.fleet import Faulty, Worker, fleet
from tests.harness.sim.simulated import loop_on, network, run_on

RULES = BreakerConfig(failure_threshold=1, reset_timeout_s=0.4, reset_growth=1.0, reset_jitter=0.0, ramp_s=0.0)
CONFIG = SyncConfig(lease_s=0.9, probe_idle_s=0.2)
T = TypeVar("T")
Way = tuple[float, float]


class Slow(Faulty):
    """A way to the store on which each word about the right to probe takes the next of these times there, and back."""

    def __init__(self, store: MemoryStore, ways: Iterator[Way]) -> None:
        super().__init__(MemoryBus(store))
        self.ways = ways

    async def acquire(self, provider: str, token: str, ttl_s: float) -> Round | None:
        return await self._on_the_way(lambda: self._bus.acquire(provider, token, ttl_s))

    async def renew(self, provider: str, token: str, ttl_s: float, so_far: Round) -> Hold:
        return await self._on_the_way(lambda: self._bus.renew(provider, token, ttl_s, so_far))

    async def release(self, provider: str, token: str, ttl_s: float, so_far: Round) -> None:
        await self._on_the_way(lambda: self._bus.release(provider, token, ttl_s, so_far))

    async def _on_the_way(self, word: Callable[[], Awaitable[T]]) -> T:
        there_s, back_s = next(self.ways)
        await asyncio.sleep(there_s)
        answer = await word()
        await asyncio.sleep(back_s)
        return answer


@dataclass(frozen=True)
class Asked:
    """A request: to which worker, how long after the last one, and how long it takes if it probes, with what result."""

    worker: int
    after_s: float
    takes_s: float
    outcome: Outcome


@dataclass
class Probe:
    worker: Worker
    began: float
    ended: float


async def probes_of(count: int, ways: list[list[Way]], asked: list[Asked], half_open_max_calls: int) -> list[Probe]:
    """The probes that a fleet makes of these requests."""
    store, paths = MemoryStore(asyncio.get_running_loop().time), iter(ways)
    rules = RULES.model_copy(update={"half_open_max_calls": half_open_max_calls})
    probes: list[Probe] = []

    async def probe(worker: Worker, permit: Permit, request: Asked) -> None:
        began = worker.now()
        await asyncio.sleep(request.takes_s)
        worker.ends(permit, request.outcome)
        given_up = [e.t for e in worker.seen(Transition) if e.frm is State.HALF_OPEN and e.t >= began]
        probes.append(Probe(worker, began, min([*given_up, worker.now()])))

    async with (
        fleet(count, lambda: Slow(store, cycle(next(paths))), CONFIG, rules) as workers,
        asyncio.TaskGroup() as group,
    ):
        workers[0].fails(1)
        await asyncio.sleep(2.0)
        for request in asked:
            await asyncio.sleep(request.after_s)
            worker = workers[request.worker % count]
            answer = worker.breaker.admit(worker.now())
            if isinstance(answer, Refusal):
                if answer.probe_due:
                    worker.replicator.want_probe("p")
            elif answer.probe:
                group.create_task(probe(worker, answer, request))
            else:
                worker.ends(answer, Outcome.FAILURE)  # what a probe has closed opens again
    return probes


def at_once(probes: list[Probe]) -> list[tuple[Probe, Probe]]:
    """Probes of two workers at one time."""
    return [
        (a, b)
        for a, b in combinations(probes, 2)
        if a.worker is not b.worker and a.began < b.ended and b.began < a.ended
    ]


times = st.sampled_from([0.001, 0.05, 0.2, 0.5])
ways = st.lists(st.tuples(times, times), min_size=1, max_size=3)
requests = st.builds(
    Asked,
    st.integers(0, 2),
    st.sampled_from([0.02, 0.1, 0.2]),
    st.sampled_from([0.01, 0.1, 0.6]),
    st.sampled_from([Outcome.NEUTRAL, Outcome.FAILURE, Outcome.SUCCESS]),
)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(2, 3),
    st.lists(ways, min_size=3, max_size=3),
    st.lists(requests, min_size=20, max_size=80),
    st.integers(1, 2),
)
def test_two_workers_never_probe_at_once(count: int, ways: list[list[Way]], asked: list[Asked], most: int) -> None:
    probes = run_on(loop_on(network()), probes_of(count, ways, asked, most), horizon_s=1e6)
    assert not at_once(probes)


def test_a_holder_that_the_store_answers_no_more_stops_when_its_lease_is_over() -> None:
    async def play() -> None:
        store, ways = MemoryStore(asyncio.get_running_loop().time), iter([(0.0, 0.0), *[(60.0, 0.0)] * 9])
        async with fleet(1, lambda: Slow(store, ways), CONFIG, RULES) as (holder,):
            holder.fails(1)
            await asyncio.sleep(1.0)
            holder.replicator.want_probe("p")
            won_at = holder.now()
            await asyncio.sleep(CONFIG.lease_s - 0.01)
            assert holder.state is State.HALF_OPEN
            await asyncio.sleep(0.02)
            assert holder.state is State.OPEN
            assert [(e.action, e.t - won_at <= CONFIG.lease_s + 0.001) for e in holder.seen(ProbeLease)] == [
                ("won", True),
                ("lost", True),
            ]

    run_on(loop_on(network()), play(), horizon_s=1e6)
