"""The safety invariants: each holds, is violated, and has nothing to check, in a history written by hand."""

from __future__ import annotations

import pytest

from flexiai.core.circuit import Cause
from flexiai.core.outcome import Outcome
from flexiai.events import AttemptStarted, ProbeLease, RequestStarted
from harness.checkers import CHECKERS
from harness.history import RequestDone, RequestSent, RunEnded
from tests.harness.histories import OUTAGE, C, H, O, Story

OK, FAILED, NEUTRAL, LIMITED = Outcome.SUCCESS, Outcome.FAILURE, Outcome.NEUTRAL, Outcome.RATE_LIMITED
LATE = {"at": "40s", "for": "5s", "target": "redis", "inject": "kill"}


@pytest.mark.parametrize("checker", CHECKERS, ids=lambda c: c.id)
def test_a_run_in_which_nothing_happened_is_unknown_not_passed(checker):
    finding = Story().check(checker.id)
    assert (finding.verdict, finding.checked, finding.why) == ("unknown", 0, "vacuous")
    assert finding.note


class TestOneOutcome:
    def test_holds_when_each_request_ends_once(self):
        finding = Story().serves("w1", 1).serves("w2", 2, "b").check("one-outcome")
        assert (finding.verdict, finding.checked) == ("pass", 4)

    def test_a_request_without_an_end_is_a_breach(self):
        story = Story().add(RequestSent(t=1.0, request="x", instance=1, intended=1.0))
        assert story.check("one-outcome").verdict == "fail"

    def test_a_second_end_is_a_breach(self):
        story = Story().serves("w1", 1).add(RequestDone(t=3.0, request="r1", result="fail"))
        assert "ended twice" in story.check("one-outcome").violations[0].text

    def test_an_answer_that_no_worker_gave_is_a_breach(self):
        story = Story().add(RequestSent(t=1.0, request="x", instance=1, intended=1.0))
        story.add(RequestDone(t=2.0, request="x", result="ok"))
        assert story.check("one-outcome").verdict == "fail"

    def test_what_a_killed_worker_had_begun_needs_no_end_there(self):
        assert self._cut_off("info").check("one-outcome").verdict == "pass"

    def test_nobody_can_say_clearly_how_a_request_of_a_killed_worker_ended(self):
        assert self._cut_off("fail").check("one-outcome").verdict == "fail"

    def test_a_living_worker_must_end_its_requests_and_attempts(self):
        story = self._cut_off("info")
        story.entries = [e for e in story.entries if type(e).__name__ != "WorkerDown"]
        story.end = 600.0
        assert story.check("one-outcome").found == 2

    def test_a_whole_stream_has_as_many_pieces_at_its_sender_as_its_worker_told(self):
        assert Story().streams("w1", 1, ("a", OK, 5)).check("one-outcome").verdict == "pass"
        finding = Story().streams("w1", 1, ("a", OK, 5), got=4).check("one-outcome")
        assert "4 pieces" in finding.violations[0].text

    def test_who_left_got_its_end_too(self):
        story = Story().add(RequestSent(t=1.0, request="x", instance=1, intended=1.0))
        assert story.add(RequestDone(t=1.2, request="x", result="left")).check("one-outcome").verdict == "pass"

    def _cut_off(self, result):
        story = Story().add(RequestSent(t=1.0, request="x", instance=1, intended=1.0))
        story.add(RequestStarted(t=1.0, worker="w1", request="x"))
        story.add(AttemptStarted(t=1.0, worker="w1", request="x", attempt=1, provider="a"))
        return story.killed("w1", 2.0).add(RequestDone(t=2.1, request="x", result=result))


