"""Defects of what workers count together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flexiai.core.circuit import Proposal
from flexiai.core.evidence import Report, Terms
from flexiai.sync.redis import RedisBus
from flexiai.sync.reporter import Reporter
from harness.mutants.plant import Catalogue, Swap

CATALOGUE = Catalogue()


@CATALOGUE.mutant(
    "each-for-itself",
    "sync",
    defect="nobody tells of failures: twelve workers with a threshold of five make sixty failing attempts",
    seen="per-process counters: pybreaker, aiobreaker, and LiteLLM's cooldowns without Redis",
    plan="mutants-fleet",
)
def _each_for_itself(swap: Swap) -> None:
    swap(Reporter, "counted", lambda _: lambda self, *, failed: None)


@CATALOGUE.mutant(
    "successes-untold",
    "sync",
    defect="failures of all workers are added up, and no success ever ends the row",
    seen="LiteLLM #41223: a fleet-wide counter that only failures touch; a brown-out becomes an outage",
    plan="mutants-fleet",
)
def _successes_untold(swap: Swap) -> None:
    def make(report: Any) -> Any:
        async def mutated(self: RedisBus, provider: str, told: Report, terms: Terms) -> Any:
            return await report(self, provider, replace(told, ok_ms=None), terms)

        return mutated

    swap(RedisBus, "report", make)
    swap(Reporter, "_streak_runs", lambda _: property(lambda self: False))


@CATALOGUE.mutant(
    "quorum-ignored",
    "sync",
    defect="one worker's sight opens a provider for everybody, whatever the quorum",
    seen="the objection of resilience4j #1284 and Polly #215 to shared state: one bad worker poisons all others",
    plan="mutants-fleet",
)
def _quorum_ignored(swap: Swap) -> None:
    def make_report(report: Any) -> Any:
        async def mutated(self: RedisBus, provider: str, told: Report, terms: Terms) -> Any:
            return await report(self, provider, told, replace(terms, quorum=1))

        return mutated

    def make_propose(propose: Any) -> Any:
        async def mutated(self: RedisBus, provider: str, proposal: Proposal, *args: Any, **kwargs: Any) -> Any:
            return await propose(self, provider, replace(proposal, quorum=1), *args, **kwargs)

        return mutated

    swap(RedisBus, "report", make_report)
    swap(RedisBus, "propose", make_propose)
