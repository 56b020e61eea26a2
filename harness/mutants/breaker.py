"""Defects of the breaker: when it opens, what it counts, and what it forgets."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from flexiai.core import breaker as breaker_module
from flexiai.core.breaker import Breaker
from flexiai.core.circuit import Cause, State
from flexiai.core.health import Health
from flexiai.core.outcome import Outcome
from flexiai.core.permit import Recorded
from harness.mutants.plant import Catalogue, Make, Swap

CATALOGUE = Catalogue()


@CATALOGUE.mutant(
    "late-result-counts",
    "breaker",
    defect="a result that began in an earlier life of the breaker counts in this one",
    seen="LiteLLM after a hang: timeouts still in flight bench the healed primary; Polly #217, #223",
)
def _late_result_counts(swap: Swap) -> None:
    def make(record: Any) -> Any:
        def mutated(self: Breaker, permit: Any, *args: Any, **kwargs: Any) -> Recorded:
            current = replace(permit, generation=self.generation, probe=self.state is State.HALF_OPEN)
            result: Recorded = record(self, current, *args, **kwargs)
            return result

        return mutated

    swap(Breaker, "record", make)


@CATALOGUE.mutant(
    "never-opens",
    "breaker",
    defect="no number of failures opens the breaker",
    seen="LiteLLM's default settings: 1,313 failing attempts at a dead primary",
)
def _never_opens(swap: Swap) -> None:
    swap(Health, "verdict", _always(None))


@CATALOGUE.mutant(
    "one-failure-too-early",
    "breaker",
    defect="it opens one failure before its threshold",
    seen="off by one in counting; pybreaker counts the call that trips twice",
)
def _one_failure_too_early(swap: Swap) -> None:
    def make(verdict: Any) -> Any:
        def mutated(self: Any, now: float) -> Cause | None:
            early = self.failures_in_a_row == self._rules.failure_threshold - 1
            return Cause.CONSECUTIVE_FAILURES if early else verdict(self, now)

        return mutated

    swap(Health, "verdict", make)


@CATALOGUE.mutant(
    "success-does-not-clear",
    "breaker",
    defect="a success does not end a row of failures",
    seen="counters that only ever grow: pybreaker before 0.4",
)
def _success_does_not_clear(swap: Swap) -> None:
    def make(note: Any) -> Any:
        def mutated(self: Any, now: float, failed: bool, took_s: float) -> None:
            row = self.failures_in_a_row
            note(self, now, failed, took_s)
            if not failed:
                self.failures_in_a_row = row

        return mutated

    swap(Health, "note", make)


@CATALOGUE.mutant(
    "caller-errors-count",
    "breaker",
    defect="a caller's own error counts as the provider's failure",
    seen="LiteLLM #41223: bad requests of one caller bench a provider for everybody",
)
def _caller_errors_count(swap: Swap) -> None:
    def make(record: Any) -> Any:
        def mutated(self: Breaker, permit: Any, outcome: Outcome, *args: Any, **kwargs: Any) -> Recorded:
            counted = Outcome.FAILURE if outcome is Outcome.NEUTRAL else outcome
            result: Recorded = record(self, permit, counted, *args, **kwargs)
            return result

        return mutated

    swap(Breaker, "record", make)


@CATALOGUE.mutant(
    "no-half-open",
    "breaker",
    defect="when the open time is over it closes, and all traffic returns at once",
    seen="LiteLLM's cooldowns: no half-open state",
)
def _no_half_open(swap: Swap) -> None:
    def make(grant: Any) -> Any:
        def mutated(self: Breaker, now: float, *args: Any, **kwargs: Any) -> Any:
            if self.state is not State.OPEN or now < self.open_until:
                return None
            return self._close(Cause.PROBE_GRANTED, now)

        return mutated

    swap(Breaker, "grant_probe", make)


@CATALOGUE.mutant(
    "retry-after-ignored",
    "breaker",
    defect="a Retry-After is not heeded",
    seen="agentgateway #1500; every gateway that has a cooldown of its own",
    plan="mutants-peace",
)
def _retry_after_ignored(swap: Swap) -> None:
    swap(breaker_module, "asked_for_s", _always(0.0))


@CATALOGUE.mutant(
    "retry-after-uncapped",
    "breaker",
    defect="a Retry-After of a day is kept for a day",
    seen="grok2api #986: a 24 h header",
    plan="mutants-peace",
)
def _retry_after_uncapped(swap: Swap) -> None:
    def make(_: Any) -> Any:
        def mutated(rules: Any, outcome: Outcome, retry_after_s: float) -> float:
            heeded = outcome in (Outcome.RATE_LIMITED, Outcome.FAILURE)
            return max(0.0, retry_after_s) if heeded else 0.0

        return mutated

    swap(breaker_module, "asked_for_s", make)


@CATALOGUE.mutant(
    "shorter-deadline-wins",
    "breaker",
    defect="a fleet record with a shorter open time overwrites a longer Retry-After of this worker's own",
    seen="LiteLLM #40130",
    plan="mutants-peace",
)
def _shorter_deadline_wins(swap: Swap) -> None:
    def make(follow: Any) -> Any:
        def mutated(self: Breaker, now: float, *args: Any, **kwargs: Any) -> Any:
            self._left_alone_until = -math.inf
            return follow(self, now, *args, **kwargs)

        return mutated

    swap(Breaker, "_follow", make)


@CATALOGUE.mutant(
    "open-for-ever",
    "breaker",
    defect="the open time grows without a cap",
    seen="unbounded exponential backoff: grpc's early clients",
)
def _open_for_ever(swap: Swap) -> None:
    def make(open_time_s: Any) -> Any:
        def mutated(rules: Any, rounds: int, jitter: float) -> float:
            return float(open_time_s(rules, 0, 0.5)) * 10.0 ** min(rounds + 1, 6)

        return mutated

    swap(breaker_module, "open_time_s", make)


@CATALOGUE.mutant(
    "probe-slot-leaks",
    "breaker",
    defect="a probe that ends neutral never gives its slot back: the provider is locked out for ever",
    seen="voidllm #185; Polly #216, #1979; resilience4j #544, #935; interlock-cb under traffic",
)
def _probe_slot_leaks(swap: Swap) -> None:
    def make(record: Any) -> Any:
        def mutated(self: Breaker, permit: Any, outcome: Outcome, *args: Any, **kwargs: Any) -> Recorded:
            taken = self.probes_in_flight
            result: Recorded = record(self, permit, outcome, *args, **kwargs)
            if permit.probe and outcome is Outcome.NEUTRAL and permit.generation == self.generation:
                self.probes_in_flight = taken
            return result

        return mutated

    swap(Breaker, "record", make)


@CATALOGUE.mutant(
    "unlimited-half-open",
    "breaker",
    defect="HALF_OPEN lets every request through",
    seen="Touchkin/FlexiAI: 50 concurrent probes with a limit of 1; purgatory",
)
def _unlimited_half_open(swap: Swap) -> None:
    def make(admit: Any) -> Any:
        def mutated(self: Breaker, *args: Any, **kwargs: Any) -> Any:
            if self.state is State.HALF_OPEN:
                self.probes_in_flight += 1
                return self._permit
            return admit(self, *args, **kwargs)

        return mutated

    swap(Breaker, "admit", make)


@CATALOGUE.mutant(
    "probe-success-does-not-close",
    "breaker",
    defect="a probe's success is counted and closes nothing",
    seen="a success threshold that is compared with the wrong counter",
)
def _probe_success_does_not_close(swap: Swap) -> None:
    swap(Breaker, "_probe_succeeded", _always(None))


@CATALOGUE.mutant(
    "late-success-closes",
    "breaker",
    defect="a success that arrives while it is OPEN closes the breaker",
    seen="Polly #217: a late success closes a re-opened circuit",
)
def _late_success_closes(swap: Swap) -> None:
    def make(record: Any) -> Any:
        def mutated(self: Breaker, permit: Any, outcome: Outcome, now: float, **kwargs: Any) -> Recorded:
            if self.state is State.OPEN and outcome is Outcome.SUCCESS:
                return Recorded(counted=True, transition=self._close(Cause.PROBE_SUCCEEDED, now))
            result: Recorded = record(self, permit, outcome, now, **kwargs)
            return result

        return mutated

    swap(Breaker, "record", make)


def _always(value: object) -> Make:
    return lambda _: lambda *args, **kwargs: value
