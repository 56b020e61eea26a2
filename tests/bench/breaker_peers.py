"""A call through each of three other breakers, around nothing. Runs in their environment; prints JSON, microseconds."""

import asyncio
import json
import sys
import time


async def nothing() -> None:
    """The work."""


def nothing_sync() -> None:
    """The work, for the one that has no asyncio without Tornado."""


async def timed(call, calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        await call()
    return (time.perf_counter() - began) / calls * 1e6


async def main(calls: int) -> dict[str, float]:
    import aiobreaker
    import purgatory
    import pybreaker

    py = pybreaker.CircuitBreaker(fail_max=5)
    began = time.perf_counter()
    for _ in range(calls):
        py.call(nothing_sync)
    figures = {"pybreaker (sync)": (time.perf_counter() - began) / calls * 1e6}

    aio = aiobreaker.CircuitBreaker(fail_max=5)
    figures["aiobreaker"] = await timed(lambda: aio.call_async(nothing), calls)

    breaker = await purgatory.AsyncCircuitBreakerFactory().get_breaker("x")

    async def through_purgatory() -> None:
        async with breaker:
            await nothing()

    figures["purgatory"] = await timed(through_purgatory, calls)
    return figures


print(json.dumps(asyncio.run(main(int(sys.argv[1])))))
