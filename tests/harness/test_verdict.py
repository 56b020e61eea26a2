"""How a run's verdict follows from what was found."""

from __future__ import annotations

import pytest

from flexiai.core.outcome import Outcome
from harness.checkers import CHECKERS
from harness.checkers.case import Case
from harness.history import History, RunEnded
from harness.verdict import judge, owed
from tests.harness.histories import OUTAGE, C, O, Story

FAILED, OK = Outcome.FAILURE, Outcome.SUCCESS
KILL = {"at": "40s", "for": "5s", "target": "redis", "inject": "kill"}


def judged(story: Story, complete: bool = True):
    end = RunEnded(t=story.end, complete=complete, why=None if complete else "interrupted")
    return judge(story.scenario, 1, History.of([*story.entries, end]))


def outage(*more, **settings):
    """w1 trips, the others hear; `a` is used again after it healed."""
    story = Story(OUTAGE, *more, workers=("w1",), **settings).fault()
    story.asks("w1", 11, ("a", FAILED), ("b", OK)).asks("w1", 12, ("a", FAILED), ("b", OK)).opens("w1", 12.1)
    story.told("w1", 12.2, 1, via="reply").serves("w1", 13, "b", skipped=("a",))
    return story.told("w1", 33, 2, C, move=(O, C)).serves("w1", 35)


def test_a_good_run_passes_and_lists_what_was_not_exercised():
    result = judged(outage())
    assert result.verdict == "pass", result.reason
    assert any(f.why == "vacuous" for f in result.findings)
    assert result.faults[0].evidence == "answered 503 (10)"


def test_a_violation_fails_with_the_first_one_in_a_sentence():
    result = judged(outage().serves("w1", 14).serves("w1", 15))
    assert result.verdict == "fail"
    assert result.reason.startswith("refuse-when-open, at 14.000 s: w1 asked a")


def test_an_expectation_that_is_not_met_fails():
    result = judged(outage(expect=["failing_attempts <= 1"]))
    assert (result.verdict, result.expectations[0].actual) == ("fail", 2)
    assert result.reason == "expected failing_attempts <= 1; it was 2"


def test_an_expectation_of_what_was_not_measured_is_unknown():
    result = judged(outage(expect=["sync_latency.p99 < 50ms"]))
    assert (result.verdict, result.expectations[0].verdict) == ("unknown", "unknown")


def test_a_fault_without_an_effect_is_unknown():
    story = outage()
    story.entries = [e for e in story.entries if type(e).__name__ != "FaultEffect"]
    assert judged(story).verdict == "unknown"
    assert judged(story).faults[0].evidence is None


def test_a_fault_that_was_never_injected_is_unknown():
    assert judged(outage(KILL)).faults[1].verdict == "unknown"


def test_a_run_that_broke_off_is_unknown():
    result = judged(outage(), complete=False)
    assert (result.verdict, result.reason) == ("unknown", "the run broke off: interrupted")


def test_a_run_without_requests_is_unknown():
    assert judged(Story()).reason == "no request was sent"


def test_an_outage_that_nobody_could_be_seen_to_recover_from_is_unknown():
    story = outage()
    story.entries = [e for e in story.entries if e.t < 30.5 or type(e).__name__ == "FaultHealed"]
    result = judged(story)
    assert result.verdict == "unknown"
    assert result.reason.startswith("recovers: not exercised")


def test_an_invariant_that_is_switched_off_is_not_checked():
    result = judged(outage(without={"refuse-when-open": "shows the defect"}).serves("w1", 14))
    assert result.verdict == "pass"
    assert len(result.findings) == len(CHECKERS) - 1


@pytest.mark.parametrize(("breach", "verdict"), [(True, "pass"), (False, "fail")])
def test_a_known_weakness_must_show(breach, verdict):
    story = outage(expect="fail")
    assert judged(story.serves("w1", 14) if breach else story).verdict == verdict


def test_a_known_weakness_of_which_nothing_is_known_stays_unknown():
    assert judged(outage(expect="fail"), complete=False).verdict == "unknown"


class TestOwed:
    def test_a_healed_outage_owes_refusals_recovery_and_agreement(self):
        assert owed(outage().case()) == {"refuse-when-open", "recovers", "converges"}

    def test_a_fault_that_opened_nothing_owes_nothing(self):
        assert owed(Story(OUTAGE).fault().case()) == frozenset()

    def test_a_partial_fault_owes_nothing(self):
        assert owed(Case(outage().scenario, 1, History([]))) == frozenset()
        partial = OUTAGE | {"share": "50%"}
        story = Story(partial).fault().asks("w1", 11, ("a", FAILED)).asks("w1", 12, ("a", FAILED))
        assert owed(story.case()) == frozenset()

    def test_a_redis_kill_owes_rejoining_and_staying_off_the_path(self):
        assert owed(Story(KILL).fault().case()) == {"rejoins", "redis-off-path"}

    def test_a_short_pause_owes_no_rejoining(self):
        assert owed(Story(KILL | {"inject": "pause", "for": "1s"}).fault().case()) == {"redis-off-path"}

    def test_a_worker_killed_in_an_outage_owes_a_joiner_that_knows(self):
        crash = {"at": "20s", "target": "worker", "inject": "kill", "workers": "1.1"}
        assert "joiner-knows" in owed(outage(crash).fault(1, on=("w1",)).case())

    def test_a_worker_killed_in_peace_does_not(self):
        crash = {"at": "50s", "target": "worker", "inject": "kill", "workers": "1.1"}
        assert "joiner-knows" not in owed(outage(crash).fault(1, on=("w1",)).case())