class TestNoFailureWhileServed:
    def test_a_failure_while_all_is_healthy_is_a_breach(self):
        finding = Story().asks("w1", 1, ("a", FAILED), ("b", FAILED)).check("no-failure-while-served")
        assert finding.verdict == "fail"
        assert finding.violations[0].provider == "a"

    def test_a_failure_while_every_provider_is_down_is_right(self):
        both = OUTAGE | {"target": "provider/b"}
        story = Story(OUTAGE, both).fault(0).fault(1).serves("w1", 1)
        finding = story.asks("w1", 11, ("a", FAILED), ("b", FAILED)).check("no-failure-while-served")
        assert (finding.verdict, finding.checked) == ("pass", 1)

    def test_who_was_turned_away_for_want_of_capacity_could_not_use_it(self):
        full = OUTAGE | {"target": "provider/b", "inject": "capacity", "most": 1}
        story = Story(OUTAGE, full).fault(0).fault(1).serves("w1", 1)
        assert story.asks("w1", 11, ("a", FAILED), ("b", LIMITED)).check("no-failure-while-served").verdict == "pass"
        assert story.asks("w1", 41, ("a", FAILED), ("b", LIMITED)).check("no-failure-while-served").verdict == "fail"

    def test_the_other_provider_must_be_asked(self):
        story = Story(OUTAGE).fault().asks("w1", 11, ("a", FAILED))
        assert story.check("no-failure-while-served").violations[0].provider == "b"

    def test_a_breaker_that_is_open_for_a_good_reason_excuses(self):
        b_later = {"at": "30s", "for": "5s", "target": "provider/b", "inject": "error"}
        story = Story(OUTAGE, b_later).fault(0).fault(1).serves("w1", 1).opens("w1", 28)
        assert story.asks("w1", 31, ("b", FAILED), skipped=("a",)).check("no-failure-while-served").verdict == "pass"

    def test_a_worker_whose_event_loop_was_blocked_excuses_what_it_then_holds_open(self):
        def story(inject: str) -> Story:
            fault = {"at": "10s", "for": "2s", "target": "worker", "inject": inject, "workers": "1.1"}
            return Story(fault).fault(on=("w1",)).opens("w1", 12.01).opens("w1", 12.01, provider="b").asks("w1", 12.02)

        assert story("block").check("no-failure-while-served").verdict == "unknown"
        assert story("throttle").check("no-failure-while-served").verdict == "fail"

    def test_a_breaker_that_is_open_for_a_reason_long_past_does_not(self):
        b_later = {"at": "55s", "for": "4s", "target": "provider/b", "inject": "error"}
        story = Story(OUTAGE, b_later).fault(0).fault(1).opens("w1", 12)
        assert story.asks("w1", 56, ("b", FAILED), skipped=("a",)).check("no-failure-while-served").verdict == "fail"

    def test_a_partition_excuses_the_workers_it_cuts_off_and_no_others(self):
        cut = {"at": "10s", "for": "9s", "target": "provider/a", "inject": "partition", "workers": "1.1"}
        b = OUTAGE | {"target": "provider/b"}

        def failing(worker):
            story = Story(cut, b).fault(0, on=("w1",)).fault(1).serves("w1", 1)
            return story.asks(worker, 12, ("a", FAILED), ("b", FAILED)).check("no-failure-while-served").verdict

        assert failing("w1") == "pass"
        assert failing("w2") == "fail"

    def test_a_redis_fault_excuses_nothing(self):
        story = Story(LATE).fault().asks("w1", 41, ("a", FAILED))
        assert story.check("no-failure-while-served").verdict == "fail"

    def test_the_callers_own_error_is_no_failure(self):
        finding = Story().serves("w1", 1).asks("w1", 2, ("a", NEUTRAL)).check("no-failure-while-served")
        assert finding.verdict == "pass"

    def test_a_worker_that_was_frozen_is_excused(self):
        story = Story().serves("w1", 1).paused("w1", 10, 15)
        assert story.asks("w1", 9.9, ("a", FAILED), took=6).check("no-failure-while-served").verdict == "pass"

    def test_an_attempt_that_waited_its_whole_time_was_not_served(self):
        story = Story(request={"attempt_timeout": "1s", "deadline": "3s"}).serves("w1", 1)
        story.asks("w1", 2, ("a", FAILED), ("b", FAILED), took=1.0)
        assert story.check("no-failure-while-served").verdict == "pass"

    def test_an_error_from_nowhere_is_a_breach_unless_a_worker_was_absent(self):
        def story():
            story = Story().serves("w1", 1).add(RequestSent(t=30.0, request="x", instance=1, intended=30.0))
            return story.add(RequestDone(t=30.1, request="x", result="fail", status=502))

        assert story().check("no-failure-while-served").verdict == "fail"
        assert story().killed("w2", 29.9).check("no-failure-while-served").verdict == "pass"

    def test_a_stream_that_broke_off_could_use_only_who_had_begun_it(self):
        story = Story(OUTAGE | {"inject": "cut"}).fault().streams("w1", 11, ("a", FAILED, 3)).serves("w1", 1)
        assert story.check("no-failure-while-served").verdict == "pass"
        finding = Story().streams("w1", 11, ("a", FAILED, 3)).check("no-failure-while-served")
        assert finding.violations[0].provider == "a"

    def test_a_stream_that_fell_silent_for_as_long_as_it_may_was_not_served(self):
        patient, hasty = {"between_tokens_timeout": "10s"}, {"between_tokens_timeout": "50ms"}
        story = Story(request=hasty).serves("w1", 1).streams("w1", 2, ("a", FAILED, 3))
        assert story.check("no-failure-while-served").verdict == "pass"
        story = Story(request=patient).serves("w1", 1).streams("w1", 2, ("a", FAILED, 3))
        assert story.check("no-failure-while-served").verdict == "fail"

    def test_a_stream_without_a_first_token_in_its_time_was_not_served(self):
        story = Story(request={"first_token_timeout": "100ms"}).serves("w1", 1)
        story.streams("w1", 2, ("a", FAILED, 0), ("b", FAILED, 0))
        assert story.check("no-failure-while-served").verdict == "pass"


