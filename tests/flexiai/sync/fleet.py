"""Small fleets for tests: real breakers and replicators, on any bus, with short times and a record of all events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import TypeVar

from flexiai.core.breaker import Breaker, Permit
from flexiai.core.circuit import Circuit, Proposal, State
from flexiai.core.evidence import Report, Terms
from flexiai.core.outcome import Outcome
from flexiai.errors import SyncError
from flexiai.events import Event
from flexiai.sync.bus import Bus, Hold, Notice, Round, Subscription, Told, Verdict
from flexiai.sync.replicator import Replicator
from flexiai.sync.watch import stop
from flexiai.transitions import transition_event
from flexiai.types import BreakerConfig, SyncConfig

E = TypeVar("E", bound=Event)
BOUND_S = 20.0
RULES = BreakerConfig(failure_threshold=3, reset_timeout_s=30.0, reset_jitter=0.0)
QUICK = SyncConfig(
    reconcile_interval_s=0.2,
    health_interval_s=0.2,
    pong_timeout_s=0.3,
    operation_timeout_s=0.5,
    join_timeout_s=5.0,
    reconnect_min_s=0.01,
    reconnect_max_s=0.1,
    lease_s=0.6,
    probe_idle_s=0.2,
)


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition, at most BOUND_S."""
    try:
        async with asyncio.timeout(BOUND_S):
            while not condition():
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise AssertionError(f"not within {BOUND_S:g} s: {what}") from None


class Worker:
    """One worker with one provider, `p`."""

    def __init__(self, name: str, bus: Bus, config: SyncConfig = QUICK, rules: BreakerConfig = RULES) -> None:
        self.name = name
        self.events: list[Event] = []
        self.breaker = Breaker("p", rules, name, config.open_quorum)
        self.replicator = Replicator(
            bus=bus, breakers={"p": self.breaker}, config=config, emit=self.events.append, worker=name, rng=Random(name)
        )

    @property
    def state(self) -> State:
        return self.breaker.state

    @property
    def epoch(self) -> int:
        return self.breaker.circuit.epoch

    def seen(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if type(event) is kind]

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def fails(self, times: int = 3) -> None:
        """So many attempts fail, as the client would record them."""
        for _ in range(times):
            self.attempt(Outcome.FAILURE)

    def attempt(self, outcome: Outcome) -> None:
        permit = self.breaker.admit(self.now())
        assert isinstance(permit, Permit), f"{self.name} refuses: {permit}"
        self.ends(permit, outcome)

    def ends(self, permit: Permit, outcome: Outcome) -> None:
        recorded = self.breaker.record(permit, outcome, self.now())
        if change := recorded.transition:
            self.events.append(transition_event(change, provider="p", worker=self.name, t=self.now()))
            self.replicator.announce("p")
        if recorded.counted and outcome is not Outcome.NEUTRAL:
            self.replicator.counted("p", failed=outcome is not Outcome.SUCCESS)

    def reset(self) -> None:
        self.breaker.reset(self.now())
        self.replicator.announce("p")

    async def dies(self) -> None:
        """As by SIGKILL: nothing is given back."""
        replicator = self.replicator
        await stop((replicator._ear, *replicator._hands))


@asynccontextmanager
async def fleet(
    count: int, make: Callable[[], Bus], config: SyncConfig = QUICK, rules: BreakerConfig = RULES
) -> AsyncIterator[list[Worker]]:
    """So many workers, joined; closed at the end."""
    async with AsyncExitStack() as stack:
        workers = [Worker(f"w{i}", make(), config, rules) for i in range(count)]
        for worker in workers:
            stack.push_async_callback(worker.replicator.aclose)
            await worker.replicator.start()
        yield workers


async def agreed(workers: list[Worker], state: State) -> Circuit:
    """Wait until all hold one record, of this state, and act by it."""

    def agree() -> bool:
        circuits = {worker.breaker.circuit for worker in workers}
        return len(circuits) == 1 and all(w.state is state and w.breaker.proposal is None for w in workers)

    await until(agree, f"all {state}")
    return workers[0].breaker.circuit


class Faulty:
    """A bus with faults: `cut` (no operation reaches the store), `lossy` (no notice arrives), `bug` (raised once)."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.cut = False
        self.lossy = False
        self.bug: Exception | None = None
        self.proposed: list[Proposal] = []
        self.reported: list[Report] = []

    @asynccontextmanager
    async def subscribe(self, providers: tuple[str, ...]) -> AsyncIterator[Subscription]:
        self._check()
        async with self._bus.subscribe(providers) as subscription:
            yield FaultySubscription(self, subscription)

    async def read(self) -> dict[str, Told]:
        self._check()
        return await self._bus.read()

    async def propose(self, provider: str, proposal: Proposal, age_s: float) -> Verdict:
        self.proposed.append(proposal)
        self._check()
        return await self._bus.propose(provider, proposal, age_s)

    async def report(self, provider: str, report: Report, terms: Terms) -> Verdict:
        self.reported.append(report)
        self._check()
        return await self._bus.report(provider, report, terms)

    async def restore(self, provider: str, circuit: Circuit) -> Verdict:
        self._check()
        return await self._bus.restore(provider, circuit)

    async def acquire(self, provider: str, token: str, ttl_s: float) -> Round | None:
        self._check()
        return await self._bus.acquire(provider, token, ttl_s)

    async def renew(self, provider: str, token: str, ttl_s: float, so_far: Round) -> Hold:
        self._check()
        return await self._bus.renew(provider, token, ttl_s, so_far)

    async def release(self, provider: str, token: str, ttl_s: float, so_far: Round) -> None:
        self._check()
        await self._bus.release(provider, token, ttl_s, so_far)

    async def aclose(self) -> None:
        await self._bus.aclose()

    def _check(self) -> None:
        if self.cut:
            raise SyncError("cut off")
        if self.bug is not None:
            bug, self.bug = self.bug, None
            raise bug


class FaultySubscription:
    """A subscription with the faults of its bus."""

    def __init__(self, bus: Faulty, subscription: Subscription) -> None:
        self._bus = bus
        self._subscription = subscription

    async def next(self, timeout_s: float) -> Notice | None:
        self._bus._check()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while True:
                    told = await self._subscription.next(0.02)
                    self._bus._check()
                    if told is not None and not self._bus.lossy:
                        return told
        return None

    async def ping(self, timeout_s: float) -> list[Notice]:
        self._bus._check()
        heard = await self._subscription.ping(timeout_s)
        return [] if self._bus.lossy else heard
