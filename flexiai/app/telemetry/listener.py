"""From events to numbers: the listener behind Prometheus' view of a worker.

Rules
-----
* Everything is laid out at the start, so that an event costs a look-up and a few additions.
* What nobody answered has the provider `unknown`, as the deployment guide has it.
* Gauges that no event tells (how stale, how connected) are written by `sample`, which the app calls every second.
"""

from __future__ import annotations

import platform
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from flexiai.app.telemetry import catalogue as c
from flexiai.app.telemetry.catalogue import Family
from flexiai.app.telemetry.series import Layout
from flexiai.core.circuit import Cause, State
from flexiai.core.outcome import Outcome
from flexiai.decisions import Decisions
from flexiai.events import (
    AttemptEnded,
    AttemptStarted,
    Event,
    EvidenceHeard,
    EvidenceSent,
    ListenerRestarted,
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
from flexiai.sync.port import SyncStatus

NOBODY = "unknown"
STATUSES = {"ok": "success", "failed": "error", "rejected": "rejected", "cancelled": "cancelled"}
LEVELS = {State.CLOSED: 0.0, State.HALF_OPEN: 0.5, State.OPEN: 1.0}

_SYNC_EVENTS: Mapping[type[Event], str] = {
    NoticeIgnored: "notice_ignored",
    ProposalSent: "proposal_sent",
    ProposalFailed: "proposal_failed",
    RecordApplied: "record_applied",
    RecordRestored: "record_restored",
    SyncUp: "up",
    SyncDown: "down",
    ListenerRestarted: "listener_restarted",
    EvidenceSent: "evidence_sent",
    EvidenceHeard: "evidence_heard",
}
_VIA = ("notice", "read", "reply")
_LEASES = ("won", "denied", "released", "lost", "alone")

_Begun = tuple[float, Any]  # when a request began, and what else began under the same id, if a caller used it twice


def layout(providers: Sequence[str], errors: Iterable[str], version: str) -> Layout:
    """The places of every series of a worker with these providers; `errors`: the names that error answers can have."""
    each = [(name,) for name in providers]
    answered = [*each, (NOBODY,)]
    return Layout(
        [
            (c.REQUESTS, [(*who, status) for who, status in product(answered, STATUSES.values())]),
            (c.RESPONSE, answered),
            (c.CIRCUIT, each),
            (c.WORKER_CIRCUIT, each),
            (c.ATTEMPTS, [(*who, outcome.value) for who, outcome in product(each, Outcome)]),
            (c.ATTEMPT, each),
            (c.FIRST_TOKEN, each),
            (c.RETRIES, each),
            (c.BUDGET_SPENT, [()]),
            (c.PROBES, [(*who, outcome.value) for who, outcome in product(each, Outcome)]),
            (c.TRANSITIONS, [(*who, to.value, why.value) for who, to, why in product(each, State, Cause)]),
            (c.ERRORS, [(error,) for error in errors]),
            (c.IN_FLIGHT, [()]),
            (c.SYNC_LATENCY, [(via,) for via in _VIA]),
            (c.PROPOSAL, [()]),
            (c.SYNC_EVENTS, [(event,) for event in _SYNC_EVENTS.values()]),
            (c.LEASES, [(*who, action) for who, action in product(each, _LEASES)]),
            *((family, [()]) for family in (c.CONNECTED, c.SUBSCRIBED, c.DEAF, c.STALENESS, c.UPTIME, c.WORKERS)),
            (c.JOURNAL_LOST, [()]),
            (c.BUILD, [(version, platform.python_version(), platform.python_implementation())]),
        ]
    )


class Telemetry:
    """A listener that counts into `numbers`, whose places `places` knows."""

    def __init__(self, numbers: memoryview[float], places: Layout) -> None:
        self._numbers = numbers
        self._place = places.place
        self._at: dict[tuple[Any, ...], int] = {}  # places by what an event says, found once
        self._requests: dict[str, _Begun] = {}
        self._attempts: dict[str, _Begun] = {}
        self._proposals: dict[str, float] = {}
        self._decisions = Decisions()
        self._count: Mapping[type[Event], Callable[[Any], None]] = {
            RequestStarted: self._request_started,
            RequestEnded: self._request_ended,
            AttemptStarted: self._attempt_started,
            AttemptEnded: self._attempt_ended,
            Transition: self._transition,
            ProbeLease: self._probe_lease,
            **dict.fromkeys(_SYNC_EVENTS, self._passed),
        }
        self._extra: Mapping[type[Event], Callable[[Any], None]] = {
            ProposalSent: self._proposed,
            RecordApplied: self._applied,
        }
        self._in_flight = self._place(c.IN_FLIGHT)
        numbers[self._place(c.WORKERS)] = 1

    def __call__(self, event: Event) -> None:
        """Count `event`, if it is one of those counted."""
        count = self._count.get(type(event))
        if count is not None:
            count(event)

    def began(self, now: float, build: tuple[str, ...]) -> None:
        """The worker began at `now`, as this `build`."""
        self._numbers[self._place(c.UPTIME)] = now
        self._numbers[self._place(c.BUILD, *build)] = 1

    def refused(self, error: str) -> None:
        """A chat request was answered with an error of this name."""
        self._add(c.ERRORS, error)

    def budget_spent(self) -> None:
        """A request got no further attempt for want of retry budget."""
        self._add(c.BUDGET_SPENT)

    def sample(self, status: SyncStatus, now: float, journal_lost: int) -> None:
        """Write down what no event tells."""
        numbers, place = self._numbers, self._place
        numbers[place(c.CONNECTED)] = status.connected
        numbers[place(c.SUBSCRIBED)] = status.subscribed
        numbers[place(c.DEAF)] = status.enabled and status.deaf
        numbers[place(c.STALENESS)] = 0.0 if status.staleness_s is None else now - status.staleness_s
        numbers[place(c.JOURNAL_LOST)] = journal_lost

    def _request_started(self, event: RequestStarted) -> None:
        self._requests[event.request] = (event.t, self._requests.get(event.request))
        self._numbers[self._in_flight] += 1

    def _request_ended(self, event: RequestEnded) -> None:
        provider = event.provider or NOBODY
        self._add(c.REQUESTS, provider, STATUSES[event.result])
        self._numbers[self._in_flight] -= 1
        self._observe(c.RESPONSE, event.t - _begun(self._requests, event.request, event.t), provider)

    def _attempt_started(self, event: AttemptStarted) -> None:
        self._attempts[event.request] = (event.t, self._attempts.get(event.request))
        if event.attempt > 1:
            self._add(c.RETRIES, event.provider)

    def _attempt_ended(self, event: AttemptEnded) -> None:
        self._add(c.ATTEMPTS, event.provider, event.outcome)
        self._observe(c.ATTEMPT, event.t - _begun(self._attempts, event.request, event.t), event.provider)
        if event.probe:
            self._add(c.PROBES, event.provider, event.outcome)
        if event.first_token_s is not None:
            self._observe(c.FIRST_TOKEN, event.first_token_s, event.provider)

    def _transition(self, event: Transition) -> None:
        self._add(c.TRANSITIONS, event.provider, event.to, self._decisions.cause_of(event))
        for family in (c.CIRCUIT, c.WORKER_CIRCUIT):
            self._numbers[self._place(family, event.provider)] = LEVELS[event.to]

    def _probe_lease(self, event: ProbeLease) -> None:
        self._add(c.LEASES, event.provider, event.action)

    def _passed(self, event: Event) -> None:
        self._add(c.SYNC_EVENTS, _SYNC_EVENTS[type(event)])
        extra = self._extra.get(type(event))
        if extra is not None:
            extra(event)

    def _proposed(self, event: ProposalSent) -> None:
        self._proposals[event.provider] = event.t

    def _applied(self, event: RecordApplied) -> None:
        proposed = event.via == "reply" and not event.reported
        if proposed and (sent := self._proposals.pop(event.provider, None)) is not None:
            self._observe(c.PROPOSAL, event.t - sent)
        if not self._decisions.is_own(event):
            self._observe(c.SYNC_LATENCY, event.age_s, event.via)

    def _add(self, family: Family, *labels: str) -> None:
        key = (family.name, *labels)
        place = self._at.get(key)
        if place is None:
            place = self._at[key] = self._place(family, *labels)
        self._numbers[place] += 1

    def _observe(self, family: Family, seconds: float, *labels: str) -> None:
        key = (family.name, *labels)
        place = self._at.get(key)
        if place is None:
            place = self._at[key] = self._place(family, *labels)
        buckets, numbers = family.buckets, self._numbers
        numbers[place + bisect_left(buckets, seconds)] += 1
        numbers[place + len(buckets) + 1] += seconds


def _begun(begun: dict[str, _Begun], request: str, otherwise: float) -> float:
    when, other = begun.pop(request, (otherwise, None))
    if other is not None:
        begun[request] = other
    return when
