"""What a worker says of itself to operators, load balancers and orchestrators.

Rules
-----
* A provider is available if its breaker would admit a request now, be it as the last resort, or is due for a probe. One
  that is half-open and has every slot of its round taken is not.
* unhealthy  no provider is available, or nothing listens to the fleet any more: /health answers 503
* degraded   some provider is not available, or Redis is not connected: requests are served all the same
* /health/ready is about traffic alone: 503 while starting, stopping, or with no available provider. Redis is not asked:
  a fleet without Redis serves.
* Nothing here waits for anything: state is read as it stands.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from flexiai.app.replies import Reply
from flexiai.app.worker import Worker
from flexiai.core.breaker import Breaker
from flexiai.core.circuit import Cause, State
from flexiai.status import available
from flexiai.sync.port import SyncStatus
from flexiai.types import ProviderConfig


class ProviderHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One provider as this worker sees it.

    circuit_state, reason  the breaker's state and why it is what it is
    failure_count          consecutive failures
    retry_in_s             seconds until a probe is due; None unless OPEN
    epoch                  the fleet record that this worker knows (0: none yet)
    """

    name: str
    available: bool
    circuit_state: State
    failure_count: int
    reason: Cause
    retry_in_s: float | None
    epoch: int
    model: str
    priority: int


class SyncHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The line to the other workers; the fields of `flexiai.sync.port.SyncStatus`."""

    enabled: bool
    connected: bool
    subscribed: bool
    staleness_s: float | None
    reconnects: int
    listener_restarts: int
    deaf: bool
    last_error: str | None

    @classmethod
    def of(cls, status: SyncStatus) -> SyncHealth:
        """The status as JSON tells it."""
        return msgspec.convert(status, cls, from_attributes=True)


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `/health`."""

    status: Literal["healthy", "degraded", "unhealthy"]
    worker_id: int
    redis_connected: bool
    sync_enabled: bool
    providers: list[ProviderHealth]
    sync: SyncHealth


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `/health/ready`. `status`: ready | no_available_provider | stopping | not_serving."""

    status: Literal["ready", "no_available_provider", "stopping", "not_serving"]
    worker_id: int | None


class Liveness(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `/health/live`: the process answers."""

    worker_id: int
    status: Literal["alive"] = "alive"


def health(worker: Worker, now: float) -> Reply:
    """The answer of `/health` at `now`, on the worker's event-loop clock."""
    providers = provider_health(worker, now)
    sync = SyncHealth.of(worker.client.sync.status())
    status = overall([provider.available for provider in providers], sync)
    value = Health(
        status=status,
        worker_id=worker.id,
        redis_connected=sync.connected,
        sync_enabled=sync.enabled,
        providers=providers,
        sync=sync,
    )
    return Reply(503 if status == "unhealthy" else 200, value)


def readiness(worker: Worker | None, now: float) -> Reply:
    """The answer of `/health/ready`."""
    if worker is None:
        return Reply(503, Readiness(status="not_serving", worker_id=None))
    if worker.ending.begun:
        return Reply(503, Readiness(status="stopping", worker_id=worker.id))
    if not any(provider.available for provider in provider_health(worker, now)):
        return Reply(503, Readiness(status="no_available_provider", worker_id=worker.id))
    return Reply(200, Readiness(status="ready", worker_id=worker.id))


def overall(availability: list[bool], sync: SyncHealth) -> Literal["healthy", "degraded", "unhealthy"]:
    """The one word for a worker, given which of its providers are available."""
    if not any(availability) or (sync.enabled and sync.deaf):
        return "unhealthy"
    if not all(availability) or (sync.enabled and not sync.connected):
        return "degraded"
    return "healthy"


def provider_health(worker: Worker, now: float) -> list[ProviderHealth]:
    """Every provider as this worker sees it, in order of priority."""
    breakers = worker.client.breakers
    return [_of(config, breakers[config.name], now) for config in worker.settings.providers]


def _of(config: ProviderConfig, breaker: Breaker, now: float) -> ProviderHealth:
    is_open = breaker.state is State.OPEN
    return ProviderHealth(
        name=config.name,
        available=available(breaker, now),
        circuit_state=breaker.state,
        failure_count=breaker.failure_count,
        reason=breaker.reason,
        retry_in_s=round(max(0.0, breaker.open_until - now), 3) if is_open else None,
        epoch=breaker.circuit.epoch,
        model=config.model,
        priority=config.priority,
    )
