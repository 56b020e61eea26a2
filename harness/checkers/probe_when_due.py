"""`probe-when-due`: whoever wants to probe, and may, does: through the lease, or by itself where there is no store.

A worker *wants* to probe when a request of its meets a breaker that is OPEN past its open time, and for FRESH leases
from then on. (Past is also every record, Retry-After and operator's hold by which that time may have become longer.)

* In touch with the store it competes: after each such request, and after each denial while it still wants to, no more
  than a TRIES-th of a lease (and `Bounds.prompt`) passes until it says again that it won or was denied, or its breaker
  moves, or it learns something newer. (A try may fail with a connection that was reset while nobody used it: that many
  requests as ENOUGH must have wanted it since the last such sign.)
* While Redis answers it nothing it probes alone: once it has noticed (SyncDown, but for its own listener's death, or
  an operation's time after it first wanted to), once the jitter is over no such request may meet OPEN.

Left out: workers that were frozen or slowed, had their clock set, or ended; and, for the first rule, those that a fault
kept from Redis.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from flexiai.core.circuit import State
from flexiai.events import AttemptEnded, OperatorActed, ProbeLease, SyncDown, Transition
from harness.checkers.bounds import ALONE_MOST_S, ALONE_SHARE
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.holds import TOGETHER_S
from harness.checkers.index import Key
from harness.checkers.requests import Execution
from harness.checkers.spans import Span, meets_any

FRESH = 3
TRIES = 5
ENOUGH = 3
_SILENCES = frozenset({"kill", "restart", "pause", "refuse", "noauth", "loading", "partition"})
"""The faults under which Redis answers nothing at all, or cannot be reached."""

_LISTENER_DIED = "the listener died"
"""So begins a SyncDown that says nothing of the store."""


@dataclass(frozen=True, slots=True)
class _Key:
    """What one worker did about one provider, as times in order. `signs`: of competing, or of a reason not to."""

    key: Key
    wants: list[float]
    denials: list[float]
    given_up: list[float]
    signs: list[float]

    def next_sign(self, t: float) -> float | None:
        """The first sign after `t`."""
        at = bisect_right(self.signs, t)
        return self.signs[at] if at < len(self.signs) else None

    def tried(self, t: float) -> int:
        """How many requests have wanted it since the last sign before `t`, the one at `t` included."""
        at = bisect_left(self.signs, t)
        since = self.signs[at - 1] if at else 0.0
        return sum(since < want <= t for want in self.wants)

    def last_want(self, t: float) -> float | None:
        """The last want until `t` that nothing has come of."""
        at = bisect_right(self.wants, t)
        want = self.wants[at - 1] if at else None
        return None if want is None or any(want <= end <= t for end in self.given_up) else want


def look(case: Case, tally: Tally) -> None:
    """Every worker that wanted to probe, and every provider."""
    for key in _gathered(case):
        _competes(case, key, tally)
        _alone(case, key, tally)


def _competes(case: Case, key: _Key, tally: Tally) -> None:
    lease_s = case.scenario.sync.lease_s
    within_s = lease_s / TRIES + case.bounds.prompt
    denied = [t for t in key.denials if (r := key.last_want(t)) is not None and t + within_s < r + FRESH * lease_s]
    for t in sorted([*key.wants, *denied]):
        if not _in_touch(case, key.key[0], t, t + within_s):
            continue
        sign = key.next_sign(t)
        if sign is not None and sign <= t + within_s:
            tally.checked += 1
        elif t in denied or key.tried(t) >= ENOUGH:
            tally.checked += 1
            worker, provider = key.key
            text = (
                f"{worker} wanted to probe {provider}, and was neither given nor denied the right for {within_s:.2f} s"
            )
            tally.violate(t + within_s, text, *_proof(case, key.key, t), worker=worker, provider=provider)
            return


def _alone(case: Case, key: _Key, tally: Tally) -> None:
    worker, provider = key.key
    for silence in _silences(case, worker):
        noticed = _noticed(case, key, silence)
        for t in key.wants:
            if noticed <= t < silence.end and _due(case, key.key, t) + _jitter_s(case, key.key, t) + TOGETHER_S < t:
                if case.excuses_slowness(worker, silence.start, t):
                    continue
                tally.checked += 1
                text = f"{worker} had no store since {silence.start:.1f} s, and did not probe {provider} by itself"
                tally.violate(t, text, *_proof(case, key.key, t), worker=worker, provider=provider)
                return
    tally.checked += sum(e.action == "alone" for e in case.all(ProbeLease) if (e.worker, e.provider) == key.key)


def _noticed(case: Case, key: _Key, silence: Span) -> float:
    """From when on the worker must know that there is no store."""
    sync = case.scenario.sync
    downs = [
        e.t
        for e in case.all(SyncDown)
        if e.worker == key.key[0] and e.t >= silence.start and not e.error.startswith(_LISTENER_DIED)
    ]
    asked = [t for t in key.wants if t >= silence.start]
    known = [*downs[:1], *(t + sync.lease_s / TRIES + sync.operation_timeout_s + case.bounds.prompt for t in asked[:1])]
    return max(silence.start + case.bounds.prompt, min(known, default=silence.end))


def _silences(case: Case, worker: str) -> Iterator[Span]:
    life = case.lives[worker]
    for window in case.redis_windows:
        if window.fault.name in _SILENCES and window.touches(life):
            yield window.span


def _jitter_s(case: Case, key: Key, t: float) -> float:
    """The most that a worker without the store waits beyond any open time that it knew."""
    longest_s = max(
        max((c.open_for_s for c in case.index.transitions.get(key, []) if c.t <= t), default=0.0),
        max((r.open_for_ms / 1000 for r in case.index.records.get(key, []) if r.t <= t), default=0.0),
        max((_wish_s(case, e) for e in case.retry_afters.get(key, ()) if e.t <= t), default=0.0),
        max((w.for_s for w in case.index.words.get(key, ()) if w.t <= t), default=0.0),
    )
    return min(ALONE_MOST_S, ALONE_SHARE * longest_s)


def _gathered(case: Case) -> Iterator[_Key]:
    wants = _wants(case)
    if not wants:
        return
    leases: dict[Key, list[ProbeLease]] = {}
    for lease in case.all(ProbeLease):
        leases.setdefault((lease.worker, lease.provider), []).append(lease)
    words: dict[Key, list[float]] = {}
    for word in case.all(OperatorActed):
        words.setdefault((word.worker, word.provider), []).append(word.t)
    for key, times in wants.items():
        said = leases.get(key, [])
        moved = [e.t for e in (*case.index.transitions.get(key, []), *case.index.records.get(key, []))]
        asked = [e.t for e in case.retry_afters.get(key, [])]
        signs = sorted([*(e.t for e in said), *moved, *asked, *words.get(key, [])])
        denials = [e.t for e in said if e.action == "denied" and _wanted_at(case, key, e.t)]
        yield _Key(key, times, denials, [e.t for e in said if e.action in ("released", "lost")], signs)


def _wants(case: Case) -> dict[Key, list[float]]:
    found: dict[Key, list[float]] = {}
    for execution in case.index.executions:
        worker = execution.started.worker
        for t, provider in _refusals(case, execution):
            key = worker, provider
            if _wanted_at(case, key, t):
                found.setdefault(key, []).append(t)
    return {key: sorted(times) for key, times in found.items()}


def _refusals(case: Case, execution: Execution) -> Iterator[tuple[float, str]]:
    """When which provider's breaker refused a request for being OPEN."""
    for attempt in execution.attempts:
        started = attempt.started
        for provider, why in zip(started.skipped, started.skipped_for, strict=False):
            if why == "open":
                yield started.t, provider
    ended = execution.ended
    if not execution.attempts and ended is not None and ended.result == "failed":
        for provider in case.providers:
            yield ended.t, provider


