"""What every part of the replicator needs to know about the worker it works on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from flexiai.events import Event
from flexiai.sync.backoff import Backoff
from flexiai.types import SyncConfig


@dataclass(frozen=True, slots=True)
class Site:
    """One worker: its identity, its clock (seconds), who hears its events, its settings, its source of chance."""

    worker: str
    now: Callable[[], float]
    emit: Callable[[Event], None]
    config: SyncConfig
    rng: Random

    def backoff(self) -> Backoff:
        """A backoff between tries to reach the store."""
        return Backoff(self.config.reconnect_min_s, self.config.reconnect_max_s, self.rng)
