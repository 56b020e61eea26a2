"""What breaks between real workers and all that they talk to, as the fault proxy shapes it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import Random

import msgspec

from harness.faults import Fault, NetworkBandwidth, NetworkLatency, NetworkPartition, NetworkSwizzle, Place
from harness.real.injectors.scene import Effect, Maker, Scene
from harness.real.injectors.wire import Ruling, Wire
from harness.real.proxy_client import Rule

_EACH = 10_000


class Swizzle:
    """Workers are cut off one by one, and let go one by one in another order."""

    def __init__(self, scene: Scene, index: int, fault: Fault, places: tuple[Place, ...]) -> None:
        rng = Random(f"{scene.stack.seed}/fault/{index}/order")
        self._cut_order = rng.sample(range(len(places)), len(places))
        self._heal_order = rng.sample(range(len(places)), len(places))
        self._step_s = (fault.for_ or 0.0) / (2 * max(1, len(places)))
        self._ways = [
            Wire(scene, _EACH * (index + 1) + n, (place,), _hold, "chunks of bytes held")
            for n, place in enumerate(places)
        ]
        self._on = tuple(w.name for place, w in scene.stack.fleet.live.items() if place in places)
        self._standing: set[int] = set()
        self._going: asyncio.Task[None] | None = None

    async def inject(self) -> tuple[str, ...]:
        self._going = asyncio.create_task(self._go())
        return self._on

    async def _go(self) -> None:
        for number in self._cut_order:
            self._standing.add(number)
            await self._ways[number].inject()
            await asyncio.sleep(self._step_s)
        for number in self._heal_order:
            await asyncio.sleep(self._step_s / 2)
            await self._ways[number].heal()
            self._standing.discard(number)
            await asyncio.sleep(self._step_s / 2)

    async def follow(self) -> None:
        """Workers have come or gone."""
        for number in sorted(self._standing):
            await self._ways[number].follow()

    async def heal(self) -> None:
        if self._going is not None:
            self._going.cancel()
            await asyncio.wait({self._going})
        for number in sorted(self._standing):
            await self._ways[number].heal()

    async def effect(self) -> Effect:
        return Effect("chunks of bytes held", sum([(await way.effect()).count for way in self._ways]))


def _hold(pids: tuple[int, ...]) -> Rule:
    return Rule(upstream=None, action="hold", pids=pids)


def _wire(scene: Scene, index: int, fault: Fault, places: tuple[Place, ...]) -> Wire:
    ruling, what = _ruling(fault)
    return Wire(scene, index, places, ruling, what)


def _ruling(fault: Fault) -> tuple[Ruling, str]:
    match fault:
        case NetworkLatency():
            slow = Rule(upstream=None, action="delay", median_s=fault.median, p99_s=fault.p99)
            return lambda pids: _for(slow, pids), "chunks of bytes delayed"
        case NetworkBandwidth():
            narrow = Rule(upstream=None, action="throttle", rate=fault.bytes_per_s)
            return lambda pids: _for(narrow, pids), "chunks of bytes slowed"
        case _:
            return _hold, "chunks of bytes held"


def _for(rule: Rule, pids: tuple[int, ...]) -> Rule:
    return msgspec.structs.replace(rule, pids=pids)


MAKERS: Mapping[type[Fault], Maker] = {
    NetworkPartition: _wire,
    NetworkLatency: _wire,
    NetworkBandwidth: _wire,
    NetworkSwizzle: Swizzle,
}
