"""Defects of the right to probe: who probes, how many, and what becomes of a lease."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from flexiai.sync.bus import Hold
from flexiai.sync.probe_gate import ProbeGate
from flexiai.sync.redis import RedisBus
from harness.mutants.plant import Catalogue, Swap

CATALOGUE = Catalogue()
LONG_S = 86_400.0


@CATALOGUE.mutant(
    "everybody-probes",
    "probe",
    defect="every worker probes as soon as a probe is due, without a lease",
    seen="per-process half-open: pybreaker, aiobreaker, LiteLLM; a fleet of 50 sends 50 probes",
)
def _everybody_probes(swap: Swap) -> None:
    swap(ProbeGate, "want", lambda _: lambda self: True)


@CATALOGUE.mutant(
    "lease-never-expires",
    "probe",
    defect="a lease has no expiry: the probe right of a worker that died is gone for good",
    seen="SET NX without PX: the classic of Redis locks",
    plan="mutants-store",
)
def _lease_never_expires(swap: Swap) -> None:
    def make(acquire: Any) -> Any:
        async def mutated(self: RedisBus, provider: str, token: str, ttl_s: float, *args: Any, **kwargs: Any) -> Any:
            return await acquire(self, provider, token, LONG_S, *args, **kwargs)

        return mutated

    swap(RedisBus, "acquire", make)
    swap(RedisBus, "renew", make)


@CATALOGUE.mutant(
    "no-probe-without-store",
    "probe",
    defect="while Redis is down nobody may probe: a healed provider stays unused",
    seen="locks that fail closed: a Redis outage turns a short incident into a long one",
    plan="mutants-store",
)
def _no_probe_without_store(swap: Swap) -> None:
    swap(ProbeGate, "_alone", lambda _: lambda self: False)


@CATALOGUE.mutant(
    "denied-once-denied-for-ever",
    "probe",
    defect="a worker that was denied the lease never asks again",
    seen="leader election without a retry",
    plan="mutants-store",
)
def _denied_once_denied_for_ever(swap: Swap) -> None:
    def make(won: Any) -> Any:
        async def mutated(self: ProbeGate) -> Any:
            handed = await won(self)
            if handed is None:
                await asyncio.sleep(LONG_S)
            return handed

        return mutated

    swap(ProbeGate, "_won", make)


@CATALOGUE.mutant(
    "lost-lease-goes-on",
    "probe",
    defect="a holder whose lease has expired goes on probing",
    seen="locks without fencing (Kleppmann, How to do distributed locking)",
    plan="mutants-store",
)
def _lost_lease_goes_on(swap: Swap) -> None:
    def make(_: Any) -> Any:
        async def mutated(self: ProbeGate) -> Hold:
            self._held_until = math.inf
            return Hold.OURS

        return mutated

    swap(ProbeGate, "_kept", make)


@CATALOGUE.mutant(
    "probe-result-untold",
    "probe",
    defect="the lease goes back before the store has heard the probe's result: the next worker probes too",
    seen="release before publish: Touchkin/FlexiAI",
    plan="mutants-store",
)
def _probe_result_untold(swap: Swap) -> None:
    def make(_: Any) -> Any:
        async def mutated(self: ProbeGate) -> None:
            return None

        return mutated

    swap(ProbeGate, "_result_told", make)
