"""One member of a fleet that is measured: `python -m tests.bench.sync_member bare|ours PORT NAME COUNT`.

It says READY, hears COUNT notices, and prints as JSON when it heard each (CLOCK_MONOTONIC, by number). The member
called `speaker` makes them instead, at its own pace, and prints when it made each.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import redis.asyncio
import uvloop

from flexiai import AsyncFlexiAI, ChatCompletion, ProviderConfig, SyncConfig
from flexiai.chat import ChatRequest
from flexiai.events import Event, RecordApplied

CHANNEL = "bench"
PACE_S = 0.02
BOUND_S = 60.0
PADDING = "x" * 180  # about as long as a record


class Nobody:
    """A provider that nobody asks."""

    async def complete(self, request: ChatRequest, *, timeout_s: float) -> ChatCompletion:
        raise NotImplementedError


async def bare(port: int, name: str, count: int) -> dict[int, float]:
    """Publish and subscribe as redis-py does it by itself."""
    connection = redis.asyncio.Redis(port=port)
    times: dict[int, float] = {}
    if name == "speaker":
        await _told_to_begin()
        for number in range(1, count + 1):
            times[number] = time.monotonic()
            await connection.publish(CHANNEL, f"{number} {PADDING}")
            await asyncio.sleep(PACE_S)
    else:
        async with connection.pubsub() as pubsub:
            await pubsub.subscribe(CHANNEL)
            await pubsub.get_message(timeout=BOUND_S)
            print("READY", flush=True)
            while len(times) < count:
                message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=BOUND_S)
                if message is not None:
                    times[int(message["data"].split()[0])] = time.monotonic()
    await connection.aclose()
    return times


async def ours(port: int, name: str, count: int) -> dict[int, float]:
    """A whole client; what is said is an operator's reset, so that every one is a transition of the fleet."""
    times: dict[int, float] = {}
    full, news = asyncio.Event(), asyncio.Event()

    def heard(event: Event) -> None:
        if isinstance(event, RecordApplied):
            times.setdefault(event.epoch, time.monotonic())
            news.set()
            if len(times) >= count:
                full.set()

    async with AsyncFlexiAI(
        providers=[ProviderConfig(name="p", model="m")],
        custom={"p": Nobody()},
        sync=SyncConfig(redis_port=port),
        worker=name,
        listeners=[heard],
    ) as client:
        print("READY", flush=True)
        async with asyncio.timeout(BOUND_S):
            if name != "speaker":
                await full.wait()
                return times
            await _told_to_begin()
            began = {}
            for _ in range(count):
                news.clear()
                at = time.monotonic()
                client.reset("p")
                await news.wait()
                began[max(times)] = at
                await asyncio.sleep(PACE_S)
            return began


async def _told_to_begin() -> None:
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


if __name__ == "__main__":
    kind, port, name, count = sys.argv[1:]
    print(json.dumps(uvloop.run({"bare": bare, "ours": ours}[kind](int(port), name, int(count)))))
