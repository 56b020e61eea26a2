"""The workers of a run: when each lived, where, when it was frozen, and when it was in touch with the store."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from flexiai.events import (
    AttemptStarted,
    RecordApplied,
    RequestStarted,
    SyncDown,
    SyncUp,
    Transition,
    WorkerReady,
    WorkerStarted,
    WorkerStopped,
)
from harness.checkers.spans import Span
from harness.faults import Place
from harness.history import WorkerDown, WorkerPaused, WorkerResumed, WorkerUp

Kinds = Mapping[type[msgspec.Struct], Sequence[msgspec.Struct]]
_LIFE_KINDS = (
    WorkerUp,
    WorkerStarted,
    WorkerReady,
    WorkerStopped,
    WorkerDown,
    WorkerPaused,
    WorkerResumed,
    SyncUp,
    SyncDown,
)
_SIGNS = (RequestStarted, AttemptStarted, Transition, RecordApplied)


@dataclass(slots=True)
class Life:
    """One worker process. Times in seconds since the run began; filled while a case is built, then left alone.

    began   when its process or its client was first seen
    ready   when it could take requests (None: never)
    gone    when it stopped serving: stopped in good order, or dead (inf: it outlived the history)
    sync    (time, is it up?) in order
    pauses  when it was frozen
    """

    worker: str
    began: float
    place: Place | None = None
    generation: int = 0
    ready: float | None = None
    synced: bool = False
    gone: float = math.inf
    how: Literal["killed", "died", "terminated", "stopped"] | None = None
    sync: list[tuple[float, bool]] = field(default_factory=list)
    pauses: list[Span] = field(default_factory=list)

    @property
    def died(self) -> bool:
        """Whether it ended without a chance to say so."""
        return self.how in ("killed", "died")

    def alive(self, t: float) -> bool:
        """Whether it was there at `t`."""
        return self.began <= t < self.gone

    def served(self, a: float, b: float) -> bool:
        """Whether it could take requests during all of [a, b]."""
        return self.ready is not None and self.ready <= a and b < self.gone

    def paused(self, a: float, b: float) -> bool:
        """Whether it was frozen at some moment of [a, b]."""
        return any(p.meets(a, b) for p in self.pauses)

    def up_since(self, t: float) -> float | None:
        """The first time at or after `t` at which it was (again) in touch with the store; None: never."""
        return next((at for at, up in self.sync if up and at >= t), None)

    def last_down(self) -> float | None:
        """When it lost the store for the last time; None if it never did."""
        return max((at for at, up in self.sync if not up), default=None)


def lives_of(kinds: Kinds) -> dict[str, Life]:
    """Every worker's life, in the order in which they began; those known only by what they did come last."""
    entries = sorted((e for kind in _LIFE_KINDS for e in kinds.get(kind, ())), key=lambda e: e.t)  # type: ignore[attr-defined]  # all of them have t and worker
    lives: dict[str, Life] = {}
    for entry in entries:
        worker: str = entry.worker  # type: ignore[attr-defined]  # as above
        _note(lives.setdefault(worker, Life(worker, entry.t)), entry)  # type: ignore[attr-defined]  # as above
    for kind in _SIGNS:
        for sign in kinds.get(kind, ()):
            if sign.worker not in lives:  # type: ignore[attr-defined]  # as above
                lives[sign.worker] = Life(sign.worker, sign.t)  # type: ignore[attr-defined]  # as above
    return lives


def _note(life: Life, entry: object) -> None:
    match entry:
        case WorkerUp():
            life.place, life.generation = (entry.instance, entry.slot), entry.generation
        case WorkerReady():
            life.ready, life.synced = entry.t, entry.synced
        case WorkerStopped():
            life.gone, life.how = min(life.gone, entry.t), life.how or "stopped"
        case WorkerDown():
            life.gone, life.how = min(life.gone, entry.t), entry.how
        case WorkerPaused():
            life.pauses.append(Span(entry.t, math.inf))
        case WorkerResumed() if life.pauses:
            life.pauses[-1] = Span(life.pauses[-1].start, entry.t)
        case SyncUp() | SyncDown():
            life.sync.append((entry.t, isinstance(entry, SyncUp)))
        case _:
            pass