class TestNoFailoverAfterFirstToken:
    ID = "no-failover-after-first-token"

    def test_failing_over_before_the_first_token_is_right_and_so_is_breaking_off_after_it(self):
        story = Story().streams("w1", 1, ("a", FAILED, 0), ("b", OK, 5)).streams("w1", 2, ("a", FAILED, 3))
        finding = story.check(self.ID)
        assert (finding.verdict, finding.checked) == ("pass", 2)

    def test_going_on_with_another_provider_is_a_breach(self):
        violation = Story().streams("w1", 1, ("a", FAILED, 3), ("b", OK, 5)).check(self.ID).violations[0]
        assert (violation.worker, violation.provider) == ("w1", "b")
        assert [type(e).__name__ for e in violation.proof] == ["AttemptStarted", "AttemptEnded", "AttemptStarted"]

    def test_asking_the_same_provider_again_is_one_too(self):
        assert Story().streams("w1", 1, ("a", FAILED, 3), ("a", OK, 5)).check(self.ID).verdict == "fail"

    def test_a_worker_that_hides_it_is_found_by_what_its_caller_got(self):
        finding = Story().streams("w1", 1, ("a", FAILED, 0), ("b", OK, 5), got=8).check(self.ID)
        assert "8 pieces" in finding.violations[0].text

    def test_an_answer_that_names_another_than_who_told_it_is_a_breach(self):
        assert Story().streams("w1", 1, ("a", OK, 5), by="b").check(self.ID).verdict == "fail"

    def test_whole_answers_are_no_occasion(self):
        assert Story().serves("w1", 1).check(self.ID).why == "vacuous"


