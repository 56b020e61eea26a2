"""The causal story of a violation: what led to it, walked back through the history.

From the violation's worker and provider back:

    its breaker's last changes   what a breaker did by itself: the attempts that made it; what it did because the fleet
                                 had: the record it followed, and who had caused that
    each record on the way       who learned of it, when and how; whom its notice did not reach, and what stood between
    the request, if it is one    every attempt of it
    what was wrong then          faults in effect, workers that were gone, frozen or deaf

Nothing is guessed: every line is an entry of the history, or says that one is missing that others have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import cast

from flexiai.core.circuit import Cause
from flexiai.events import (
    AttemptEnded,
    AttemptStarted,
    EvidenceHeard,
    EvidenceSent,
    NoticeIgnored,
    ProbeLease,
    ProposalFailed,
    ProposalSent,
    RecordApplied,
    RecordRestored,
    RequestEnded,
    RequestStarted,
    SyncDown,
    SyncUp,
    Transition,
)
from harness.checkers import Case, Violation
from harness.checkers.lives import Life
from harness.checkers.windows import Window
from harness.explain_words import told
from harness.history import Entry, RedisDown, RedisUp, WorkerDown, WorkerPaused, WorkerResumed

CHANGES = 3
"""How many changes of a breaker are walked back."""

BEFORE_S = 2.0
"""How long before the first of them the surroundings are looked at."""

FEW = 2
"""How often a line is repeated before it is folded."""

_OF_REQUESTS = (RequestStarted, AttemptStarted, AttemptEnded, RequestEnded)
_OF_PROVIDERS = (EvidenceSent, EvidenceHeard, ProposalSent, ProposalFailed, RecordRestored, NoticeIgnored, ProbeLease)
_AROUND = (SyncUp, SyncDown, WorkerDown, WorkerPaused, WorkerResumed, RedisDown, RedisUp)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a story. `t`: seconds since the run began; `mark`: what it is to the violation."""

    t: float
    text: str
    mark: str = " "


@dataclass(frozen=True, slots=True)
class Story:
    """A violation and what led to it, in time order."""

    violation: Violation
    lines: tuple[Line, ...]

    def told(self) -> str:
        """The story, for a person."""
        v = self.violation
        head = f"{v.rule}, at {v.t:.3f} s: {v.text}"
        return "\n".join([head, *(f"  {line.mark} {line.t:9.3f} s  {line.text}" for line in self.lines)])


def explain(case: Case, violation: Violation) -> Story:
    """What led to a violation."""
    entries = _chain(case, violation)
    since = min([e.t for e in entries], default=violation.t) - BEFORE_S
    entries += [e for kind in _AROUND for e in _all(case, kind) if since <= e.t <= violation.t]
    lines = [Line(e.t, told(e), "*" if e in violation.proof else " ") for e in _each_once(entries)]
    lines += _faults(case, since, violation.t)
    lines += _unheard(case, violation.t, entries)
    return Story(violation, tuple(sorted(_folded(sorted(lines, key=_t)), key=_t)))


def stories(case: Case, violations: Iterable[Violation]) -> list[Story]:
    """The first violation of each rule, explained, in time order."""
    first: dict[str, Violation] = {}
    for violation in sorted(violations, key=lambda v: v.t):
        first.setdefault(violation.rule, violation)
    return [explain(case, violation) for violation in first.values()]


def _t(line: Line) -> float:
    return line.t


def _chain(case: Case, violation: Violation) -> list[Entry]:
    """The entries that led to it."""
    found: list[Entry] = list(violation.proof)
    requests = {e.request for e in violation.proof if isinstance(e, _OF_REQUESTS)}
    found += _of_requests(case, requests, violation.t)
    for provider in _providers(case, violation):
        workers = [violation.worker] if violation.worker is not None else _workers(violation.proof)
        for worker in workers:
            for change in _changes_before(case, worker, provider, violation.t):
                found += [change, *_causes(case, change)]
    since = min((e.t for e in found), default=violation.t)
    providers = _providers(case, violation)
    for kind in _OF_PROVIDERS:
        within = (e for e in _all(case, kind) if since <= e.t <= violation.t)
        found += [e for e in within if getattr(e, "provider", None) in providers]
    return found


def _providers(case: Case, violation: Violation) -> list[str]:
    if violation.provider is not None:
        return [violation.provider]
    named = {str(e.provider) for e in violation.proof if getattr(e, "provider", None)}  # type: ignore[union-attr]  # as asked
    return sorted(named) or list(case.providers)


def _workers(proof: Iterable[Entry]) -> list[str]:
    return sorted({str(e.worker) for e in proof if hasattr(e, "worker")})


