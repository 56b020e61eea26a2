"""The faults of a run as they happened: from when to when, and on whom."""

from __future__ import annotations

from dataclasses import dataclass

from harness.checkers.bounds import Bounds
from harness.checkers.lives import Kinds, Life
from harness.checkers.spans import Span
from harness.faults import ANSWERS, Fault, Place
from harness.history import FaultEffect, FaultHealed, FaultInjected, WorkerResumed
from harness.scenario import Scenario

"""Faults that take a provider's answers away (or a share of them)."""


@dataclass(frozen=True, slots=True)
class Window:
    """One fault that was in effect, in seconds since the run began. `on`: the workers (or names) it was put on.

    `healed` is False when it lasted until the load ended: nothing after it was observed.
    """

    index: int
    fault: Fault
    start: float
    end: float
    healed: bool
    on: tuple[str, ...]
    places: tuple[Place, ...]
    effects: tuple[FaultEffect, ...]

    @property
    def span(self) -> Span:
        """When it was in effect."""
        return Span(self.start, self.end)

    @property
    def effect_count(self) -> int:
        """How often it changed something, as far as its evidence says."""
        last: dict[str, int] = {}
        for effect in self.effects:
            last[effect.what] = max(effect.count, last.get(effect.what, 0))
        return sum(last.values())

    def touches(self, life: Life) -> bool:
        """Whether it was put on this worker (or on something all workers share)."""
        if not hasattr(self.fault, "workers"):
            return True
        return life.worker in self.on or life.place in self.places

    def spoils(self, provider: str) -> bool:
        """Whether it can make attempts on `provider` fail, for some worker at least."""
        return self.fault.of == "provider" and self.fault.provider == provider

    def takes_answers(self, provider: str) -> bool:
        """Whether it takes `provider`'s answers away from everybody."""
        return self.spoils(provider) and self.fault.name in ANSWERS


def windows_of(scenario: Scenario, seed: int, kinds: Kinds, end: float) -> tuple[Window, ...]:
    """Every fault that was injected, in the order of the scenario."""
    injected = {e.fault: e for e in kinds.get(FaultInjected, ()) if isinstance(e, FaultInjected)}
    healed = {e.fault: e.t for e in kinds.get(FaultHealed, ()) if isinstance(e, FaultHealed)}
    effects = [e for e in kinds.get(FaultEffect, ()) if isinstance(e, FaultEffect)]
    return tuple(
        Window(
            index=i,
            fault=scenario.faults[i],
            start=min(e.t, scenario.faults[i].at),
            end=e.t if scenario.faults[i].instant else healed.get(i, end),
            healed=scenario.faults[i].until(scenario.duration) < scenario.duration,
            on=e.on,
            places=scenario.targets_of(i, seed),
            effects=tuple(x for x in effects if x.fault == i),
        )
        for i, e in sorted(injected.items())
        if i < len(scenario.faults)
    )


def quiet_since(windows: tuple[Window, ...], kinds: Kinds) -> float:
    """When the last fault was over (and the last frozen worker ran again); 0 if nothing ever broke."""
    resumed = [e.t for e in kinds.get(WorkerResumed, ()) if isinstance(e, WorkerResumed)]
    return max([0.0, *(w.end for w in windows), *resumed])


def cuts_of(life: Life, windows: tuple[Window, ...], bounds: Bounds) -> list[Span]:
    """When a fault stood between this worker and the store: the fault, and the way back from it.

    The way back ends with the SyncUp that follows a SyncDown caused by the fault, and never lasts longer than
    `rejoin`: who takes longer has no excuse.
    """
    cuts = []
    for window in windows:
        if window.fault.of == "redis" and window.touches(life):
            back = window.end + bounds.rejoin
            ups = [t for t, up in life.sync if up and window.end < t <= back and _lost_in(life, window, t, bounds)]
            cuts.append(Span(window.start, max(ups, default=window.end)))
    return cuts


def _lost_in(life: Life, window: Window, up: float, bounds: Bounds) -> bool:
    """Whether the SyncUp at `up` ends a loss that began in the window, or was noticed shortly after it."""
    downs = [t for t, is_up in life.sync if not is_up and t <= up]
    never_up = not any(is_up for t, is_up in life.sync if t < up)
    return never_up or any(window.start <= t <= window.end + bounds.notice for t in downs)
