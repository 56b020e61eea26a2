"""Defects of sync: what is told, what is heard, and what is believed."""

from __future__ import annotations

import asyncio
from typing import Any

from flexiai.core.breaker import Breaker
from flexiai.core.circuit import Circuit, Proposal
from flexiai.errors import SyncError
from flexiai.sync import listener as listener_module
from flexiai.sync import scripts
from flexiai.sync.listener import Listener
from flexiai.sync.proposer import Proposer
from flexiai.sync.redis import RedisBus
from flexiai.sync.replicator import Replicator
from flexiai.sync.scripts import Script
from harness.mutants.plant import Catalogue, Swap, replaced

CATALOGUE = Catalogue()
LONG_S = 86_400.0


@CATALOGUE.mutant(
    "last-arrival-wins",
    "sync",
    defect="a record is applied because it came last, whatever its epoch",
    seen="Touchkin/FlexiAI: a late CLOSED undoes a newer OPEN",
)
def _last_arrival_wins(swap: Swap) -> None:
    def make(learn: Any) -> Any:
        def mutated(self: Breaker, circuit: Circuit, *args: Any, **kwargs: Any) -> bool:
            if circuit == self.circuit:
                return False
            self.circuit = Circuit(epoch=circuit.epoch - 1)  # so that whatever comes is newer
            return bool(learn(self, circuit, *args, **kwargs))

        return mutated

    swap(Breaker, "_learn", make)
    swap(listener_module, "_lost", lambda _: lambda known, held: False)


@CATALOGUE.mutant(
    "deaf-after-loss",
    "sync",
    defect="a listener that lost Redis once never comes back",
    seen="Touchkin/FlexiAI: 4 s of Redis downtime end its subscriber for good; PraisonAI #3913",
)
def _deaf_after_loss(swap: Swap) -> None:
    def make(_: Any) -> Any:
        async def mutated(self: Listener) -> None:
            try:
                await self._session()
            except SyncError as error:
                self._link.down(error)
            await asyncio.sleep(LONG_S)

        return mutated

    swap(Listener, "run", make)


@CATALOGUE.mutant(
    "joins-without-reading",
    "sync",
    defect="a worker subscribes and waits for news; what was said before it came it never reads",
    seen="pybreaker #24, #26, #36; Touchkin/FlexiAI: a new worker starts CLOSED into an outage",
)
def _joins_without_reading(swap: Swap) -> None:
    def make(_: Any) -> Any:
        async def mutated(self: Listener) -> None:
            async with self._bus.subscribe(tuple(self._breakers)) as subscription:
                self._backoff.reset()
                self._link.up()
                self._joined()
                await self._until_lost(subscription)

        return mutated

    swap(Listener, "_session", make)
    swap(Listener, "_reconcile", _for_ever)


@CATALOGUE.mutant(
    "no-reconcile",
    "sync",
    defect="records are read on subscribing and never again: a lost notice is lost news",
    seen="kombu #2590, redis-py #2417: at-most-once delivery taken for delivery",
    plan="mutants-store",
)
def _no_reconcile(swap: Swap) -> None:
    swap(Listener, "_reconcile", _for_ever)


@CATALOGUE.mutant(
    "published-not-stored",
    "sync",
    defect="a transition is published and not stored",
    seen="Touchkin/FlexiAI: state that only messages carry",
)
def _published_not_stored(swap: Swap) -> None:
    def make(script: Script) -> Script:
        return replaced(script, ("redis.call('HSET', key, provider, record_text(r))", ""))

    swap(scripts, "TRANSITION", make)
    swap(scripts, "RESTORE", make)


@CATALOGUE.mutant(
    "blind-write",
    "sync",
    defect="a transition is written without comparing epochs: two workers that trip at once make two contents of one",
    seen="GET, then SET: lost updates",
)
def _blind_write(swap: Swap) -> None:
    def make(script: Script) -> Script:
        compared = ("if base >= stored.epoch then", "if true then")
        return replaced(script, compared, ("local epoch = next_epoch(stored, base, told_ms)", "local epoch = base + 1"))

    swap(scripts, "TRANSITION", make)