def _of_requests(case: Case, requests: set[str], until: float) -> Iterator[Entry]:
    for kind in _OF_REQUESTS:
        yield from (e for e in _all(case, kind) if getattr(e, "request", "") in requests and e.t <= until + BEFORE_S)


def _changes_before(case: Case, worker: str, provider: str, t: float) -> list[Transition]:
    changes = case.index.transitions.get((worker, provider), [])
    return [change for change in changes if change.t <= t][-CHANGES:]


def _causes(case: Case, change: Transition) -> Iterator[Entry]:
    """What made a breaker change: the fleet's record and its story, or the worker's own attempts."""
    if change.cause is Cause.SYNC:
        yield from _of_record(case, change.provider, change.epoch, change.t)
    elif change.cause is not Cause.PROBE_GRANTED:
        ended = [
            e
            for e in case.all(AttemptEnded)
            if (e.worker, e.provider) == (change.worker, change.provider) and e.t <= change.t and e.outcome.fails_over
        ]
        yield from ended[-max(1, change.failure_count) :]


def _of_record(case: Case, provider: str, epoch: int, until: float) -> Iterator[Entry]:
    """A record's story: who caused it, why, and who learned of it how."""
    learned = [r for r in case.applied(provider) if r.epoch == epoch]
    yield from (r for r in learned if r.t <= until + BEFORE_S)
    origin = learned[0].origin if learned else None
    made = [t for t in case.changes(provider) if t.worker == origin and t.cause is not Cause.SYNC and t.t <= until]
    for change in made[-1:]:
        yield change
        yield from _causes(case, change)


def _all(case: Case, kind: type) -> list[Entry]:
    return cast(list[Entry], case.index.kinds.get(kind, []))


def _each_once(entries: Iterable[Entry]) -> list[Entry]:
    return list({id(e): e for e in entries}.values())


def _folded(lines: Iterable[Line]) -> Iterator[Line]:
    """What is said more than twice is said once, with how often and until when."""
    again: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        again.setdefault((line.mark, line.text), []).append(line)
    for same in again.values():
        if len(same) <= FEW:
            yield from same
        else:
            yield replace(same[0], text=f"{same[0].text} ({len(same)} times, until {same[-1].t:.3f} s)")


def _faults(case: Case, since: float, until: float) -> Iterator[Line]:
    """The faults in effect at any time of the story."""
    for window in case.windows:
        if window.start <= until and window.end >= since:
            evidence = ", ".join(f"{e.what} ({e.count})" for e in window.effects) or "no effect was seen"
            on = f" on {', '.join(window.on)}" if window.on else ""
            yield Line(window.start, f"fault {_named(window)} begins{on}: {evidence}", "!")
            if window.end <= until and not window.fault.instant:
                yield Line(window.end, f"fault {_named(window)} is over", "!")


def _named(window: Window) -> str:
    return f"{window.fault.inject} of {window.fault.target}"


def _unheard(case: Case, until: float, entries: Iterable[Entry]) -> Iterator[Line]:
    """Records of the story that some worker did not hear of by notice, and what stood in the way."""
    records = {(r.provider, r.epoch) for r in entries if isinstance(r, RecordApplied)}
    for provider, epoch in sorted(records):
        first = min(r.t for r in case.applied(provider) if r.epoch == epoch)
        for life in case.lives.values():
            late = _late(case, life, provider, epoch, first)
            if first < until and life.alive(first) and late is not None:
                text = (
                    f"{life.worker} does not hear of {provider}'s epoch {epoch} ({_between(case, life, first)}): {late}"
                )
                yield Line(first, text, "~")


def _late(case: Case, life: Life, provider: str, epoch: int, first: float) -> str | None:
    """How a worker learned of a record late, or that it never did; None if a notice or an answer told it."""
    learned = next((r for r in case.applied(provider) if r.worker == life.worker and r.epoch >= epoch), None)
    if learned is None:
        return "it never learns of it"
    if learned.via == "read" and learned.epoch == epoch:
        return f"it learns of it {learned.t - first:.3f} s later, by reading"
    return None


def _between(case: Case, life: Life, t: float) -> str:
    """What stood between a worker and the store at a time."""
    if life.paused(t, t):
        return "it is frozen"
    faults = [
        _named(w)
        for w in case.windows
        if w.start <= t <= w.end and w.fault.of in ("redis", "network") and w.touches(life)
    ]
    if faults:
        return f"{' and '.join(faults)} is in effect"
    heard = [up for at, up in life.sync if at <= t]
    return "it is subscribed" if heard and heard[-1] else "it is not subscribed"
