"""What drawn faults bring about, for others to wait for: an outage opens a provider, which is then probed and closed; a
worker that is killed goes and comes back; and every fault begins and ends.

When an event comes is only estimated: a fault that waits for it has a last time anyway (`until`), and one whose event
does not come begins never.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.campaign.occasions import Drawn, Occasions
from harness.faults import OF_FAULTS, OF_WORKERS, EventName, Fault, Moment, Role
from harness.scenario import Scenario

ROOM_S = 0.2
"""What waits for an event needs so much time after it."""

REPLACED_S = 1.2
"""How long it takes at most until a worker that is gone has been replaced (harness.sim.costs)."""

GOES = frozenset({"kill", "restart", "rolling_restart", "crash_loop"})
ROLES: dict[EventName, Role] = {"opened": "opener", "half_open": "probe_holder", "probed": "probe_holder"}
"""Who has what role by an event."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """Something to wait for. `brought`: by which fault; `at`: about when (seconds)."""

    event: EventName
    brought: Drawn
    at: float

    @property
    def provider(self) -> str | None:
        """Of which provider it is."""
        return None if self.event in OF_FAULTS | OF_WORKERS else self.brought.fault.provider

    @property
    def moment(self) -> Moment:
        """What a fault that waits for it says."""
        return Moment(
            event=self.event,
            provider=self.provider,
            fault=self.brought.fault.id if self.event in OF_FAULTS else None,
        )

    def waited_for(self, fault: Fault, wait_s: float, lasts_s: float, until_s: float) -> Drawn:
        """The fault, if it waits for this: shorter than `lasts_s` where that is needed to be over by `until_s`."""
        room_s = until_s - self.at
        wait_s = round(min(wait_s, room_s / 2), 3)
        lasts_s = 0.0 if fault.instant else round(min(lasts_s, room_s - wait_s), 3)
        times = {"at": wait_s, "after": self.moment, "until_": until_s, "for_": lasts_s or None}
        return Drawn(fault.model_copy(update=times), self.at + wait_s, self.at + wait_s + lasts_s)


def named(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Faults, of which only those keep an id that others speak of."""
    faults = tuple(faults)
    meant = {m.fault for fault in faults for m in (fault.after, fault.until_) if isinstance(m, Moment)}
    return tuple(f if f.id in meant else f.model_copy(update={"id": None}) for f in faults)


def anchors(scenario: Scenario, occasions: Occasions, drawn: Sequence[Drawn]) -> Iterator[Anchor]:
    """All that drawn faults bring about."""
    for it in drawn:
        yield Anchor("injected", it, it.begins)
        if not it.fault.instant:
            yield Anchor("healed", it, it.ends)
        if it.fault.of == "worker" and it.fault.name in GOES:
            yield Anchor("worker_down", it, it.begins)
            yield Anchor("worker_ready", it, it.begins + REPLACED_S)
        if (opened := occasions.opened(it, drawn)) is not None:
            yield from _of_outage(scenario, it, opened)


def _of_outage(scenario: Scenario, it: Drawn, opened: float) -> Iterator[Anchor]:
    reset_s = scenario.breaker.reset_timeout_s * (1 + scenario.breaker.reset_jitter)
    yield Anchor("opened", it, opened)
    yield Anchor("half_open", it, opened + reset_s)
    yield Anchor("probed", it, opened + reset_s)
    yield Anchor("closed", it, max(opened, it.ends) + reset_s)
