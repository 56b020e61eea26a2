"""What drawn faults bring about, for others to wait for: an outage opens a provider, which is then probed and closed; a
worker that is killed goes and comes back; and every fault begins and ends.

When an event comes is only estimated: a fault that waits for it has a last time anyway (`until`), and one whose event
does not come begins never.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.campaign.occasions import Drawn, Occasions
from harness.faults import EventName, Role
from harness.scenario import Scenario

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
        return self.brought.fault.provider if self.event in ("opened", "half_open", "probed", "closed") else None


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
