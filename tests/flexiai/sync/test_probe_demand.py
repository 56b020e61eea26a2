"""Few requests, which come to the workers in turn: whether the right to probe finds one of them, in simulated time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexiai.core.breaker import Permit
from flexiai.core.circuit import State
from flexiai.core.outcome import Outcome
from flexiai.events import ProbeLease
from flexiai.sync.memory import MemoryBus, MemoryStore
from flexiai.sync.probe_gate import FRESH_LEASES, PATIENCE_MAX
from flexiai.types import BreakerConfig, SyncConfig
from tests.flexiai.sync.fleet import Worker, fleet
from tests.harness.sim.simulated import loop_on, network, run_on

RULES = BreakerConfig(failure_threshold=1, reset_timeout_s=1.0, reset_jitter=0.0)
CONFIG = SyncConfig(lease_s=5.0, probe_idle_s=1.0)
SLACK_S = 2 * CONFIG.lease_s  # to hear, to try again, to notice that nobody asked


async def asked(worker: Worker) -> bool:
    """A request comes to a worker; whether it probes."""
    answer = worker.breaker.admit(worker.now())
    if isinstance(answer, Permit):
        worker.ends(answer, Outcome.SUCCESS)
        return True
    if answer.probe_due:
        worker.replicator.want_probe("p")
    return False


async def searched_s(count: int, order: Sequence[int], every_s: float) -> float | None:
    """How long after a probe was due the first one was made, requests coming in this order; None: in vain."""
    store = MemoryStore(asyncio.get_running_loop().time)
    async with fleet(count, lambda: MemoryBus(store), CONFIG, RULES) as workers:
        workers[0].fails(1)
        await asyncio.sleep(5.0)
        began = workers[0].now()
        for index in order:
            if await asked(workers[index]):
                return workers[0].now() - began
            await asyncio.sleep(every_s)
    return None


def simulated(count: int, order: Sequence[int], every_s: float) -> float | None:
    return run_on(loop_on(network()), searched_s(count, order, every_s), horizon_s=1e6)


@st.composite
def rounds(draw: st.DrawFn) -> tuple[int, list[int], float]:
    """So many workers, each of which gets a request in each round, in any order; and the time between two requests."""
    count = draw(st.integers(2, 5))
    turns = draw(st.lists(st.permutations(range(count)), min_size=1, max_size=4))
    longest_s = PATIENCE_MAX * CONFIG.probe_idle_s / (2 * count)
    every_s = draw(st.floats(0.05, longest_s))
    return count, [index for _ in range(400) for turn in turns for index in turn], every_s


@settings(max_examples=60, deadline=None)
@given(rounds())
def test_whatever_the_order_the_right_to_probe_finds_a_request(play: tuple[int, list[int], float]) -> None:
    count, order, every_s = play
    took_s = simulated(count, order, every_s)
    gap_s = (2 * count - 1) * every_s  # the most between two requests of one worker
    assert took_s is not None
    assert took_s <= 5 * gap_s + SLACK_S


@pytest.mark.parametrize("every_s", [0.3, 0.9, 1.1, 2.5, 6.0, 20.0])
def test_two_workers_that_alternate_do_not_dance_for_ever(every_s: float) -> None:
    took_s = simulated(2, [0, 1] * 50, every_s)
    assert took_s is not None
    assert took_s <= 5 * 2 * every_s + SLACK_S


def test_who_was_denied_has_the_right_as_soon_as_an_idle_holder_gives_way_without_another_request() -> None:
    async def play() -> None:
        store = MemoryStore(asyncio.get_running_loop().time)
        async with fleet(2, lambda: MemoryBus(store), CONFIG, RULES) as (holder, other):
            holder.fails(1)
            await asyncio.sleep(5.0)
            await asked(holder)
            await asyncio.sleep(0.1)
            await asked(other)
            await asyncio.sleep(CONFIG.lease_s)
            assert (holder.state, other.state) == (State.OPEN, State.HALF_OPEN)
            await asyncio.sleep(10 * CONFIG.lease_s)
            assert [e.action for e in holder.seen(ProbeLease)] == ["won", "released"]  # not without a request

    run_on(loop_on(network()), play(), horizon_s=1e6)


def test_who_has_had_no_request_for_long_competes_no_more() -> None:
    async def play() -> None:
        store = MemoryStore(asyncio.get_running_loop().time)
        async with fleet(1, lambda: MemoryBus(store), CONFIG, RULES) as (worker,):
            worker.fails(1)
            await asyncio.sleep(5.0)
            await MemoryBus(store).acquire("p", "another:1", 1000.0)
            await asked(worker)
            await asyncio.sleep(100.0)
            denied = [e.t for e in worker.seen(ProbeLease) if e.action == "denied"]
            assert FRESH_LEASES * CONFIG.lease_s / 2 < denied[-1] - denied[0] <= FRESH_LEASES * CONFIG.lease_s

    run_on(loop_on(network()), play(), horizon_s=1e6)
