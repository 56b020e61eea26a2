"""How each fault is done in simulation, undone, and proven to have had an effect.

A module per target holds its `MAKERS`; this registry puts them together.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.faults import Fault, Place
from harness.sim.injectors import clock, network, operator, provider, redis, worker
from harness.sim.injectors.redis import REDIS, REDIS_PORT, open_door
from harness.sim.injectors.scene import Effect, Injector, Maker, Scene
from harness.sim.injectors.worker import GRACE_S
from harness.world import Unsupported

MAKERS: Mapping[type[Fault], Maker] = {
    **provider.MAKERS,
    **operator.MAKERS,
    **redis.MAKERS,
    **worker.MAKERS,
    **network.MAKERS,
    **clock.MAKERS,
}

__all__ = ["GRACE_S", "MAKERS", "REDIS", "REDIS_PORT", "Effect", "Injector", "Scene", "injector", "open_door"]


def injector(scene: Scene, index: int, places: tuple[Place, ...]) -> Injector:
    """The injector of a scenario's fault on the workers at `places`, made when the fault is injected."""
    fault = scene.scenario.faults[index]
    make = MAKERS.get(type(fault))
    if make is None:
        raise Unsupported(f"'{fault.name}' on {fault.of} cannot be simulated")
    return make(scene, index, fault, places)
