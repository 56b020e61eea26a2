"""Defects of the request's way: whom it asks, how often, for how long, and what its caller is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from flexiai import assembly
from flexiai.budget import RetryBudget
from flexiai.chat import ChatChunk, ChatCompletion
from flexiai.core.outcome import Outcome, Trouble
from flexiai.errors import NoProviderAvailable, ProviderError, StreamBroken, SyncError
from flexiai.failover import Failover
from harness.mutants.plant import Catalogue, Swap

CATALOGUE = Catalogue()
LONG_S = 3600.0
HIDDEN_TRIES = 3


@CATALOGUE.mutant(
    "breaker-not-asked",
    "router",
    defect="the breaker's no is not heeded",
    seen="interlock-cb: a check before the loop instead of before each attempt",
)
def _breaker_not_asked(swap: Swap) -> None:
    def make(leave: Any) -> Any:
        def mutated(self: Failover, course: Any, candidate: Any, *args: Any, **kwargs: Any) -> Any:
            permit = leave(self, course, candidate, *args, **kwargs)
            return permit if permit is not None else candidate.breaker._permit

        return mutated

    swap(Failover, "_leave", make)


@CATALOGUE.mutant(
    "worst-first",
    "router",
    defect="providers are asked in the reverse order of priority",
    seen="a priority that is read as a weight: lower is asked last",
)
def _worst_first(swap: Swap) -> None:
    swap(assembly, "in_order", lambda in_order: lambda providers: tuple(reversed(in_order(providers))))


@CATALOGUE.mutant(
    "no-failover",
    "router",
    defect="a provider's failure is the caller's answer; the next provider is not asked",
    seen="LiteLLM: fallbacks that are configured and not used (#40404)",
)
def _no_failover(swap: Swap) -> None:
    def make(may_repeat: Any) -> Any:
        def mutated(self: Failover, course: Any, candidate: Any, failure: ProviderError) -> bool:
            may_repeat(self, course, candidate, failure)
            raise self._nobody(course)

        return mutated

    swap(Failover, "_may_repeat", make)


@CATALOGUE.mutant(
    "caller-errors-fail-over",
    "router",
    defect="a caller's own error is tried on every provider",
    seen="LiteLLM #41223; gateways that fail over on any 4xx",
)
def _caller_errors_fail_over(swap: Swap) -> None:
    def make(may_repeat: Any) -> Any:
        def mutated(self: Failover, course: Any, candidate: Any, failure: ProviderError) -> bool:
            if failure.outcome is Outcome.NEUTRAL and failure.trouble is not Trouble.DEADLINE:
                course.failure = failure
                course.note(candidate.name, failure.outcome.value, str(failure))
                return False
            return bool(may_repeat(self, course, candidate, failure))

        return mutated

    swap(Failover, "_may_repeat", make)


@CATALOGUE.mutant(
    "no-deadline",
    "router",
    defect="each attempt has its own time, and nobody adds them up",
    seen="LiteLLM: 30 s per attempt and per retry, two minutes for a caller",
    plan="mutants-retries",
)
def _no_deadline(swap: Swap) -> None:
    def make(set_out: Any) -> Any:
        def mutated(self: Failover, *args: Any, **kwargs: Any) -> Any:
            course = set_out(self, *args, **kwargs)
            course.deadline += LONG_S
            return course

        return mutated

    swap(Failover, "_set_out", make)


@CATALOGUE.mutant(
    "no-retry-budget",
    "router",
    defect="further attempts cost nothing",
    seen="retry storms: the budget of Finagle and Envoy exists for them",
    plan="mutants-retries",
)
def _no_retry_budget(swap: Swap) -> None:
    swap(RetryBudget, "affords", lambda _: lambda self, now: True)


@CATALOGUE.mutant(
    "hidden-retries",
    "router",
    defect="what asks a provider tries again by itself, beside the loop and behind the breaker",
    seen="LiteLLM #25285: the SDK's retries times the gateway's, up to 12 attempts",
)
def _hidden_retries(swap: Swap) -> None:
    def make(asked: Any) -> Any:
        async def mutated(self: Failover, course: Any, attempt: Any) -> ChatCompletion | ProviderError:
            provider, left = attempt.candidate.provider, attempt.allowed_s
            for _ in range(HIDDEN_TRIES - 1):
                with contextlib.suppress(ProviderError):
                    completion: ChatCompletion = await provider.complete(course.chat, timeout_s=left / HIDDEN_TRIES)
                    self._ended(course, attempt, None)
                    return completion
            result: ChatCompletion | ProviderError = await asked(self, course, attempt)
            return result

        return mutated

    swap(Failover, "_asked", make)


@CATALOGUE.mutant(
    "store-on-the-path",
    "router",
    defect="every request reads the fleet's store before it is served",
    seen="LiteLLM #35273, #40482: a frozen Redis, and every request hangs; Touchkin/FlexiAI: 57 s for a state read",
)
def _store_on_the_path(swap: Swap) -> None:
    def make(served: Any) -> Any:
        async def mutated(self: Failover, *args: Any, **kwargs: Any) -> Any:
            if bus := getattr(self._sync, "_bus", None):
                with contextlib.suppress(SyncError):
                    await bus.read()
            return await served(self, *args, **kwargs)

        return mutated

    swap(Failover, "_served", make)


@CATALOGUE.mutant(
    "waits-for-a-provider",
    "router",
    defect="a request that nobody can serve waits until somebody can, without a bound",
    seen="LiteLLM #35273: liveness-healthy while every request hung",
)
def _waits_for_a_provider(swap: Swap) -> None:
    def make(served: Any) -> Any:
        async def mutated(self: Failover, *args: Any, **kwargs: Any) -> Any:
            try:
                return await served(self, *args, **kwargs)
            except NoProviderAvailable:
                await asyncio.sleep(LONG_S)
                raise

        return mutated

    swap(Failover, "_served", make)


@CATALOGUE.mutant(
    "failover-in-mid-stream",
    "router",
    defect="a stream that breaks off after its first token begins again at the next provider, in the same answer",
    seen="Bifrost #5395; LiteLLM #6957, #38610: text told twice",
)
def _failover_in_mid_stream(swap: Swap) -> None:
    def make(stream: Any) -> Any:
        async def mutated(self: Failover, chat: Any) -> AsyncGenerator[ChatChunk, None]:
            try:
                async with contextlib.aclosing(stream(self, chat)) as first:
                    async for chunk in first:
                        yield chunk
            except StreamBroken:
                async with contextlib.aclosing(stream(self, chat)) as second:
                    async for chunk in second:
                        yield chunk

        return mutated

    swap(Failover, "stream", make)


@CATALOGUE.mutant(
    "cancelled-permit-is-lost",
    "router",
    defect="an attempt whose caller leaves is never ended: its permit does not come back, and nobody hears of it",
    seen="interlock-cb: a cancelled probe locks a provider out for ever; LiteLLM #38610",
)
def _cancelled_permit_is_lost(swap: Swap) -> None:
    def make(ended: Any) -> Any:
        def mutated(self: Failover, course: Any, attempt: Any, failure: Any, *args: Any, **kwargs: Any) -> None:
            if failure is None or failure.trouble is not Trouble.CANCELLED:
                ended(self, course, attempt, failure, *args, **kwargs)

        return mutated

    swap(Failover, "_ended", make)
