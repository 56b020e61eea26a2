"""How each fault is done for real, undone, and proven to have had an effect.

A module per target holds its `MAKERS`; this registry puts them together.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.faults import Fault, Place
from harness.real.injectors import network, operator, provider, redis, worker
from harness.real.injectors.network import Swizzle
from harness.real.injectors.scene import Effect, Injector, Maker, Scene, sample
from harness.real.injectors.wire import Wire
from harness.world import WorldError

MAKERS: Mapping[type[Fault], Maker] = {
    **provider.MAKERS,
    **operator.MAKERS,
    **redis.MAKERS,
    **worker.MAKERS,
    **network.MAKERS,
}

__all__ = ["MAKERS", "Effect", "Injector", "Scene", "Swizzle", "Wire", "injector", "sample"]


def injector(scene: Scene, index: int, places: tuple[Place, ...]) -> Injector:
    """The injector of a scenario's fault on the workers at `places`."""
    fault = scene.stack.scenario.faults[index]
    make = MAKERS.get(type(fault))
    if make is None:
        raise WorldError(f"no way is known to inject '{fault.name}' on {fault.of} for real")
    return make(scene, index, fault, places)
