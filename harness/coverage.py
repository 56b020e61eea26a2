"""Rare paths: what a run went through, told from its history alone.

A campaign that never enters a path has not tested it. Each path is a small predicate over a case: most ask whether
one event of a kind was of a sort, the others look at the order of a few.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from flexiai.core.circuit import Cause, State
from flexiai.core.outcome import Outcome
from flexiai.events import (
    AttemptEnded,
    AttemptStarted,
    EvidenceHeard,
    EvidenceSent,
    ListenerRestarted,
    NoticeIgnored,
    ProbeLease,
    ProposalFailed,
    RecordApplied,
    RecordRestored,
    RequestEnded,
    SyncUp,
    Transition,
    WorkerReady,
)
from harness.checkers.case import Case
from harness.history import RequestDone

E = TypeVar("E", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Path:
    """A rare path. `means`: what happened, in a sentence; `taken`: whether it did."""

    id: str
    means: str
    taken: Callable[[Case], bool]


def _some(kind: type[E], which: Callable[[E], bool] = lambda e: True) -> Callable[[Case], bool]:
    """Whether some event of a kind is of a sort."""
    return lambda case: any(which(e) for e in case.all(kind))


def _changed(frm: State | None, to: State, *causes: Cause) -> Callable[[Case], bool]:
    """Whether some breaker went that way, for one of the causes (any, if none is named)."""
    return _some(Transition, lambda e: e.to is to and frm in (None, e.frm) and (not causes or e.cause in causes))


def _opened(cause: Cause) -> Callable[[Case], bool]:
    """Whether a provider was opened for that cause: by a worker of its own, or by the store on the fleet's evidence."""
    alone = _changed(None, State.OPEN, cause)
    together = _some(RecordApplied, lambda e: e.state is State.OPEN and e.reason is cause)
    return lambda case: alone(case) or together(case)


def _leased(action: str) -> Callable[[Case], bool]:
    return _some(ProbeLease, lambda e: e.action == action)


def _all_open(case: Case) -> bool:
    """Whether some worker's breakers were OPEN for every provider at once."""
    now: dict[str, set[str]] = {}
    for change in case.all(Transition):
        closed = now.setdefault(change.worker, set(case.providers))
        (closed.discard if change.to is State.OPEN else closed.add)(change.provider)
        if not closed:
            return True
    return False


def _raced(case: Case) -> bool:
    """Whether two workers opened one provider before either knew of the other."""
    opened: dict[tuple[str, int], str] = {}
    for change in case.all(Transition):
        if change.to is State.OPEN and change.cause is not Cause.SYNC:
            first = opened.setdefault((change.provider, change.epoch), change.worker)
            if first != change.worker:
                return True
    return False


def _missed_notice(case: Case) -> bool:
    """Whether a worker learned from a read what another worker had decided after it joined."""
    ready = {e.worker: e.t for e in case.all(WorkerReady)}
    return any(r.via == "read" and r.t > ready.get(r.worker, r.t) for r in case.all(RecordApplied))


def _lost_under_way(case: Case) -> bool:
    """Whether a worker's end took a request with it."""
    return any(e.result == "info" for e in case.all(RequestDone))


