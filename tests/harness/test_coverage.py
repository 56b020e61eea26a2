"""Rare paths, on hand-written histories: each is taken by what it names, and by nothing else near it."""

import pytest

from flexiai.core.circuit import Cause
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
    RecordRestored,
    RequestEnded,
    SyncUp,
)
from harness.coverage import PATH_IDS, PATHS, reached
from harness.history import RequestDone
from tests.harness.histories import OUTAGE, C, H, O, Story


def lease(action):
    return Story().add(ProbeLease(t=1.0, worker="w1", provider="a", action=action))


def ended(**fields):
    return Story().add(RequestEnded(t=1.0, worker="w1", request="r", **fields))


def attempt(**fields):
    outcome = fields.pop("outcome", Outcome.FAILURE)
    return Story().add(
        AttemptEnded(t=1.0, worker="w1", request="r", attempt=1, provider="a", outcome=outcome, **fields)
    )


def moved(frm, to, cause):
    return Story().moves("w1", 1.0, frm, to, cause)


def ignored(epoch):
    return Story().add(NoticeIgnored(t=1.0, worker="w1", provider="a", epoch=epoch, known=5))


STORIES = {
    "opened-by-failures": moved(C, O, Cause.CONSECUTIVE_FAILURES),
    "opened-by-rate": moved(C, O, Cause.FAILURE_RATE),
    "opened-by-slowness": moved(C, O, Cause.SLOW_RATE),
    "opened-by-retry-after": moved(C, O, Cause.RETRY_AFTER),
    "opened-by-refused-credentials": moved(C, O, Cause.MISCONFIGURED),
    "opened-by-notice": moved(C, O, Cause.SYNC),
    "opened-at-once": Story().opens("w1", 1.0, epoch=3).opens("w2", 1.1, epoch=3),
    "all-open": Story().opens("w1", 1.0, provider="a").opens("w1", 1.1, provider="b"),
    "half-open-entered": moved(O, H, Cause.PROBE_GRANTED),
    "probe-succeeded": moved(H, C, Cause.PROBE_SUCCEEDED),
    "probe-failed": moved(H, O, Cause.PROBE_FAILED),
    "probe-abandoned": moved(H, O, Cause.PROBE_ABANDONED),
    "overruled-while-probing": moved(H, O, Cause.SYNC),
    "lease-won": lease("won"),
    "lease-denied": lease("denied"),
    "lease-expired": lease("lost"),
    "lease-released": lease("released"),
    "probe-alone": lease("alone"),
    "late-result-dropped": attempt(counted=False),
    "stale-notice-dropped": ignored(4),
    "duplicate-notice-dropped": ignored(5),
    "missed-notice-read": Story().told("w1", 3.0, 1, C, via="read"),
    "tie-merged": Story().told("w1", 3.0, 1, C, via="reply", accepted=False),
    "streak-heard": Story().add(
        EvidenceHeard(t=1.0, worker="w1", provider="a", epoch=0, failures=1, workers=1, age_s=0.1)
    ),
    "streak-ended": Story().add(EvidenceSent(t=1.0, worker="w1", provider="a", base=0, failures=0, ok_age_s=0.1)),
    "proposal-failed": Story().add(ProposalFailed(t=1.0, worker="w1", provider="a", error="gone")),
    "record-restored": Story().add(RecordRestored(t=1.0, worker="w1", provider="a", epoch=1)),
    "resync-after-gap": Story().add(SyncUp(t=1.0, worker="w1", reconnects=1)),
    "joined-without-store": Story(workers=()).joins("w1", 1.0, synced=False),
    "listener-restarted": Story().add(ListenerRestarted(t=1.0, worker="w1", error="x")),
    "request-failed-over": ended(result="ok", attempts=2),
    "nobody-answered": ended(result="failed", attempts=2),
    "request-rejected": ended(result="rejected", attempts=1),
    "request-cancelled": ended(result="cancelled", attempts=1),
    "request-lost": Story().add(RequestDone(t=1.0, request="r", result="info")),
    "neutral-outcome": attempt(outcome=Outcome.NEUTRAL),
    "evidence-shared": Story().add(
        EvidenceHeard(t=1.0, worker="w1", provider="a", epoch=0, failures=2, workers=2, age_s=0.1)
    ),
    "opened-privately": Story().moves("w1", 1.0, C, O, Cause.RESET, private=True),
    "last-resort-asked": Story().add(
        AttemptStarted(t=1.0, worker="w1", request="r", attempt=1, provider="a", last_resort=True)
    ),
    "stream-failed-over": ended(result="ok", attempts=2, streamed=True),
    "stream-broke": attempt(streamed=True, first_token_s=0.1),
    "deadline-reached": ended(result="failed", attempts=1, error="a: not asked, the request's time was over"),
    "budget-refused": ended(result="failed", attempts=1, error="a: not asked, the retry budget was spent"),
}
IMPLIED = {
    "evidence-shared": {"streak-heard"},
    "stream-failed-over": {"request-failed-over"},
    "deadline-reached": {"nobody-answered"},
    "budget-refused": {"nobody-answered"},
}
ALSO = {"all-open": {"opened-by-failures"}, "opened-at-once": {"opened-by-failures"}}


def test_every_path_has_a_story_and_a_name_of_its_own():
    assert set(STORIES) == set(PATH_IDS)
    assert len(set(PATH_IDS)) == len(PATHS)


@pytest.mark.parametrize("path", PATH_IDS)
def test_a_path_is_taken_by_what_it_names_and_others_are_not(path):
    assert reached(STORIES[path].case()) == {path} | IMPLIED.get(path, set()) | ALSO.get(path, set())


def test_a_quiet_run_takes_none():
    assert reached(Story(OUTAGE).fault().serves("w1", 1.0).case()) == frozenset()


def test_what_a_worker_reads_as_it_joins_is_no_missed_notice():
    story = Story(workers=()).joins("w1", 1.0).told("w1", 1.0, 1, C, via="read")
    assert reached(story.case()) == frozenset()


def test_what_the_store_opens_on_the_fleets_evidence_is_opened_by_its_cause():
    assert "opened-by-failures" in reached(Story().told("w1", 3.0, 1, O, via="reply", accepted=True).case())
