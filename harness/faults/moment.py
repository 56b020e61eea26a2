"""Something that happens in a run, for which a fault may wait."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

EventName = Literal["opened", "half_open", "probed", "closed", "worker_down", "worker_ready", "injected", "healed"]

OF_FAULTS: frozenset[EventName] = frozenset({"injected", "healed"})
OF_WORKERS: frozenset[EventName] = frozenset({"worker_down", "worker_ready"})


class Moment(BaseModel):
    """The `nth` time that something happens.

    opened       a provider is opened for the fleet, by what a worker, or several together, have seen
    half_open    a worker begins to probe a provider; probed: the probe is sent; closed: it closed the breaker
    worker_down, worker_ready   a worker is gone; one has become ready
    injected, healed            another fault (by its `id`) is in effect; is over
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: EventName
    provider: str | None = None
    fault: str | None = None
    nth: int = Field(1, ge=1)
