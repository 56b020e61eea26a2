"""What a worker did since it started, counted: the figures behind `/metrics`.

Rules
-----
* Counted from events alone, so they agree with the journal line by line; they only ever grow.
* Each worker counts for itself: whoever scrapes sums over workers (`worker_id` tells them apart).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flexiai.core.circuit import State
from flexiai.core.outcome import Outcome
from flexiai.events import (
    AttemptEnded,
    AttemptStarted,
    Event,
    EvidenceHeard,
    EvidenceSent,
    NoticeIgnored,
    ProbeLease,
    ProposalFailed,
    ProposalSent,
    RecordApplied,
    RecordRestored,
    RequestEnded,
    SyncDown,
    Transition,
)


@dataclass(slots=True)
class ProviderCounts:
    """One provider's figures: attempts begun (of them probes), attempts ended by outcome, transitions by new state."""

    attempts: int = 0
    probes: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    transitions: Counter[State] = field(default_factory=Counter)


@dataclass(slots=True)
class SyncCounts:
    """What passed between this worker and the fleet."""

    records_applied: int = 0
    notices_ignored: int = 0
    proposals_sent: int = 0
    proposals_failed: int = 0
    evidence_sent: int = 0
    streaks_heard: int = 0
    records_restored: int = 0
    disconnects: int = 0
    leases: Counter[str] = field(default_factory=Counter)


class Counters:
    """A listener that counts. `requests` by result; `providers` and `sync` as their types say."""

    def __init__(self, providers: Iterable[str]) -> None:
        self.requests: Counter[str] = Counter()
        self.providers: dict[str, ProviderCounts] = {name: ProviderCounts() for name in providers}
        self.sync = SyncCounts()
        self._count: Mapping[type[Event], Callable[[Any], None]] = {
            RequestEnded: self._request_ended,
            AttemptStarted: self._attempt_started,
            AttemptEnded: self._attempt_ended,
            Transition: self._transition,
            RecordApplied: self._record_applied,
            NoticeIgnored: self._notice_ignored,
            ProposalSent: self._proposal_sent,
            ProposalFailed: self._proposal_failed,
            EvidenceSent: self._evidence_sent,
            EvidenceHeard: self._streak_heard,
            RecordRestored: self._record_restored,
            SyncDown: self._sync_down,
            ProbeLease: self._probe_lease,
        }

    def __call__(self, event: Event) -> None:
        """Count `event`, if it is one of those counted."""
        count = self._count.get(type(event))
        if count is not None:
            count(event)

    def _request_ended(self, event: RequestEnded) -> None:
        self.requests[event.result] += 1

    def _attempt_started(self, event: AttemptStarted) -> None:
        counts = self.providers[event.provider]
        counts.attempts += 1
        counts.probes += event.probe

    def _attempt_ended(self, event: AttemptEnded) -> None:
        self.providers[event.provider].outcomes[event.outcome] += 1

    def _transition(self, event: Transition) -> None:
        self.providers[event.provider].transitions[event.to] += 1

    def _record_applied(self, _: RecordApplied) -> None:
        self.sync.records_applied += 1

    def _notice_ignored(self, _: NoticeIgnored) -> None:
        self.sync.notices_ignored += 1

    def _proposal_sent(self, _: ProposalSent) -> None:
        self.sync.proposals_sent += 1

    def _proposal_failed(self, _: ProposalFailed) -> None:
        self.sync.proposals_failed += 1

    def _evidence_sent(self, _: EvidenceSent) -> None:
        self.sync.evidence_sent += 1

    def _streak_heard(self, _: EvidenceHeard) -> None:
        self.sync.streaks_heard += 1

    def _record_restored(self, _: RecordRestored) -> None:
        self.sync.records_restored += 1

    def _sync_down(self, _: SyncDown) -> None:
        self.sync.disconnects += 1

    def _probe_lease(self, event: ProbeLease) -> None:
        self.sync.leases[event.action] += 1
