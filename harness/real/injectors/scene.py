"""What every injector works on, and what it owes: to put a fault in effect, to end it, and to prove its effect."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from redis.exceptions import RedisError

from harness.faults import Fault, Place
from harness.history import Happening, RedisSample
from harness.real.freezer import stopped
from harness.real.stack import Stack
from harness.world import WorldError


@dataclass(frozen=True, slots=True)
class Effect:
    """What a fault has changed, and how often."""

    what: str
    count: int


@dataclass(slots=True)
class Scene:
    """What an injector works on. `record` stamps nothing: happenings carry `now()`, seconds of the run.
    `times`: how often a fault was injected before."""

    stack: Stack
    now: Callable[[], float]
    record: Callable[[Happening], None]
    times: Callable[[int], int]


class Injector(Protocol):
    """One fault in effect."""

    async def inject(self) -> tuple[str, ...]:
        """Put it in effect; on what."""
        ...

    async def heal(self) -> None:
        """End it."""
        ...

    async def effect(self) -> Effect:
        """What it has changed so far."""
        ...


Maker = Callable[[Scene, int, Fault, tuple[Place, ...]], Injector]
"""Makes a fault's injector: the scene, the fault's index, the fault, and the workers' places it is put on."""


@contextlib.contextmanager
def asking_redis() -> Iterator[None]:
    """Redis not answering the harness itself, which no fault stands between, is the world's own trouble."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise WorldError(f"redis-server does not answer the harness: {type(error).__name__}") from error


async def sample(scene: Scene) -> None:
    """Record Redis' own counters, unless a fault keeps it from answering; WorldError if it does not."""
    if scene.stack.redis_wanted and not stopped(scene.stack.redis.pid):
        with asking_redis():
            counters = await scene.stack.redis.sample()
        scene.record(RedisSample(t=scene.now(), commands=counters.commands, published=counters.published))
