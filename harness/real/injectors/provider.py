"""What breaks at a real provider server, or on the way to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.faults import (
    Fault,
    Place,
    ProviderCapacity,
    ProviderCut,
    ProviderError,
    ProviderErrorBody,
    ProviderHang,
    ProviderLatency,
    ProviderMalformed,
    ProviderPartition,
    ProviderRateLimit,
    ProviderRefuse,
    ProviderReset,
    ProviderStall,
)
from harness.real.injectors.scene import Effect, Maker, Scene
from harness.real.injectors.wire import Wire
from harness.real.proxy_client import Rule


class Answers:
    """A provider answers badly, by its control API."""

    def __init__(self, scene: Scene, index: int, fault: Fault) -> None:
        self._provider = scene.stack.providers[fault.provider]
        self._index = index
        self._fault = fault

    async def inject(self) -> tuple[str, ...]:
        await self._provider.inject(self._index, self._fault)
        return (self._fault.provider,)

    async def heal(self) -> None:
        await self._provider.heal(self._index)

    async def effect(self) -> Effect:
        told = (await self._provider.state()).faults
        count = sum(fault.shaped + fault.cut for fault in told if fault.index == self._index)
        return Effect(_SHAPED[type(self._fault)](self._fault), count)


_SHAPED: Mapping[type[Fault], Callable[[Fault], str]] = {
    ProviderError: lambda f: f"requests answered {getattr(f, 'status', '')}",
    ProviderRateLimit: lambda _: "requests answered 429",
    ProviderCapacity: lambda _: "requests turned away",
    ProviderHang: lambda _: "requests never answered",
    ProviderRefuse: lambda _: "connections refused or reset",
    ProviderLatency: lambda _: "requests delayed",
    ProviderStall: lambda _: "streams stalled",
    ProviderCut: lambda _: "answers cut off",
    ProviderReset: lambda _: "answers lost with their connections",
    ProviderMalformed: lambda _: "answers that were malformed",
    ProviderErrorBody: lambda _: "answers with an error inside a 200",
}


def _partition(scene: Scene, index: int, fault: Fault, places: tuple[Place, ...]) -> Wire:
    def ruling(pids: tuple[int, ...]) -> Rule:
        return Rule(upstream=fault.provider, action="hold", pids=pids)

    return Wire(scene, index, places, ruling, f"chunks of bytes held on the way to {fault.provider}")


MAKERS: Mapping[type[Fault], Maker] = {
    **dict.fromkeys(_SHAPED, lambda scene, index, fault, _: Answers(scene, index, fault)),
    ProviderPartition: _partition,
}