@CATALOGUE.mutant(
    "epochs-begin-anew",
    "sync",
    defect="a store that lost its data counts epochs from one again",
    seen="Redis Sentinel and Cluster: acknowledged writes lost at failover; epochs that go backwards",
)
def _epochs_begin_anew(swap: Swap) -> None:
    def make(script: Script) -> Script:
        return replaced(script, ("math.max(math.max(stored.epoch, base) + 1, told_ms)", "stored.epoch + 1"))

    swap(scripts, "TRANSITION", make)
    swap(scripts, "REPORT", make)
    swap(listener_module, "_lost", lambda _: lambda known, held: False)


@CATALOGUE.mutant(
    "store-not-reseeded",
    "sync",
    defect="what an emptied store has lost nobody writes back",
    seen="a FLUSHALL in production; restarts without persistence",
    plan="mutants-store",
)
def _store_not_reseeded(swap: Swap) -> None:
    swap(listener_module, "_lost", lambda _: lambda known, held: False)


@CATALOGUE.mutant(
    "joiner-writes",
    "sync",
    defect="a worker that starts publishes its own state, CLOSED",
    seen="pybreaker #36: the state storage is initialised by whoever comes",
)
def _joiner_writes(swap: Swap) -> None:
    def make(start: Any) -> Any:
        async def mutated(self: Replicator) -> bool:
            for gate in self._gates.values():
                gate._breaker.reset(0.0)
            return bool(await start(self))

        return mutated

    swap(Replicator, "start", make)


@CATALOGUE.mutant(
    "told-once",
    "sync",
    defect="a transition that could not be told is forgotten",
    seen="fire and forget: publish errors that are logged",
    plan="mutants-store",
)
def _told_once(swap: Swap) -> None:
    def make(send: Any) -> Any:
        async def mutated(self: Proposer, proposal: Proposal) -> bool:
            if not await send(self, proposal):
                self._breaker.proposal = None
            return True

        return mutated

    swap(Proposer, "_send", make)


@CATALOGUE.mutant(
    "never-told",
    "sync",
    defect="a worker keeps its transitions to itself",
    seen="per-process breakers behind a load balancer: the guide's own reason for Redis",
)
def _never_told(swap: Swap) -> None:
    swap(Proposer, "wake", lambda _: lambda self: None)


@CATALOGUE.mutant(
    "tells-without-pause",
    "sync",
    defect="a store that does not answer is asked again at once, for ever",
    seen="LiteLLM #40620: reconnects without a backoff",
)
def _tells_without_pause(swap: Swap) -> None:
    def make(_: Any) -> Any:
        async def mutated(self: Proposer) -> None:
            await asyncio.sleep(0.001)

        return mutated

    swap(Proposer, "_pause", make)


@CATALOGUE.mutant(
    "stored-not-published",
    "sync",
    defect="a transition is stored and nobody is told: the others learn it by polling",
    seen="LiteLLM PR #40025: polls, 0.03 to 1 s",
)
def _stored_not_published(swap: Swap) -> None:
    def make(script: Script) -> Script:
        begin = script.text.index("  redis.call('PUBLISH'")
        end = script.text.index("\n", begin)
        return replaced(script, (script.text[begin:end], ""))

    swap(scripts, "TRANSITION", make)


@CATALOGUE.mutant(
    "own-clock",
    "sync",
    defect="the age of evidence is not told: what was seen before a partition passes for news after it",
    seen="last write wins by arrival: a worker back from a partition re-opens a healed provider",
)
def _own_clock(swap: Swap) -> None:
    def make(propose: Any) -> Any:
        async def mutated(self: RedisBus, provider: str, proposal: Proposal, age_s: float, *args: Any) -> Any:
            return await propose(self, provider, proposal, 0.0, *args)

        return mutated

    swap(RedisBus, "propose", make)


def _for_ever(_: Any) -> Any:
    async def mutated(self: Any) -> None:
        await asyncio.sleep(LONG_S)

    return mutated