class TestLegalTransitions:
    def test_a_whole_outage_is_legal(self):
        story = Story().asks("w1", 1, ("a", FAILED)).asks("w1", 2, ("a", FAILED)).opens("w1", 2.1)
        story.told("w1", 2.11, 1, via="reply").told("w2", 2.12, 1, move=(C, O))
        story.moves("w1", 7.2, O, H, Cause.PROBE_GRANTED).moves("w1", 7.5, H, C, Cause.PROBE_SUCCEEDED, epoch=1)
        story.told("w2", 7.6, 2, C, move=(O, C))
        finding = story.check("legal-transitions")
        assert (finding.verdict, finding.checked) == ("pass", 5)

    @pytest.mark.parametrize(
        ("frm", "to", "cause"),
        [(C, H, Cause.PROBE_GRANTED), (O, C, Cause.PROBE_SUCCEEDED), (C, O, Cause.PROBE_FAILED), (C, C, Cause.RESET)],
    )
    def test_an_edge_that_the_machine_does_not_have_is_a_breach(self, frm, to, cause):
        story = Story()
        if frm is O:
            story.moves("w1", 1, C, O, Cause.FAILURE_RATE)
        assert "no such edge" in story.moves("w1", 2, frm, to, cause).check("legal-transitions").violations[0].text

    def test_a_change_must_start_where_the_last_one_ended(self):
        story = Story().moves("w1", 1, O, H, Cause.PROBE_GRANTED)
        assert "was CLOSED" in story.check("legal-transitions").violations[0].text

    @pytest.mark.parametrize(
        ("failing", "verdict"), [(("w1", "w2"), "pass"), (("w1",), "fail"), (("w1", "w1"), "pass")]
    )
    def test_the_fleets_evidence_needs_as_many_failures(self, failing, verdict):
        story = Story()
        for n, worker in enumerate(failing):
            story.asks(worker, 1 + n / 10, ("a", FAILED))
        story.told("w1", 2, 5, move=(C, O), via="reply", accepted=True)
        assert story.check("legal-transitions").verdict == verdict

    def test_and_as_many_workers_as_the_quorum_asks_unless_one_has_voted(self):
        def opened(*failing, voted=False):
            story = Story(sync={"open_quorum": 2}, workers=("w1", "w2", "w3"))
            for n, worker in enumerate(failing):
                story.asks(worker, 1 + n / 10, ("a", FAILED))
            if voted:
                story.moves("w3", 1.5, C, O, Cause.MISCONFIGURED, private=True)
            return story.told("w1", 2, 5, move=(C, O), via="reply", accepted=True).check("legal-transitions").verdict

        assert opened("w1", "w2") == "pass"
        assert opened("w1", "w1") == "fail"
        assert opened("w1", "w1", voted=True) == "pass"

    def test_failures_before_the_provider_last_closed_are_no_evidence(self):
        story = Story().asks("w1", 1, ("a", FAILED)).asks("w2", 1, ("a", FAILED)).opens("w3", 2)
        story.asks("w3", 1.5, ("a", FAILED), took=0.01).asks("w3", 1.6, ("a", FAILED), took=0.01)
        story.moves("w3", 8, O, H, Cause.PROBE_GRANTED).moves("w3", 8.1, H, C, Cause.PROBE_SUCCEEDED)
        story.told("w1", 9, 5, move=(C, O), via="reply", accepted=True)
        assert story.check("legal-transitions").verdict == "fail"

    @pytest.mark.parametrize(("closed_as", "verdict"), [(6, "pass"), (4, "fail")])
    def test_a_closing_of_which_the_store_hears_later_ends_no_streak_there(self, closed_as, verdict):
        story = Story().asks("w1", 1, ("a", FAILED), took=0.01).asks("w2", 1.1, ("a", FAILED), took=0.01)
        story.opens("w3", 2).moves("w3", 2.6, O, H, Cause.PROBE_GRANTED).moves("w3", 2.7, H, C, Cause.PROBE_SUCCEEDED)
        story.told("w1", 3, 5, move=(C, O), via="reply", accepted=True, reported=True)
        story.told("w1", 3.1, closed_as, C, origin="w3", age_s=0.4)
        violations = story.check("legal-transitions").violations
        assert any("the fleet's evidence" in v.text for v in violations) == (verdict == "fail")

    @pytest.mark.parametrize(("age_s", "verdict"), [(1.5, "pass"), (0.5, "fail")])
    def test_an_opening_yields_to_no_closing_that_is_older_however_late_the_store_heard_of_it(self, age_s, verdict):
        story = Story().asks("w1", 1, ("a", FAILED)).asks("w1", 1.5, ("a", FAILED)).opens("w1", 2, failure_count=2)
        story.opens("w2", 2.1).moves("w2", 2.6, O, H, Cause.PROBE_GRANTED)
        story.moves("w2", 2.7, H, C, Cause.PROBE_SUCCEEDED)
        story.told("w3", 3, 4, C, age_s=age_s)
        story.told("w1", 3.2, 5, move=(C, O), via="reply", accepted=True)
        violations = story.check("legal-transitions").violations
        assert any("the fleet's evidence" in v.text for v in violations) == (verdict == "fail")

    @pytest.mark.parametrize(("between", "verdict"), [(False, "pass"), (True, "fail")])
    def test_an_opening_that_reaches_the_store_after_a_reset_is_its_workers_own(self, between, verdict):
        story = Story().asks("w1", 1, ("a", FAILED)).asks("w1", 1.5, ("a", FAILED)).opens("w1", 2, failure_count=2)
        story.moves("w1", 3, O, C, Cause.RESET)
        if between:
            story.told("w1", 3.1, 4, C, origin="w2")
        story.told("w1", 3.2, 5, move=(C, O), via="reply", accepted=True)
        assert story.check("legal-transitions").verdict == verdict

    @pytest.mark.parametrize(
        ("lost_at", "more", "verdict"),
        [("3.15s", {}, "pass"), ("3.05s", {}, "fail"), ("3.15s", {"reported": True}, "fail")],
    )
    def test_a_store_that_forgot_takes_an_opening_from_before_what_it_forgot(self, lost_at, more, verdict):
        flush = {"at": lost_at, "target": "redis", "inject": "flush"}
        story = Story(flush).fault().asks("w1", 1, ("a", FAILED)).asks("w1", 1.5, ("a", FAILED)).opens("w1", 2)
        story.asks("w2", 1, ("a", FAILED)).asks("w2", 1.5, ("a", FAILED)).opens("w2", 2)
        story.moves("w2", 3, O, H, Cause.PROBE_GRANTED).moves("w2", 3.1, H, C, Cause.PROBE_SUCCEEDED)
        story.told("w2", 3.11, 4, C, origin="w2", via="reply", accepted=True)
        story.told("w1", 3.2, 5, via="reply", accepted=True, **more)
        assert story.check("legal-transitions").verdict == verdict

    @pytest.mark.parametrize(("epoch", "verdict"), [(5, "pass"), (7, "fail")])
    def test_an_opening_that_the_store_took_before_a_closing_may_be_heard_of_after_it(self, epoch, verdict):
        story = Story().asks("w1", 1, ("a", FAILED)).asks("w1", 1.5, ("a", FAILED)).opens("w1", 2)
        story.asks("w2", 1, ("a", FAILED)).asks("w2", 1.5, ("a", FAILED)).opens("w2", 2)
        story.moves("w2", 8, O, H, Cause.PROBE_GRANTED).moves("w2", 8.1, H, C, Cause.PROBE_SUCCEEDED)
        story.told("w2", 9, 6, C, origin="w2", via="reply", accepted=True)
        story.told("w1", 9.001, epoch, via="reply", accepted=True)
        assert story.check("legal-transitions").verdict == verdict

    def test_nothing_is_private_without_a_quorum_nor_by_what_the_fleet_says(self):
        def private(cause, **more):
            story = (
                Story(**more).asks("w1", 1, ("a", FAILED)).asks("w1", 1.2, ("a", FAILED)).told("w1", 2, 5, origin="w2")
            )
            story.opens("w2", 1.9).asks("w2", 1.5, ("a", FAILED)).asks("w2", 1.6, ("a", FAILED))
            return story.moves("w1", 2, C, O, cause, epoch=5, private=True).check("legal-transitions").verdict

        quorum = {"sync": {"open_quorum": 2}}
        assert private(Cause.CONSECUTIVE_FAILURES, **quorum) == "pass"
        assert private(Cause.CONSECUTIVE_FAILURES) == "fail"
        assert private(Cause.SYNC, **quorum) == "fail"

    def test_sync_without_a_record_is_a_breach(self):
        story = Story().told("w1", 1, 1).moves("w1", 1, C, O, Cause.SYNC, epoch=2)
        assert "no such record" in story.check("legal-transitions").violations[0].text

    def test_too_few_failures_do_not_open(self):
        story = Story().asks("w1", 1, ("a", FAILED)).asks("w1", 2, ("a", NEUTRAL)).opens("w1", 2.1)
        assert "after 1 failures" in story.check("legal-transitions").violations[0].text


