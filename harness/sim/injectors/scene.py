"""What every injector works on, and what it owes: to put a fault in effect, to end it, and to prove its effect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from harness.faults import Fault, Place
from harness.history import Recorder
from harness.scenario import Scenario
from harness.sim.fleet import Fleet
from harness.sim.network import Network
from harness.sim.provider import SimProvider
from harness.sim.redis import SimRedis


@dataclass(slots=True)
class Scene:
    """What an injector works on; happenings go to `record` in the time of `now`, `sample` records Redis' counters.

    entries  all that was recorded so far
    times    how often a fault was injected before
    """

    scenario: Scenario
    seed: int
    network: Network
    redis: SimRedis
    providers: dict[str, SimProvider]
    fleet: Fleet
    record: Recorder
    now: Callable[[], float]
    sample: Callable[[], None]
    entries: Sequence[Any]
    times: Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Effect:
    """What a fault has changed, and how often."""

    what: str
    count: int


class Injector(Protocol):
    """One fault in effect."""

    def inject(self) -> tuple[str, ...]:
        """Put it in effect; on what."""
        ...

    def heal(self) -> None:
        """End it."""
        ...

    def effect(self) -> Effect:
        """What it has changed so far."""
        ...


Maker = Callable[[Scene, int, Fault, tuple[Place, ...]], Injector]
"""Makes a fault's injector: the scene, the fault's index, the fault, and the workers' places it is put on."""
