"""The answer of `/providers`: why a provider is not asked, who said so, since and until when, and how sure that is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from flexiai.app.health import ProviderHealth, provider_health
from flexiai.app.worker import Worker
from flexiai.core.circuit import Mode
from flexiai.status import ProviderStatus


class ProviderReport(ProviderHealth, frozen=True, kw_only=True):
    """One provider, as this worker sees it, with what led to it. Times of the clock are in UTC.

    by                whose word its state is: an operator's, or what a worker found
    reporter          that worker, or the one to which the operator spoke ("": nothing has happened yet)
    since, until      since when; OPEN: until when nobody asks it (null: nothing has happened yet; it is not OPEN)
    mode, held_until  an operator's hold: normal (none) | open (nobody asks) | drain (last resort), and until when
    held_for_s        seconds for which it is still in force
    note              the operator's reason
    share             the share of requests it gets while others can serve: below 1 while its traffic returns
    rounds            failed probe rounds since it first opened
    probes_in_flight  half-open slots that are taken; free_probes: those that are not
    told              the fleet knows what this worker found
    private           this worker alone keeps away from it: the fleet asks a quorum, and holds it CLOSED
    """

    by: Literal["worker", "operator"]
    reporter: str
    since: str | None
    until: str | None
    mode: Mode
    held_until: str | None
    held_for_s: float | None
    note: str
    share: float
    rounds: int
    probes_in_flight: int
    free_probes: int
    told: bool
    private: bool


class Providers(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `/providers`, in order of priority.

    worker       who this worker is in events and records, as `reporter` names it
    staleness_s  how old this worker's view of the fleet is (null: it has none, or there is no fleet)
    """

    worker_id: int
    worker: str
    staleness_s: float | None
    providers: list[ProviderReport]


class Operated(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to an operator: the provider as this worker sees it now. The others are told through Redis."""

    worker_id: int
    provider: ProviderReport


def providers(worker: Worker, now: float) -> Providers:
    """Every provider at `now`, on the worker's event-loop clock."""
    status, wall = worker.client.status(), datetime.now(UTC)  # told, never decided by
    pairs = zip(provider_health(worker, now), status.providers, strict=True)
    reports = [_report(health, known, wall) for health, known in pairs]
    return Providers(
        worker_id=worker.id, worker=status.worker, staleness_s=_rounded(status.sync.staleness_s), providers=reports
    )


def _report(health: ProviderHealth, known: ProviderStatus, wall: datetime) -> ProviderReport:
    return ProviderReport(
        **msgspec.structs.asdict(health),
        by=known.by,
        reporter=known.reporter,
        since=_at(wall, known.since_s, -1),
        until=_at(wall, known.until_s, 1),
        mode=known.mode,
        held_until=_at(wall, known.held_for_s, 1),
        held_for_s=_rounded(known.held_for_s),
        note=known.note,
        share=round(known.share, 3),
        rounds=known.rounds,
        probes_in_flight=known.probes_in_flight,
        free_probes=known.free_probes,
        told=known.told,
        private=known.private,
    )


def _at(wall: datetime, seconds: float | None, sign: int) -> str | None:
    return None if seconds is None else (wall + sign * timedelta(seconds=seconds)).isoformat(timespec="seconds")


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
