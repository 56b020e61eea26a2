"""The counters behind `/metrics`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flexiai.core.circuit import Cause, State
from flexiai.core.outcome import Outcome
from flexiai.counters import Counters
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
    WorkerReady,
)

providers = st.sampled_from(["openai", "anthropic"])
attempts = st.lists(st.tuples(providers, st.booleans(), st.sampled_from(Outcome)), max_size=30)


@given(attempts)
def test_attempts_are_counted_by_provider_and_outcome(made: list[tuple[str, bool, Outcome]]) -> None:
    counters = Counters(["openai", "anthropic"])
    for provider, probe, outcome in made:
        counters(AttemptStarted(t=1, worker="w", request="r", attempt=1, provider=provider, probe=probe))
        counters(AttemptEnded(t=1, worker="w", request="r", attempt=1, provider=provider, outcome=outcome))
    for name, counts in counters.providers.items():
        own = [(probe, outcome) for provider, probe, outcome in made if provider == name]
        assert counts.attempts == len(own) == counts.outcomes.total()
        assert counts.probes == sum(probe for probe, _ in own)
        assert all(counts.outcomes[outcome] == [o for _, o in own].count(outcome) for outcome in Outcome)


def test_what_is_not_counted_changes_nothing() -> None:
    counters = Counters(["openai"])
    counters(WorkerReady(t=1, worker="w", synced=True))
    assert counters.requests.total() == 0


def test_transitions_requests_and_sync_are_counted() -> None:
    counters = Counters(["openai"])
    happened: list[Event] = [
        RequestEnded(t=1, worker="w", request="r", result="ok", attempts=1),
        RequestEnded(t=1, worker="w", request="r", result="failed", attempts=1),
        Transition(
            t=1, worker="w", provider="openai", frm=State.CLOSED, to=State.OPEN, cause=Cause.FAILURE_RATE, epoch=0
        ),
        RecordApplied(
            t=1, worker="w", provider="openai", epoch=1, state=State.OPEN, reason=Cause.SYNC, origin="o", via="read"
        ),
        NoticeIgnored(t=1, worker="w", provider="openai", epoch=1, known=1),
        ProposalSent(t=1, worker="w", provider="openai", state=State.OPEN, base=0),
        ProposalFailed(t=1, worker="w", provider="openai", error="e"),
        EvidenceSent(t=1, worker="w", provider="openai", base=0, failures=1),
        EvidenceHeard(t=1, worker="w", provider="openai", epoch=0, failures=1, workers=1, age_s=0.0),
        RecordRestored(t=1, worker="w", provider="openai", epoch=1),
        SyncDown(t=1, worker="w", error="e"),
        ProbeLease(t=1, worker="w", provider="openai", action="won"),
        ProbeLease(t=1, worker="w", provider="openai", action="released"),
    ]
    for event in happened:
        counters(event)
    assert counters.requests == {"ok": 1, "failed": 1}
    assert counters.providers["openai"].transitions == {State.OPEN: 1}
    sync = counters.sync
    assert (sync.records_applied, sync.notices_ignored, sync.records_restored, sync.disconnects) == (1, 1, 1, 1)
    assert (sync.proposals_sent, sync.proposals_failed) == (1, 1)
    assert (sync.evidence_sent, sync.streaks_heard) == (1, 1)
    assert sync.leases == {"won": 1, "released": 1}
