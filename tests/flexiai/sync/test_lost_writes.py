"""Failovers that lose writes, in every order: the parts that tell, hear and read, stepped by hand over one store.

The store is thrown back to what it held at some earlier time (its replica had got no further), and its clock may be
another server's. Notices arrive late, out of order, or never. Whatever happens: no worker's epoch goes back, and when
all have read again, all hold one record, the store's, and it is no older than any that a worker had ever known.
"""

from __future__ import annotations

import asyncio
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from flexiai.core.breaker import Breaker, Permit
from flexiai.core.circuit import Circuit
from flexiai.core.outcome import Outcome
from flexiai.events import Event, RecordApplied
from flexiai.sync.bus import Told
from flexiai.sync.facts import Facts
from flexiai.sync.link import Link
from flexiai.sync.listener import Listener
from flexiai.sync.memory import MemoryBus, MemoryStore
from flexiai.sync.proposer import Proposer
from flexiai.sync.site import Site
from tests.flexiai.sync.fleet import QUICK, RULES

WORKERS = 3
ROUNDS = 4

which = st.integers(0, WORKERS - 1)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("fails"), which),
        st.tuples(st.just("reset"), which),
        st.tuples(st.just("tells"), which),
        st.tuples(st.just("reads"), which),
        st.tuples(st.just("hears"), which),
        st.tuples(st.just("passes"), st.integers(0, 3)),
        st.tuples(st.just("fails over"), st.integers(0, 5)),
        st.tuples(st.just("clock"), st.integers(-5_000, 5_000)),
    ),
    max_size=40,
)


class Fleet:
    """Some workers over one store. `time`: everybody's clock, in seconds; `skew_s`: the store's, beside it."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.time = 1_000.0
        self.skew_s = 1_700_000_000.0
        self.store = MemoryStore(lambda: self.time + self.skew_s)
        self.past: list[dict[str, Circuit]] = [{}]
        self.notices: list[Told] = []
        self.store.listeners.append(self)  # type: ignore[arg-type]  # it hears what a subscription would
        self.members = [Member(self, f"w{i}") for i in range(WORKERS)]
        self.known = [0] * WORKERS

    def hear(self, told: Told) -> None:
        """A notice goes out; who gets it, and when, is up to the steps."""
        self.notices.append(told)
        self.past.append(dict(self.store.records))

    async def step(self, what: str, number: int) -> None:
        match what:
            case "passes":
                self.time += 10.0**-number
            case "clock":
                self.skew_s += number / 1000
            case "fails over":
                self.past = self.past[: max(1, len(self.past) - number)]
                self.store.records = dict(self.past[-1])
                self.store.evidence.clear()
            case _:
                await self.members[number].step(what)
        self.check()

    def check(self) -> None:
        for i, member in enumerate(self.members):
            epoch = member.breaker.circuit.epoch
            assert epoch >= self.known[i], f"{member.name} went back from {self.known[i]} to {epoch}"
            self.known[i] = epoch


class Member:
    """The parts of one worker's replicator that tell, hear and read, without the tasks that drive them."""

    def __init__(self, fleet: Fleet, name: str) -> None:
        self.name = name
        self.events: list[Event] = []
        self.breaker = Breaker("p", RULES, name)
        self._fleet = fleet
        site = Site(name, lambda: fleet.time, self.events.append, QUICK, Random(name))
        bus, link = MemoryBus(fleet.store), Link(site)
        self._facts = Facts(site, {"p": self.breaker}, stirred=lambda provider: None)
        self._listener = Listener(
            site, bus, {"p": self.breaker}, self._facts, link, joined=lambda: None, failing=lambda streak: None
        )
        self._proposer = Proposer(site, self.breaker, bus, self._facts, link)

    async def step(self, what: str) -> None:
        now = self._fleet.time
        match what:
            case "fails":
                while isinstance(permit := self.breaker.admit(now), Permit):
                    if self.breaker.record(permit, Outcome.FAILURE, now).transition is not None:
                        break
            case "reset":
                self.breaker.reset(now)
            case "tells":
                if (proposal := self.breaker.proposal) is not None:
                    await self._proposer._send(proposal)
            case "reads":
                await self._listener.read_all()
            case "hears" if self._fleet.notices:
                self._facts.noticed(self._fleet.rng.choice(self._fleet.notices))


@settings(max_examples=300, deadline=None)
@given(todo=steps, rng=st.randoms(use_true_random=False))
def test_epochs_never_go_back_and_all_agree_in_the_end(todo: list[tuple[str, int]], rng: Random) -> None:
    async def play() -> None:
        fleet = Fleet(rng)
        for what, number in todo:
            await fleet.step(what, number)
        for _ in range(ROUNDS):
            for i in range(WORKERS):
                await fleet.step("tells", i)
                await fleet.step("reads", i)
        held = fleet.store.records.get("p", Circuit())
        assert {member.breaker.circuit for member in fleet.members} == {held}
        assert held.epoch >= max(fleet.known)
        for member in fleet.members:
            epochs = [event.epoch for event in member.events if isinstance(event, RecordApplied)]
            assert epochs == sorted(epochs)

    asyncio.run(play())
