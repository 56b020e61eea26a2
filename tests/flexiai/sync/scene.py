"""Failures counted by a fleet in simulated time: the rules and words that its tests share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from flexiai.core.outcome import Outcome
from flexiai.sync.memory import MemoryStore
from flexiai.sync.reporter import SPACING_S
from flexiai.types import BreakerConfig
from tests.harness.sim.simulated import run

RULES = BreakerConfig(failure_threshold=3, reset_timeout_s=30.0, reset_jitter=0.0, failure_rate=None)
AHEAD_S = 1000.0  # how far the store's clock is ahead of the workers'
FAILS, WORKS = Outcome.FAILURE, Outcome.SUCCESS


def scene(play: Callable[[MemoryStore], Coroutine[object, object, None]]) -> None:
    """In simulated time."""

    async def staged() -> None:
        loop = asyncio.get_running_loop()
        await play(MemoryStore(lambda: AHEAD_S + loop.time()))

    run(staged())


async def settled() -> None:
    """Long enough for everything that is said at once, and too short for a reconcile to matter."""
    await asyncio.sleep(5 * SPACING_S)
