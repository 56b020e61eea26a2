"""What breaks at a simulated provider, or on the way to it."""

from __future__ import annotations

from collections.abc import Mapping

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
from harness.sim.injectors.scene import Effect, Maker, Scene
from harness.sim.standing import Standing


class ProviderBreaks:
    """A provider answers badly, late, not at all, or not to everybody."""

    def __init__(self, scene: Scene, index: int, fault: Fault, places: tuple[Place, ...]) -> None:
        self._scene = scene
        self._provider = scene.providers[fault.provider]
        self._standing = Standing(index, fault, places)

    def inject(self) -> tuple[str, ...]:
        self._provider.put(self._standing)
        if not self._standing.places:
            return (self._provider.name,)
        return tuple(w.name for w in self._scene.fleet.at(self._standing.places))

    def heal(self) -> None:
        self._provider.heal(self._standing)

    def effect(self) -> Effect:
        return Effect(self._standing.what, self._standing.touched)


_FOR_ALL = (
    ProviderError,
    ProviderRateLimit,
    ProviderCapacity,
    ProviderHang,
    ProviderRefuse,
    ProviderLatency,
    ProviderStall,
    ProviderCut,
    ProviderReset,
    ProviderMalformed,
    ProviderErrorBody,
)
MAKERS: Mapping[type[Fault], Maker] = {
    **dict.fromkeys(_FOR_ALL, lambda scene, index, fault, _: ProviderBreaks(scene, index, fault, ())),
    ProviderPartition: ProviderBreaks,
}