class TestRefuseWhenOpen:
    def test_holds_when_open_providers_are_skipped(self):
        finding = Story().opens("w1", 1).serves("w1", 2, "b", skipped=("a",)).check("refuse-when-open")
        assert (finding.verdict, finding.checked) == ("pass", 1)

    def test_asking_an_open_provider_is_a_breach(self):
        assert Story().opens("w1", 1).serves("w1", 2).check("refuse-when-open").verdict == "fail"

    def test_what_another_worker_knows_does_not_matter(self):
        assert Story().opens("w1", 1).serves("w2", 2).check("refuse-when-open").why == "vacuous"

    def test_a_request_refused_by_all_is_an_occasion(self):
        story = Story().opens("w1", 1).opens("w1", 1, provider="b").asks("w1", 2)
        assert story.check("refuse-when-open").checked == 1

    def test_at_one_instant_the_order_of_the_events_counts(self):
        assert Story().serves("w1", 1).opens("w1", 1).check("refuse-when-open").why == "vacuous"


class TestProbeBound:
    def _half_open(self, *workers, faults=()):
        story = Story(*faults)
        for worker in workers:
            story.opens(worker, 30).moves(worker, 35.5, O, H, Cause.PROBE_GRANTED)
        return story

    def test_one_probe_is_within_the_bound(self):
        finding = self._half_open("w1").serves("w1", 36, probe=True).check("probe-bound")
        assert (finding.verdict, finding.checked) == ("pass", 1)

    def test_two_workers_at_once_are_a_breach(self):
        story = self._half_open("w1", "w2").serves("w1", 36, probe=True).serves("w2", 36.05, probe=True)
        assert "at the same time" in story.check("probe-bound").violations[0].text

    def test_two_workers_one_after_the_other_are_not(self):
        story = self._half_open("w1", "w2").serves("w1", 36, probe=True).serves("w2", 36.1, probe=True)
        assert story.check("probe-bound").verdict == "pass"

    def test_without_redis_each_may_probe(self):
        kill = {"at": "33s", "for": "9s", "target": "redis", "inject": "kill"}
        story = self._half_open("w1", "w2", faults=(kill,)).fault()
        story.serves("w1", 36, probe=True).serves("w2", 36.05, probe=True)
        assert story.check("probe-bound").verdict == "pass"

    @pytest.mark.parametrize(
        ("action", "heard_at", "asks_at", "verdict"),
        [
            ("alone", None, 35.2, "pass"),
            ("alone", 35.1, 35.2, "fail"),  # it knew that Redis was back
            ("alone", 34.9, 35.2, "pass"),
            ("won", None, 35.2, "fail"),
            ("alone", None, 55.0, "fail"),  # it has had time to read
        ],
    )
    def test_who_has_heard_nothing_since_a_fault_may_still_take_redis_for_gone(
        self, action, heard_at, asks_at, verdict
    ):
        slow = {"at": "33s", "for": "2s", "target": "redis", "inject": "latency", "add": "2s"}
        story = Story(slow).fault()
        for worker in ("w1", "w2"):
            story.opens(worker, 30).moves(worker, 34.5, O, H, Cause.PROBE_GRANTED).serves(worker, asks_at, probe=True)
        story.add(ProbeLease(t=34.5, worker="w1", provider="a", action=action))
        if heard_at is not None:
            story.up("w1", heard_at)
        assert story.check("probe-bound").verdict == verdict

    @pytest.mark.parametrize(
        ("on", "by", "verdict"),
        [("w1", "9s", "pass"), ("w1", "4s", "fail"), ("w3", "9s", "fail")],
    )
    def test_a_worker_whose_clock_was_set_back_may_outlive_its_lease_or_be_late_on_its_way_back(self, on, by, verdict):
        jump = {"at": "20s", "target": "clock", "inject": "jump", "by": by, "way": "behind", "workers": f"1.{on[1]}"}
        story = self._half_open("w1", "w2", faults=(jump,)).fault(on=(on,))
        story.serves("w1", 44, probe=True).serves("w2", 44.05, probe=True)
        assert story.check("probe-bound").verdict == verdict

    @pytest.mark.parametrize(("on", "verdict"), [("w2", "pass"), ("w3", "fail")])
    def test_who_stood_still_may_not_know_that_redis_is_back(self, on, verdict):
        block = {"at": "33s", "for": "2s", "target": "worker", "inject": "block", "workers": f"1.{on[1]}"}
        story = self._half_open("w1", "w2", faults=(block,)).fault(on=(on,))
        story.serves("w1", 36, probe=True).serves("w2", 36.05, probe=True)
        assert story.check("probe-bound").verdict == verdict

    def test_two_probes_of_one_worker_are_a_breach_even_without_redis(self):
        kill = {"at": "33s", "for": "9s", "target": "redis", "inject": "kill"}
        story = self._half_open("w1", faults=(kill,)).fault()
        story.serves("w1", 36, probe=True).serves("w1", 36.05, probe=True)
        assert "2 probes" in story.check("probe-bound").violations[0].text

    def test_nothing_but_probes_goes_to_a_half_open_provider(self):
        assert "without" in self._half_open("w1").serves("w1", 36).check("probe-bound").violations[0].text

    def test_a_probe_that_outlives_its_round_is_not_of_the_next(self):
        story = self._half_open("w1", "w2").asks("w1", 36, ("a", FAILED), took=9, probe=True)
        story.moves("w1", 37, H, O, Cause.PROBE_FAILED).serves("w2", 43, probe=True)
        assert story.check("probe-bound").verdict == "pass"


