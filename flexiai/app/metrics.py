"""The answer of `/metrics`: the guide's JSON, and what else a worker has counted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Literal

import msgspec

from flexiai.app.health import SyncHealth
from flexiai.app.worker import Worker
from flexiai.core.circuit import State
from flexiai.core.outcome import Outcome
from flexiai.counters import SyncCounts

_quality_like = re.compile(r"[01](\.[0-9]{0,3})?").fullmatch


class CircuitMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """One provider. `failure_count`: consecutive; all others count since the worker started."""

    state: State
    failure_count: int
    success_count: int
    attempts: int
    probes: int
    outcomes: Mapping[Outcome, int]
    transitions: Mapping[State, int]


class JournalMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """The journal's file, and how many events it could not take."""

    path: str
    lost: int


class InstanceMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """All workers of one `uvicorn --workers N`: how many live, and the requests of all there ever were, by status."""

    workers: int
    requests: Mapping[str, int]


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `/metrics`. `requests` by result; `timestamp` in UTC, for whoever collects it."""

    worker_id: int
    timestamp: str
    redis_status: Literal["connected", "disconnected", "disabled"]
    sync_enabled: bool
    circuit_breakers: dict[str, CircuitMetrics]
    requests: Mapping[str, int]
    sync: SyncHealth
    sync_counts: SyncCounts
    journal: JournalMetrics | None
    instance: InstanceMetrics


def metrics(worker: Worker) -> Metrics:
    """Everything that `worker` counted, now."""
    status = worker.client.sync.status()
    journal = worker.journal
    workers, requests = worker.pulse.requests()
    return Metrics(
        worker_id=worker.id,
        timestamp=datetime.now(UTC).isoformat(timespec="seconds"),  # told, never decided by
        redis_status=("connected" if status.connected else "disconnected") if status.enabled else "disabled",
        sync_enabled=status.enabled,
        circuit_breakers={config.name: _circuit(worker, config.name) for config in worker.settings.providers},
        requests=worker.counters.requests,
        sync=SyncHealth.of(status),
        sync_counts=worker.counters.sync,
        journal=JournalMetrics(path=str(journal.path), lost=journal.lost) if journal else None,
        instance=InstanceMetrics(workers=workers, requests=requests),
    )


def wants_prometheus(accept: str, format: str | None) -> bool:
    """Whether whoever sent this `Accept`, and `?format=`, wants Prometheus' text; JSON is for all others.

    Who would take either gets JSON: clients of JSON APIs name `text/plain` after it.
    """
    if format is not None:
        return format.lower() == "prometheus"
    wanted = _wanted(accept)
    text = max(wanted.get("text/plain", 0.0), wanted.get("application/openmetrics-text", 0.0))
    return text > wanted.get("application/json", 0.0)


def _wanted(accept: str) -> Mapping[str, float]:
    """The media types that an `Accept` names, each with the most that it is wanted."""
    wanted: dict[str, float] = {}
    for media_range in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in media_range.split(";"))
        wanted[kind] = max(_quality(parameters), wanted.get(kind, 0.0))
    return wanted


def _quality(parameters: Iterable[str]) -> float:
    given = next((p.removeprefix("q=") for p in parameters if p.startswith("q=")), "1")
    return float(given) if _quality_like(given) else 0.0


def _circuit(worker: Worker, name: str) -> CircuitMetrics:
    breaker = worker.client.breakers[name]
    counts = worker.counters.providers[name]
    return CircuitMetrics(
        state=breaker.state,
        failure_count=breaker.failure_count,
        success_count=breaker.success_count,
        attempts=counts.attempts,
        probes=counts.probes,
        outcomes=counts.outcomes,
        transitions=counts.transitions,
    )
