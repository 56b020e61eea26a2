"""The way to Redis, to a provider or to all of them, as the fault proxy shapes it."""

from __future__ import annotations

from collections.abc import Callable

from harness.faults import Place
from harness.real.injectors.scene import Effect, Scene
from harness.real.proxy_client import Rule
from harness.real.workers import Worker

Ruling = Callable[[tuple[int, ...]], Rule]
"""Makes the rule for the workers with these process ids."""


class Wire:
    """A rule of the proxy for the workers at some places. `what`: what it counts; `on`: what it is put on, if named."""

    def __init__(
        self,
        scene: Scene,
        index: int,
        places: tuple[Place, ...],
        ruling: Ruling,
        what: str,
        *,
        on: tuple[str, ...] = (),
    ) -> None:
        self._stack = scene.stack
        self._index = index
        self._places = places
        self._ruling = ruling
        self._what = what
        self._on = on
        self._before = 0

    async def inject(self) -> tuple[str, ...]:
        self._before = await self._count()
        await self._put()
        return self._on or tuple(w.name for w in self._workers())

    async def heal(self) -> None:
        await self._stack.proxy.drop(self._index)

    async def follow(self) -> None:
        """Workers have come or gone: the rule is for the places."""
        await self._put()

    async def _put(self) -> None:
        await self._stack.proxy.put(self._index, self._ruling(tuple(w.pid for w in self._workers())))

    async def effect(self) -> Effect:
        return Effect(self._what, await self._count() - self._before)

    async def _count(self) -> int:
        return (await self._stack.proxy.counts()).get(self._index, 0)

    def _workers(self) -> list[Worker]:
        return [w for place, w in self._stack.fleet.live.items() if place in self._places]


class WireHit(Wire):
    """A rule that is put and dropped at once: what stands then is hit."""

    async def inject(self) -> tuple[str, ...]:
        on = await super().inject()
        await super().heal()
        return on

    async def heal(self) -> None:
        """It is over at once."""

    async def follow(self) -> None:
        """Who comes later is not hit."""