class TestEpochMonotone:
    def test_newer_records_hold(self):
        finding = Story().told("w1", 1, 1).told("w1", 2, 2, C).told("w2", 2, 2, C).check("epoch-monotone")
        assert (finding.verdict, finding.checked) == ("pass", 3)

    def test_an_older_record_is_a_breach(self):
        assert "older" in Story().told("w1", 1, 2).told("w1", 2, 1).check("epoch-monotone").violations[0].text

    def test_one_epoch_with_two_contents_is_a_breach(self):
        story = Story().told("w1", 1, 1).told("w2", 1, 1, C)
        assert "epoch 1 of a is OPEN" in story.check("epoch-monotone").violations[0].text


class TestPriorityOrder:
    def test_the_best_available_provider_holds(self):
        finding = Story().serves("w1", 1).opens("w1", 2).serves("w1", 3, "b", skipped=("a",)).check("priority-order")
        assert (finding.verdict, finding.checked) == ("pass", 2)

    def test_passing_over_a_closed_one_is_a_breach(self):
        assert Story().serves("w1", 1, "b").check("priority-order").violations[0].provider == "a"

    def test_failing_over_is_not(self):
        assert Story().asks("w1", 1, ("a", FAILED), ("b", OK)).check("priority-order").verdict == "pass"

    def test_a_free_probe_slot_must_be_used(self):
        story = Story().opens("w1", 1).moves("w1", 7, O, H, Cause.PROBE_GRANTED)
        assert story.serves("w1", 8, "b", skipped=("a",)).check("priority-order").verdict == "fail"

    def test_a_taken_probe_slot_cannot(self):
        story = Story().opens("w1", 1).moves("w1", 7, O, H, Cause.PROBE_GRANTED).serves("w1", 8, probe=True)
        assert story.serves("w1", 8.05, "b", skipped=("a",)).check("priority-order").verdict == "pass"


