"""What breaks between simulated workers and all that they talk to: paths to Redis, ways to providers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.faults import (
    Fault,
    NetworkBandwidth,
    NetworkLatency,
    NetworkPartition,
    NetworkSwizzle,
    Place,
)
from harness.scenario import Latency
from harness.sim.chance import Chance
from harness.sim.fleet import host_of
from harness.sim.injectors.redis import REDIS
from harness.sim.injectors.scene import Effect, Maker, Scene
from harness.sim.standing import Standing
from harness.sim.wire import Disturbance

_FAR = frozenset([REDIS])
_EACH = 10_000


class Ways:
    """The ways of some workers to Redis and to every provider, cut or slowed. `key`: theirs at the providers."""

    def __init__(
        self,
        scene: Scene,
        fault: Fault,
        places: tuple[Place, ...],
        disturbance: Disturbance,
        *,
        key: int,
        slow: Callable[[], float] | None = None,
    ) -> None:
        self._scene = scene
        self._places = places
        self._disturbance = disturbance
        cuts = disturbance.effect == "hold"
        self._standings = {name: Standing(key, fault, places, slow) for name in scene.providers if cuts or slow}

    def inject(self) -> tuple[str, ...]:
        self._scene.network.disturb(self._disturbance)
        for name, standing in self._standings.items():
            self._scene.providers[name].put(standing)
        return tuple(w.name for w in self._scene.fleet.at(self._places))

    def heal(self) -> None:
        self._scene.network.heal(self._disturbance)
        for name, standing in self._standings.items():
            self._scene.providers[name].heal(standing)

    def effect(self) -> Effect:
        touched = sum(standing.touched for standing in self._standings.values())
        done = "held" if self._disturbance.effect == "hold" else "slowed"
        return Effect(f"segments and requests {done}", self._disturbance.affected + touched)


class Swizzle:
    """Workers are cut off one by one, and let go one by one in another order."""

    def __init__(self, scene: Scene, index: int, fault: Fault, places: tuple[Place, ...]) -> None:
        self._engine = scene.network.engine
        rng = Chance(scene.seed).stream(f"fault/{index}/order")
        self._cut_order = rng.sample(range(len(places)), len(places))
        self._heal_order = rng.sample(range(len(places)), len(places))
        self._step_s = (fault.for_ or 0.0) / (2 * max(1, len(places)))
        self._ways = [Ways(scene, fault, (p,), _cut((p,)), key=_key(index, n)) for n, p in enumerate(places)]
        self._on = tuple(w.name for w in scene.fleet.at(places))
        self._standing: set[int] = set()
        self._over = False

    def inject(self) -> tuple[str, ...]:
        steps = len(self._ways)
        for turn in range(steps):
            self._engine.call_later(turn * self._step_s, self._cut, self._cut_order[turn])
            self._engine.call_later((steps + turn + 0.5) * self._step_s, self._free, self._heal_order[turn])
        return self._on

    def _cut(self, number: int) -> None:
        if not self._over:
            self._standing.add(number)
            self._ways[number].inject()

    def _free(self, number: int) -> None:
        if number in self._standing:
            self._standing.remove(number)
            self._ways[number].heal()

    def heal(self) -> None:
        self._over = True
        for number in sorted(self._standing):
            self._free(number)

    def effect(self) -> Effect:
        return Effect("segments and requests held", sum(way.effect().count for way in self._ways))


def _key(index: int, number: int = 0) -> int:
    """What no fault of a provider has."""
    return -(1 + index * _EACH + number)


def _hosts(places: tuple[Place, ...]) -> frozenset[str]:
    return frozenset(host_of(place) for place in places)


def _cut(places: tuple[Place, ...]) -> Disturbance:
    return Disturbance(_hosts(places), _FAR, "hold")


def _partition(scene: Scene, index: int, fault: Fault, places: tuple[Place, ...]) -> Ways:
    return Ways(scene, fault, places, _cut(places), key=_key(index))


def _latency(scene: Scene, index: int, fault: Fault, places: tuple[Place, ...]) -> Ways:
    assert isinstance(fault, NetworkLatency)  # noqa: S101 - made for no other
    latency = Latency.model_construct(median=fault.median, p99=fault.p99)
    chance = Chance(scene.seed)
    one_way = chance.latency(latency, f"fault/{index}/redis")
    there = chance.latency(latency, f"fault/{index}/providers")
    slower = Disturbance(_hosts(places), _FAR, "delay", add=one_way)
    return Ways(scene, fault, places, slower, key=_key(index), slow=lambda: there() + there())


def _bandwidth(scene: Scene, index: int, fault: Fault, places: tuple[Place, ...]) -> Ways:
    assert isinstance(fault, NetworkBandwidth)  # noqa: S101 - made for no other
    narrow = Disturbance(_hosts(places), _FAR, "throttle", rate=fault.bytes_per_s)
    return Ways(scene, fault, places, narrow, key=_key(index))


MAKERS: Mapping[type[Fault], Maker] = {
    NetworkPartition: _partition,
    NetworkSwizzle: Swizzle,
    NetworkLatency: _latency,
    NetworkBandwidth: _bandwidth,
}