PATHS: tuple[Path, ...] = (
    Path(
        "opened-by-failures",
        "consecutive failures opened a breaker",
        _opened(Cause.CONSECUTIVE_FAILURES),
    ),
    Path("opened-by-rate", "the failure rate opened a breaker", _opened(Cause.FAILURE_RATE)),
    Path("opened-by-slowness", "the share of slow calls opened a breaker", _opened(Cause.SLOW_RATE)),
    Path("opened-by-retry-after", "a provider asked to be left alone", _opened(Cause.RETRY_AFTER)),
    Path(
        "opened-by-refused-credentials",
        "a provider refused our credentials",
        _opened(Cause.MISCONFIGURED),
    ),
    Path(
        "evidence-shared",
        "failures of several workers were counted together",
        _some(EvidenceHeard, lambda e: e.workers > 1),
    ),
    Path("opened-privately", "a worker opened for itself alone", _some(Transition, lambda e: e.private)),
    Path("opened-by-notice", "a worker opened because the fleet had", _changed(State.CLOSED, State.OPEN, Cause.SYNC)),
    Path("opened-at-once", "two workers opened one provider before either knew", _raced),
    Path("all-open", "all of a worker's breakers were open at once", _all_open),
    Path("half-open-entered", "a breaker let a probe through", _changed(None, State.HALF_OPEN)),
    Path("probe-succeeded", "a probe closed a breaker", _changed(State.HALF_OPEN, State.CLOSED, Cause.PROBE_SUCCEEDED)),
    Path(
        "probe-failed",
        "a probe opened a breaker again",
        _changed(State.HALF_OPEN, State.OPEN, Cause.PROBE_FAILED, Cause.RETRY_AFTER),
    ),
    Path(
        "probe-abandoned",
        "a breaker left HALF_OPEN without a result",
        _changed(State.HALF_OPEN, State.OPEN, Cause.PROBE_ABANDONED),
    ),
    Path(
        "overruled-while-probing",
        "the fleet decided while a worker probed",
        _changed(State.HALF_OPEN, State.OPEN, Cause.SYNC),
    ),
    Path("lease-won", "a worker won the right to probe", _leased("won")),
    Path("lease-denied", "a worker was denied the right to probe", _leased("denied")),
    Path("lease-expired", "a worker lost the right to probe without giving it back", _leased("lost")),
    Path("lease-released", "a worker gave the right to probe back", _leased("released")),
    Path("probe-alone", "a worker probed without the store", _leased("alone")),
    Path(
        "late-result-dropped",
        "a result of an earlier life of a breaker was not counted",
        _some(AttemptEnded, lambda e: not e.counted),
    ),
    Path(
        "stale-notice-dropped",
        "a notice older than what a worker knew was dropped",
        _some(NoticeIgnored, lambda e: e.epoch < e.known),
    ),
    Path(
        "duplicate-notice-dropped",
        "a notice of what a worker knew was dropped",
        _some(NoticeIgnored, lambda e: e.epoch == e.known),
    ),
    Path("missed-notice-read", "what no notice told was learned from a read", _missed_notice),
    Path(
        "tie-merged",
        "two opinions of one epoch met, and the store settled it",
        _some(RecordApplied, lambda e: e.via == "reply" and not e.accepted and not e.reported),
    ),
    Path("streak-heard", "a worker heard that the fleet had begun to fail", _some(EvidenceHeard)),
    Path(
        "streak-ended",
        "a worker told of a success since the fleet had begun to fail",
        _some(EvidenceSent, lambda e: not e.failures),
    ),
    Path("proposal-failed", "the store could not be told of a transition", _some(ProposalFailed)),
    Path("record-restored", "a worker wrote back what the store had lost", _some(RecordRestored)),
    Path(
        "resync-after-gap",
        "a subscription was made again, and the records read",
        _some(SyncUp, lambda e: e.reconnects > 0),
    ),
    Path(
        "joined-without-store",
        "a worker became ready without the fleet's view",
        _some(WorkerReady, lambda e: not e.synced),
    ),
    Path("listener-restarted", "a listener died of something unforeseen", _some(ListenerRestarted)),
    Path(
        "request-failed-over",
        "a request was answered by another provider than it asked first",
        _some(RequestEnded, lambda e: e.result == "ok" and e.attempts > 1),
    ),
    Path("nobody-answered", "a request found no provider", _some(RequestEnded, lambda e: e.result == "failed")),
    Path(
        "request-rejected",
        "a provider refused a request as the caller's own error",
        _some(RequestEnded, lambda e: e.result == "rejected"),
    ),
    Path(
        "request-cancelled",
        "a request was given up on under way",
        _some(RequestEnded, lambda e: e.result == "cancelled"),
    ),
    Path("request-lost", "a worker's end took a request with it", _lost_under_way),
    Path(
        "neutral-outcome",
        "an attempt ended that was nobody's failure",
        _some(AttemptEnded, lambda e: e.outcome is Outcome.NEUTRAL),
    ),
    Path(
        "deadline-reached",
        "a request ran out of time between providers",
        _some(RequestEnded, lambda e: "the request's time was over" in (e.error or "")),
    ),
    Path(
        "budget-refused",
        "a further attempt was refused by the retry budget",
        _some(RequestEnded, lambda e: "the retry budget was spent" in (e.error or "")),
    ),
    Path(
        "last-resort-asked",
        "a provider was asked that was spared, since nobody else was left",
        _some(AttemptStarted, lambda e: e.last_resort),
    ),
    Path(
        "stream-failed-over",
        "a stream began on another provider than it asked first",
        _some(RequestEnded, lambda e: e.streamed and e.result == "ok" and e.attempts > 1),
    ),
    Path(
        "stream-broke",
        "a stream broke off after its first token",
        _some(AttemptEnded, lambda e: e.streamed and e.outcome.fails_over and e.first_token_s is not None),
    ),
)
"""Every path, by what it is about: breakers, the right to probe, the fleet's memory, requests."""

PATH_IDS = tuple(path.id for path in PATHS)


def reached(case: Case) -> frozenset[str]:
    """The paths that a run took."""
    return frozenset(path.id for path in PATHS if path.taken(case))