class TestNeutralIsNeutral:
    def test_holds_when_nothing_follows(self):
        assert Story().asks("w1", 1, ("a", NEUTRAL)).check("neutral-is-neutral").checked == 1

    def test_a_change_made_by_it_is_a_breach(self):
        story = Story().asks("w1", 1, ("a", NEUTRAL)).opens("w1", 1.1)
        assert story.check("neutral-is-neutral").verdict == "fail"

    def test_an_operator_who_speaks_at_that_moment_may(self):
        story = Story().asks("w1", 1, ("a", NEUTRAL)).moves("w1", 1.1, C, O, Cause.FORCED_OPEN)
        assert story.check("neutral-is-neutral").verdict == "pass"

    def test_a_caller_who_left_is_nobodys_failure(self):
        left = Story().streams("w1", 1, ("a", NEUTRAL, 3), result="cancelled").check("neutral-is-neutral")
        assert (left.verdict, left.checked) == ("pass", 2)
        blamed = Story().streams("w1", 1, ("a", FAILED, 3), result="cancelled").check("neutral-is-neutral")
        assert "blamed" in blamed.violations[0].text

    def test_a_change_made_by_another_result_of_that_moment_is_not(self):
        story = Story().asks("w1", 1, ("a", NEUTRAL)).asks("w1", 1, ("a", FAILED)).opens("w1", 1.1)
        assert story.check("neutral-is-neutral").verdict == "pass"


