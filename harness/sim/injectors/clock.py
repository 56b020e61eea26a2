"""What a simulated worker's own clock does."""

from __future__ import annotations

from collections.abc import Mapping

from harness.faults import ClockDrift, ClockJump, ClockOffset, Fault, Place
from harness.sim.injectors.scene import Effect, Maker, Scene


class Clocks:
    """Some workers' clocks are set, or run at another rate."""

    def __init__(self, scene: Scene, fault: Fault, places: tuple[Place, ...]) -> None:
        self._workers = scene.fleet.at(places)
        self._ahead_s = _ahead_s(fault)
        self._rate = fault.rate if isinstance(fault, ClockDrift) else None
        self._once = fault.instant
        self._moved = 0

    def inject(self) -> tuple[str, ...]:
        self._set(self._ahead_s, self._rate)
        return tuple(w.name for w in self._workers)

    def heal(self) -> None:
        if not self._once:
            self._set(-self._ahead_s, 1.0 if self._rate is not None else None)

    def effect(self) -> Effect:
        return Effect("timers whose time has moved", self._moved)

    def _set(self, ahead_s: float, rate: float | None) -> None:
        for worker in self._workers:
            if not worker.process.ended:
                self._moved += worker.process.loop.set_clock(ahead_s=ahead_s, rate=rate)


def _ahead_s(fault: Fault) -> float:
    if not isinstance(fault, ClockOffset | ClockJump):
        return 0.0
    return fault.by if fault.way == "ahead" else -fault.by


MAKERS: Mapping[type[Fault], Maker] = dict.fromkeys(
    (ClockOffset, ClockJump, ClockDrift), lambda scene, _, fault, places: Clocks(scene, fault, places)
)
