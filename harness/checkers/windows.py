"""The faults of a run as they happened: from when to when, and on whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from harness.checkers.bounds import Bounds
from harness.checkers.lives import Kinds, Life
from harness.checkers.spans import Span
from harness.faults import ANSWERS, REFUSES_WRITES, Fault, OperatorDrain, OperatorReset, Place, set_back_s
from harness.history import FaultEffect, FaultHealed, FaultInjected, WorkerResumed, WorkerUp
from harness.scenario import Scenario

CLOCK_S = 1e-6
"""A time of the plan that has come to within this has come."""


@dataclass(frozen=True, slots=True)
class Window:
    """One fault that was in effect, in seconds since the run began. `on`: the workers (or names) it was put on.

    `healed` is False when it lasted until the load ended: nothing after it was observed. `over`: when it holds nothing
    up any more. A clock that was set back holds every timer up for as long again, and one that was set back again and
    again for as long as all that together.
    """

    index: int
    fault: Fault
    start: float
    end: float
    healed: bool
    over: float
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
        if self.fault.workers_choice is None:
            return True
        return life.worker in self.on or life.place in self.places

    def spoils(self, provider: str) -> bool:
        """Whether it can make attempts on `provider` fail, or keeps workers from them; for some worker at least."""
        harmless = isinstance(self.fault, OperatorDrain | OperatorReset)
        return self.fault.on_provider(provider) and not harmless

    def takes_answers(self, provider: str) -> bool:
        """Whether it takes `provider`'s answers away from everybody."""
        return self.spoils(provider) and self.fault.name in ANSWERS


def windows_of(scenario: Scenario, seed: int, kinds: Kinds, end: float) -> tuple[Window, ...]:
    """Every fault that was injected, each time that it was, in the order of the scenario."""
    found = [w for index in range(len(scenario.faults)) for w in _windows_of(index, scenario, seed, kinds, end)]
    late_until = 0.0
    for n in sorted(range(len(found)), key=lambda n: found[n].end):
        if back_s := set_back_s(found[n].fault):
            late_until = max(late_until, found[n].end) + back_s
            found[n] = replace(found[n], over=late_until)
    return tuple(found)


def _windows_of(index: int, scenario: Scenario, seed: int, kinds: Kinds, end: float) -> Iterator[Window]:
    fault = scenario.faults[index]
    injected = [e for e in kinds.get(FaultInjected, ()) if isinstance(e, FaultInjected) and e.fault == index]
    healed = [e.t for e in kinds.get(FaultHealed, ()) if isinstance(e, FaultHealed) and e.fault == index]
    effects = [e for e in kinds.get(FaultEffect, ()) if isinstance(e, FaultEffect) and e.fault == index]
    homes = {e.worker: (e.instance, e.slot) for e in kinds.get(WorkerUp, ()) if isinstance(e, WorkerUp)}
    for time, e in enumerate(injected):
        over = e.t if fault.instant else next((t for t in healed if t >= e.t), end)
        yield Window(
            index=index,
            fault=fault,
            start=e.t,
            end=over,
            healed=over < scenario.duration - CLOCK_S,
            over=over,
            on=e.on,
            places=scenario.targets_of(index, seed, time) or tuple(homes[w] for w in e.on if w in homes),
            effects=tuple(x for x in effects if x.time == time),
        )


def quiet_since(windows: tuple[Window, ...], kinds: Kinds) -> float:
    """When the last fault was over (and the last frozen worker ran again); 0 if nothing ever broke."""
    resumed = [e.t for e in kinds.get(WorkerResumed, ()) if isinstance(e, WorkerResumed)]
    return max([0.0, *(w.over for w in windows), *resumed])


def cuts_of(life: Life, windows: tuple[Window, ...], bounds: Bounds) -> list[Span]:
    """When a fault stood between this worker and the store: the fault, and the way back from it. That messages are lost
    is no such thing: they may be.

    The way back ends with the SyncUp that follows a SyncDown caused by the fault, and never lasts longer than
    `rejoin`: who takes longer has no excuse. Where writes alone were refused no subscription was lost: the way back is
    then the time until they have been tried again (`propagate`).
    """
    cuts = []
    for window in windows:
        if window.fault.on_redis and window.fault.name != "drop_messages" and window.touches(life):
            back = window.end + bounds.rejoin
            ups = [t for t, up in life.sync if up and window.end < t <= back and _lost_in(life, window, t, bounds)]
            tried_again = window.end + bounds.propagate * (window.fault.name in REFUSES_WRITES)
            cuts.append(Span(window.start, max([tried_again, *ups])))
    return cuts


def _lost_in(life: Life, window: Window, up: float, bounds: Bounds) -> bool:
    """Whether the SyncUp at `up` ends a loss that began in the window, or was noticed shortly after it."""
    downs = [t for t, is_up in life.sync if not is_up and t <= up]
    never_up = not any(is_up for t, is_up in life.sync if t < up)
    return never_up or any(window.start <= t <= window.end + bounds.notice for t in downs)