def _wanted_at(case: Case, key: Key, t: float) -> bool:
    return case.state(*key, t) is State.OPEN and _due(case, key, t) + TOGETHER_S < t


def _due(case: Case, key: Key, t: float) -> float:
    """When a probe was due at the latest, as far as the worker knew at `t`."""
    changes = case.index.transitions.get(key, [])
    at = bisect_right(changes, t, key=lambda c: c.t)
    if not at:
        return t
    opened = changes[at - 1]
    records = (r for r in case.index.records.get(key, []) if opened.t - TOGETHER_S <= r.t <= t and r.open_for_ms)
    holds = (h.span.end for h in case.holds.get(key, ()) if h.span.start <= t)
    return max(
        opened.t + opened.open_for_s,
        _left_alone(case, key, t),
        max((r.t + r.open_for_ms / 1000 for r in records), default=0.0),
        max(holds, default=0.0),
    )


def _left_alone(case: Case, key: Key, t: float) -> float:
    return max((e.t + _wish_s(case, e) for e in case.retry_afters.get(key, ()) if e.t <= t), default=0.0)


def _wish_s(case: Case, e: AttemptEnded) -> float:
    return min(e.retry_after_s or 0.0, case.scenario.breaker.max_retry_after_s)


def _in_touch(case: Case, worker: str, t: float, until: float) -> bool:
    """Whether nothing stood between the worker and Redis, nor slowed it, shortly before `t` and until then."""
    sync, life = case.scenario.sync, case.lives[worker]
    since = t - sync.lease_s - 2 * sync.operation_timeout_s
    at = bisect_left(life.sync, (t - case.bounds.prompt, True))
    up = at > 0 and life.sync[at - 1][1] and not any(not is_up and t_ <= until for t_, is_up in life.sync[at:])
    return (
        up
        and until <= min(life.gone, case.observed_until)
        and not meets_any(case.cuts[worker], since, until)
        and not case.excuses_slowness(worker, since, until)
    )


def _proof(case: Case, key: Key, t: float) -> tuple[Transition | ProbeLease | None, ...]:
    changes = [c for c in case.index.transitions.get(key, []) if c.t <= t]
    said = [e for e in case.all(ProbeLease) if (e.worker, e.provider) == key and e.t <= t]
    return (*changes[-1:], *said[-1:])


CHECKER = Checker(
    id="probe-when-due",
    holds="Whoever wants to probe and may, competes for the right to, or probes alone where there is no store.",
    vacuous="no request met a breaker that was OPEN past its open time",
    look=look,
)
