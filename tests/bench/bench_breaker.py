"""What the breaker and the failover loop cost per call, beside other breakers around the same nothing."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from flexiai import AsyncFlexiAI, BreakerConfig, ChatCompletion, ProviderConfig
from flexiai.chat import ChatMessage, ChatRequest, Choice
from flexiai.core.breaker import Breaker, Permit
from flexiai.core.outcome import Outcome
from flexiai.counters import Counters
from tests.bench.figure import Figure
from tests.bench.peers import BREAKERS, Unavailable, environment

CALLS = 100_000
REQUESTS = 20_000
ROUNDS = 3
PEERS_BOUND_S = 120.0
_ANSWER = ChatCompletion(id="1", model="m", choices=(Choice(message=ChatMessage(content="hi")),), provider="a")


class NoOp:
    """A provider that answers at once."""

    async def complete(self, request: ChatRequest, *, timeout_s: float) -> ChatCompletion:
        return _ANSWER


def run() -> list[Figure]:
    """All figures of the breaker."""
    ours = _median(lambda: asyncio.run(_around_nothing()))
    return [
        Figure("admit + record, a success", _median(lambda: _pairs(Outcome.SUCCESS)), "µs", "<= 5"),
        Figure("admit + record, a failure", _median(lambda: _pairs(Outcome.FAILURE)), "µs", "<= 5"),
        Figure("failover loop around a no-op provider", _median(lambda: asyncio.run(_requests())), "µs", "<= 50"),
        Figure("our breaker around an async nothing", ours, "µs"),
        *_peers(ours),
    ]


def _peers(ours: float) -> list[Figure]:
    try:
        python = environment("breakers", BREAKERS) / "python"
    except Unavailable as why:
        return [Figure("other breakers", float("nan"), "µs", note=str(why))]
    script = Path(__file__).with_name("breaker_peers.py")
    rounds = [
        json.loads(
            subprocess.run([python, script, str(CALLS)], capture_output=True, timeout=PEERS_BOUND_S, check=True).stdout
        )
        for _ in range(ROUNDS)
    ]
    medians = {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]}
    return [
        Figure(f"{name} around the same", us, "µs", note=f"ours is {ours / us:.2f}x") for name, us in medians.items()
    ]


def _pairs(outcome: Outcome) -> float:
    """Microseconds for one permit and its return; the breaker stays CLOSED throughout."""
    breaker = Breaker("a", BreakerConfig(failure_threshold=CALLS * 10, failure_rate=None), "w")
    began = time.perf_counter()
    for call in range(CALLS):
        permit = breaker.admit(call * 1e-4)
        assert isinstance(permit, Permit)
        breaker.record(permit, outcome, call * 1e-4, took_s=0.1, jitter=0.5)
    return (time.perf_counter() - began) / CALLS * 1e6


async def _around_nothing() -> float:
    breaker, clock = Breaker("a", BreakerConfig(), "w"), asyncio.get_running_loop().time

    async def nothing() -> None:
        return

    began = time.perf_counter()
    for _ in range(CALLS):
        permit = breaker.admit(clock())
        assert isinstance(permit, Permit)
        await nothing()
        breaker.record(permit, Outcome.SUCCESS, clock())
    return (time.perf_counter() - began) / CALLS * 1e6


async def _requests() -> float:
    """Microseconds for one whole request, its events counted as the app counts them."""
    providers = [ProviderConfig(name=name, model="m", priority=i) for i, name in enumerate("ab")]
    hello = [{"role": "user", "content": "hello"}]
    async with AsyncFlexiAI(
        providers=providers, custom={"a": NoOp(), "b": NoOp()}, listeners=[Counters("ab")]
    ) as client:
        began = time.perf_counter()
        for _ in range(REQUESTS):
            await client.chat.completions.create(messages=hello, max_tokens=16)
        return (time.perf_counter() - began) / REQUESTS * 1e6


def _median(measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(ROUNDS))
