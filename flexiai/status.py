"""What a client knows of its providers, now: why one is not asked, who said so, since when and until when.

All times are seconds from now: whoever shows them to people may add them to a clock. Nothing here waits for anything.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from flexiai.core.breaker import Breaker
from flexiai.core.circuit import Cause, Mode, State
from flexiai.sync.port import SyncStatus
from flexiai.types import ProviderConfig

_OPERATORS = frozenset({Cause.RESET, Cause.FORCED_OPEN})


class ProviderStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One provider, as this worker sees it.

    available         a request would be admitted now, as a call or as a probe (a drained one: as the last resort)
    state, reason     its breaker's state, and why it is what it is
    by                whose word that is: an operator's, or what a worker found
    reporter          the worker that found it, or to which the operator spoke ("": nothing has happened yet)
    since_s           how long ago that was (None: nothing has happened yet)
    until_s           OPEN: seconds until a probe is due; else None
    mode, note        an operator's hold that is in force, and the reason given for it (or for a reset)
    held_for_s        seconds for which the hold is still in force; None: there is none
    share             the share of requests it admits while others can serve (below 1: traffic is returning)
    failure_count     consecutive failures
    rounds            failed probe rounds since it first opened
    probes_in_flight  half-open slots that are taken; free_probes: those that are not
    epoch             the fleet record that this worker knows (0: none yet)
    told              the fleet knows what this worker found (False: it is still being told)
    private           this worker alone keeps away from it: the fleet asks a quorum, and holds it CLOSED
    """

    name: str
    model: str
    priority: int
    available: bool
    state: State
    reason: Cause
    by: Literal["worker", "operator"]
    reporter: str
    since_s: float | None
    until_s: float | None
    mode: Mode
    note: str
    held_for_s: float | None
    share: float
    failure_count: int
    rounds: int
    probes_in_flight: int
    free_probes: int
    epoch: int
    told: bool
    private: bool = False


class ClientStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A client's view: its providers in the order in which they are asked. `sync.staleness_s`: how old the view is."""

    worker: str
    providers: tuple[ProviderStatus, ...]
    sync: SyncStatus


def available(breaker: Breaker, now: float) -> bool:
    """Whether a request would be admitted at `now`, as a call or as a probe, be it as the last resort."""
    match breaker.state:
        case State.CLOSED:
            return True
        case State.OPEN:
            return now >= breaker.open_until
        case State.HALF_OPEN:
            return breaker.free_probes > 0


def status_of(config: ProviderConfig, breaker: Breaker, now: float, *, fleet: bool) -> ProviderStatus:
    """A provider's status at `now` on the worker's clock. `fleet`: there are others to be told."""
    held = breaker.held(now)
    operated = held is not Mode.NORMAL or breaker.reason in _OPERATORS
    return ProviderStatus(
        name=config.name,
        model=config.model,
        priority=config.priority,
        available=available(breaker, now),
        state=breaker.state,
        reason=breaker.reason,
        by="operator" if operated else "worker",
        reporter=breaker.reporter,
        since_s=max(0.0, now - breaker.since) if breaker.reporter else None,
        until_s=max(0.0, breaker.open_until - now) if breaker.state is State.OPEN else None,
        mode=held,
        note=breaker.note if operated else "",
        held_for_s=breaker.held_until - now if held is not Mode.NORMAL else None,
        share=breaker.share(now),
        failure_count=breaker.failure_count,
        rounds=breaker.rounds,
        probes_in_flight=breaker.probes_in_flight,
        free_probes=breaker.free_probes,
        epoch=breaker.circuit.epoch,
        told=not fleet or breaker.proposal is None,
        private=breaker.private,
    )