class TestRetryAfter:
    def test_holds_when_the_time_is_kept(self):
        story = Story().asks("w1", 1, ("a", LIMITED), ("b", OK), retry_after_s=8.0).serves("w1", 9.2)
        assert story.check("retry-after").verdict == "pass"

    def test_asking_too_early_is_a_breach(self):
        story = Story().asks("w1", 1, ("a", LIMITED), retry_after_s=8.0).serves("w1", 5)
        assert "3.9 s after" in story.check("retry-after").violations[0].text

    def test_a_reset_ends_the_time(self):
        story = Story().asks("w1", 1, ("a", LIMITED), retry_after_s=8.0).moves("w1", 1.1, C, O, Cause.RETRY_AFTER)
        story.moves("w1", 3, O, C, Cause.RESET).serves("w1", 4)
        assert story.check("retry-after").verdict == "pass"


class TestRedisOffPath:
    def test_holds_when_requests_cost_what_they_did(self):
        finding = Story(LATE).fault().serves("w1", 20).serves("w1", 41, overhead=0.01).check("redis-off-path")
        assert (finding.verdict, finding.checked) == ("pass", 1)

    @pytest.mark.parametrize("waited", [0.5, 1.0])
    def test_a_request_that_awaited_redis_is_a_breach(self, waited):
        story = Story(LATE).fault().serves("w1", 20).serves("w1", 41, overhead=waited)
        assert story.check("redis-off-path").verdict == "fail"

    def test_a_short_operation_timeout_is_seen_too(self):
        story = Story(LATE, sync={"operation_timeout": "100ms"}).fault().serves("w1", 41, overhead=0.1)
        assert story.check("redis-off-path").verdict == "fail"

    def test_noise_that_was_there_before_decides_nothing(self):
        story = Story(LATE).fault().serves("w1", 20, overhead=0.4).serves("w1", 41, overhead=0.6)
        assert story.check("redis-off-path").why == "undecided"

    def test_a_round_trip_on_every_request_shifts_the_median(self):
        story = Story(LATE).fault()
        for n in range(30):
            story.serves("w1", n).serves("w1", 40 + n / 10, overhead=0.02)
        assert "median" in story.check("redis-off-path").violations[0].text


def test_a_run_that_broke_off_owes_no_ends():
    story = Story().serves("w1", 1).add(RequestSent(t=2.0, request="x", instance=1, intended=2.0))
    story.add(RunEnded(t=3.0, complete=False, why="interrupted"))
    assert story.check("one-outcome").verdict == "pass"
