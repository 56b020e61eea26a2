"""The way to Redis or to a provider, as the fault proxy shapes it."""

from __future__ import annotations

from harness.faults import Fault, Place, RedisLatency
from harness.real.injectors.scene import Effect, Scene
from harness.real.proxy_client import Rule
from harness.real.stack import REDIS
from harness.real.workers import Worker


class Wire:
    """The way to Redis or to a provider is cut or stretched, by the proxy."""

    def __init__(self, scene: Scene, index: int, fault: Fault, places: tuple[Place, ...]) -> None:
        self._stack = scene.stack
        self._index = index
        self._upstream = REDIS if fault.target == REDIS else fault.provider
        self._delay_s = fault.add if isinstance(fault, RedisLatency) else None
        self._places = places

    async def inject(self) -> tuple[str, ...]:
        await self._stack.proxy.put(self._index, self._rule())
        return tuple(w.name for w in self._workers()) if self._delay_s is None else (self._upstream,)

    async def heal(self) -> None:
        await self._stack.proxy.drop(self._index)

    async def follow(self) -> None:
        """Workers have come or gone: the rule is for the places."""
        await self._stack.proxy.put(self._index, self._rule())

    async def effect(self) -> Effect:
        what = "chunks of bytes held" if self._delay_s is None else "chunks of bytes delayed"
        return Effect(f"{what} on the way to {self._upstream}", (await self._stack.proxy.counts()).get(self._index, 0))

    def _workers(self) -> list[Worker]:
        return [w for place, w in self._stack.fleet.live.items() if place in self._places]

    def _rule(self) -> Rule:
        if self._delay_s is not None:
            return Rule(upstream=self._upstream, action="delay", delay_s=self._delay_s)
        return Rule(upstream=self._upstream, action="hold", pids=tuple(w.pid for w in self._workers()))
