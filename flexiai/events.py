"""What happened, as frozen values: the one contract between the failover code and whoever watches it.

Metrics, logs, the health page, the journal and the harness are all listeners. A listener is called synchronously, in
the worker's event loop, in the order in which things happened; it must be quick and must not raise.

Every event has `t`, seconds on the worker's event-loop clock (on Linux the host's CLOCK_MONOTONIC, so that events of
several processes of one host can be put in order), and `worker`, the worker's identity (`host:pid` unless told
otherwise). `kind` is the event's stable name in JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from flexiai.core.circuit import Cause, Mode, State
from flexiai.core.outcome import Outcome, Trouble
from flexiai.core.permit import Why


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """Something that happened on a worker.

    t       seconds on the worker's event-loop clock
    worker  the worker's identity
    """

    t: float
    worker: str


Listener = Callable[[Event], None]
"""Something that is called with every event."""


class WorkerStarted(Event, frozen=True, tag="worker.started"):
    """A client began to live on this worker. `providers` in order of priority; `pid` is the process."""

    pid: int
    providers: tuple[str, ...]


class WorkerReady(Event, frozen=True, tag="worker.ready"):
    """The worker may take requests. `synced`: it has read the fleet's records (False: Redis did not answer in time)."""

    synced: bool


class WorkerStopped(Event, frozen=True, tag="worker.stopped"):
    """The worker closed its client in good order."""


class RequestStarted(Event, frozen=True, tag="request.started"):
    """A caller asked. `request` is the caller's id for it (the app: X-Request-ID) or one drawn here."""

    request: str


class RequestEnded(Event, frozen=True, tag="request.ended"):
    """A request's one end.

    result    ok (answered) | failed (no provider could, or a stream broke off) | rejected (the caller's own error) |
              cancelled (caller gone)
    provider  who answered, whose refusal was returned, or whose stream broke off
    attempts  how many attempts were made
    streamed  the answer was asked for piece by piece
    """

    request: str
    result: Literal["ok", "failed", "rejected", "cancelled"]
    attempts: int
    provider: str | None = None
    error: str | None = None
    retry_after_s: float | None = None
    streamed: bool = False


class AttemptStarted(Event, frozen=True, tag="attempt.started"):
    """A provider is asked. `probe`: this is a half-open probe.

    skipped      better ones whose breaker refused just now
    skipped_for  why each of them did, in the same order
    last_resort  its own breaker would have spared it, but nobody else could take the request
    """

    request: str
    attempt: int
    provider: str
    probe: bool = False
    skipped: tuple[str, ...] = ()
    skipped_for: tuple[Why, ...] = ()
    last_resort: bool = False


class AttemptEnded(Event, frozen=True, tag="attempt.ended"):
    """An attempt's one end. `counted` is False where the breaker dropped a result that began in an earlier life.

    streamed       it was asked for piece by piece
    first_token_s  seconds from its begin to the first piece of content, after which no other provider may answer
    chunks         pieces of content handed to the caller
    """

    request: str
    attempt: int
    provider: str
    outcome: Outcome
    counted: bool = True
    probe: bool = False
    trouble: Trouble | None = None
    status: int | None = None
    retry_after_s: float | None = None
    streamed: bool = False
    first_token_s: float | None = None
    chunks: int = 0


class Transition(Event, frozen=True, tag="breaker.transition"):
    """This worker's breaker changed its state. `epoch` is the fleet record it stands on (its own not yet included).

    open_for_s     seconds from now until a probe is due, when `to` is OPEN
    failure_count  consecutive failures seen when it happened
    private        it concerns this worker alone: an opening for which the fleet asks a quorum, and what follows from it
    """

    provider: str
    frm: State
    to: State
    cause: Cause
    epoch: int
    open_for_s: float = 0.0
    failure_count: int = 0
    private: bool = False


class OperatorActed(Event, frozen=True, tag="operator.acted"):
    """An operator told this worker what to do with a provider, for `for_s` seconds (a reset: for good), and why."""

    provider: str
    action: Literal["open", "drain", "reset"]
    for_s: float = 0.0
    note: str = ""


class RecordApplied(Event, frozen=True, tag="sync.applied"):
    """A newer fleet record became this worker's.

    via       notice (pub/sub) | read (subscribe, reconcile) | reply (the store's answer to our proposal, or, if
              `reported`, to our report of failures: `accepted` says whether that has made the record)
    origin    the worker that caused the record
    mode      an operator's hold, for `held_s` seconds from now on; `note` is its reason
    age_s     how long ago its evidence was seen, by the store's clock, as far as that is known here
    """

    provider: str
    epoch: int
    state: State
    reason: Cause
    origin: str
    via: Literal["notice", "read", "reply"]
    accepted: bool = False
    reported: bool = False
    since_ms: int = 0
    open_for_ms: int = 0
    mode: Mode = Mode.NORMAL
    held_s: float = 0.0
    note: str = ""
    age_s: float = 0.0


class NoticeIgnored(Event, frozen=True, tag="sync.ignored"):
    """A notice that was not newer than what this worker has: a duplicate, late or reordered one."""

    provider: str
    epoch: int
    known: int


class ProposalSent(Event, frozen=True, tag="sync.proposed"):
    """This worker told the store of a transition of its own; the answer comes as RecordApplied or ProposalFailed."""

    provider: str
    state: State
    base: int


class ProposalFailed(Event, frozen=True, tag="sync.propose_failed"):
    """The store could not be told; the proposal is kept and sent again."""

    provider: str
    error: str


class EvidenceSent(Event, frozen=True, tag="sync.evidence"):
    """This worker told the store how it fares with a provider: its failures in a row, and when it last worked.

    An answer that opens the provider comes as RecordApplied (`accepted`: by this very evidence).

    ok_age_s  seconds since its latest success; None: there was none
    """

    provider: str
    base: int
    failures: int
    ok_age_s: float | None = None


class EvidenceHeard(Event, frozen=True, tag="sync.evidence_heard"):
    """The fleet has begun to fail on a provider: so many failures, of so many workers, the first `age_s` ago."""

    provider: str
    epoch: int
    failures: int
    workers: int
    age_s: float


class RecordRestored(Event, frozen=True, tag="sync.restored"):
    """The store had lost (or never had) a record this worker knows; the worker wrote it back."""

    provider: str
    epoch: int


class SyncUp(Event, frozen=True, tag="sync.up"):
    """Subscribed, confirmed by the server, and all records read since."""

    reconnects: int


class SyncDown(Event, frozen=True, tag="sync.down"):
    """The subscription or the store was lost, and why."""

    error: str


class ListenerRestarted(Event, frozen=True, tag="sync.listener_restarted"):
    """The listener task had died of something unforeseen and was started again."""

    error: str


class ProbeLease(Event, frozen=True, tag="probe.lease"):
    """The fleet's right to probe a provider: won, lost to another, released, expired, or taken without the store."""

    provider: str
    action: Literal["won", "denied", "released", "lost", "alone"]


AnyEvent = (
    WorkerStarted
    | WorkerReady
    | WorkerStopped
    | RequestStarted
    | RequestEnded
    | AttemptStarted
    | AttemptEnded
    | Transition
    | OperatorActed
    | RecordApplied
    | NoticeIgnored
    | ProposalSent
    | ProposalFailed
    | EvidenceSent
    | EvidenceHeard
    | RecordRestored
    | SyncUp
    | SyncDown
    | ListenerRestarted
    | ProbeLease
)
