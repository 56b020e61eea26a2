"""Who lived when, and what each worker's breakers were: one row per place, one stretch per stay in a state.

Rules
-----
* A place (`instance.slot`) is one row, whoever holds it; a replacement is named `1.3′`, the next one `1.3″`.
* A breaker is CLOSED from its worker's birth until its first transition says otherwise.
* A worker that is gone has no state: its row is empty until its place is taken again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flexiai.core.circuit import State
from flexiai.events import Transition, WorkerStarted
from harness.history import History, WorkerDown, WorkerPaused, WorkerResumed, WorkerUp

_PRIMES = ("", "′", "″", "‴")


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stay of row `row` in `state`, from `start` to `end` (seconds since the run began)."""

    row: int
    state: State
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time on one row."""

    row: int
    start: float
    end: float


@dataclass(frozen=True)
class Fleet:
    """The fleet over time.

    rows      the places, in order: `1.1`, `1.2`, …
    labels    how a worker's identity is shown: `1.3′`
    breakers  per provider, the states of all rows
    paused    when a row's worker did not run
    births    row and time of every replacement
    gone      when a row had no worker
    """

    rows: tuple[str, ...]
    labels: Mapping[str, str]
    breakers: Mapping[str, tuple[Stretch, ...]]
    paused: tuple[Span, ...]
    births: tuple[Span, ...]
    gone: tuple[Span, ...]

    def label(self, worker: str) -> str:
        """A worker's short name; its raw identity if the harness never saw it come up."""
        return self.labels.get(worker, worker)

    def named(self, text: str) -> str:
        """A sentence in which every worker's identity is replaced by its short name."""
        if not self.labels:
            return text
        longest_first = sorted(self.labels, key=lambda worker: (-len(worker), worker))
        known = re.compile("|".join(rf"(?<!\w){re.escape(worker)}(?!\w)" for worker in longest_first))
        return known.sub(lambda found: self.labels[found[0]], text)


@dataclass(frozen=True, slots=True)
class _Life:
    row: int
    start: float
    end: float
    replacement: bool


def fleet_of(history: History, providers: Sequence[str], end: float) -> Fleet:
    """The fleet of a run that is drawn until `end`."""
    ups = {up.worker: up for up in history.all(WorkerUp)}
    places = sorted({(up.instance, up.slot) for up in ups.values()})
    row_of = {place: i for i, place in enumerate(places)}
    lives = _lives(history, ups, row_of, end)
    return Fleet(
        rows=tuple(f"{instance}.{slot}" for instance, slot in places),
        labels={worker: place_label(up) for worker, up in ups.items()},
        breakers={name: _stretches(history, name, lives) for name in providers},
        paused=_pauses(history, lives),
        births=tuple(Span(life.row, life.start, life.start) for life in lives.values() if life.replacement),
        gone=tuple(_gaps(lives, len(places), end)),
    )


def place_label(up: WorkerUp) -> str:
    """`1.3` for the first worker of that place, `1.3′` for its replacement, `1.3′×4` from the fourth on."""
    prime = _PRIMES[up.generation] if up.generation < len(_PRIMES) else f"′×{up.generation}"
    return f"{up.instance}.{up.slot}{prime}"


def _lives(
    history: History, ups: Mapping[str, WorkerUp], row_of: Mapping[tuple[int, int], int], end: float
) -> dict[str, _Life]:
    began = {event.worker: event.t for event in reversed(list(history.all(WorkerStarted)))}
    ended = {down.worker: down.t for down in history.all(WorkerDown)}
    return {
        worker: _Life(
            row=row_of[up.instance, up.slot],
            start=min(up.t, began.get(worker, up.t)),
            end=ended.get(worker, end),
            replacement=up.generation > 0,
        )
        for worker, up in ups.items()
    }


def _stretches(history: History, provider: str, lives: Mapping[str, _Life]) -> tuple[Stretch, ...]:
    current = {worker: (State.CLOSED, life.start) for worker, life in lives.items()}
    stretches: list[Stretch] = []
    for change in history.all(Transition):
        if change.provider != provider or change.worker not in current:
            continue
        state, since = current[change.worker]
        if change.to is state:
            continue
        stretches.append(Stretch(lives[change.worker].row, state, since, change.t))
        current[change.worker] = (change.to, change.t)
    for worker, (state, since) in current.items():
        stretches.append(Stretch(lives[worker].row, state, since, max(since, lives[worker].end)))
    return tuple(sorted(stretches, key=lambda s: (s.row, s.start, s.end)))


def _gaps(lives: Mapping[str, _Life], rows: int, end: float) -> Iterator[Span]:
    """Between the death of a row's worker and the birth of the next one, or the end."""
    for row in range(rows):
        held = sorted((life.start, life.end) for life in lives.values() if life.row == row)
        births = [start for start, _ in held[1:]] + [end]
        yield from (Span(row, died, born) for (_, died), born in zip(held, births, strict=True) if born > died)


def _pauses(history: History, lives: Mapping[str, _Life]) -> tuple[Span, ...]:
    since: dict[str, float] = {}
    spans: list[Span] = []
    for entry in history.entries:
        if isinstance(entry, WorkerPaused) and entry.worker in lives:
            since.setdefault(entry.worker, entry.t)
        elif isinstance(entry, WorkerResumed | WorkerDown) and entry.worker in since:
            spans.append(Span(lives[entry.worker].row, since.pop(entry.worker), entry.t))
    spans.extend(Span(lives[worker].row, start, lives[worker].end) for worker, start in since.items())
    return tuple(spans)
