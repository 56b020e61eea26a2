"""The invariants that count again what a worker counted: each holds, is violated, and has nothing to check."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from flexiai.core.circuit import Cause
from flexiai.core.outcome import Outcome, Trouble
from flexiai.events import (
    AttemptEnded,
    AttemptStarted,
    EvidenceSent,
    OperatorActed,
    ProposalSent,
    RequestEnded,
    RequestStarted,
)
from harness.history import ProviderServed, RequestSent
from tests.harness.histories import OUTAGE, C, H, O, Story

OK, FAILED, NEUTRAL, LIMITED = Outcome.SUCCESS, Outcome.FAILURE, Outcome.NEUTRAL, Outcome.RATE_LIMITED


def row(story: Story, *outcomes: Outcome, since: float = 1.0, **more: Any) -> Story:
    """Requests of w1, one a second, each of which asks `a` (and `b` if `a` failed)."""
    for n, outcome in enumerate(outcomes):
        story.asks("w1", since + n, ("a", outcome), *([("b", OK)] if outcome.fails_over else []), **more)
    return story


class TestOpensWhenDue:
    def test_holds_when_the_last_failure_of_a_row_opens(self):
        finding = row(Story(), OK, FAILED, FAILED).opens("w1", 3.1).check("opens-when-due")
        assert (finding.verdict, finding.checked) == ("pass", 2)

    def test_a_row_that_opens_nothing_is_a_breach(self):
        finding = row(Story(), FAILED, FAILED).check("opens-when-due")
        assert "2 failures in a row" in finding.violations[0].text

    def test_to_open_after_one_failure_is_a_breach(self):
        assert row(Story(), FAILED).opens("w1", 1.1).check("opens-when-due").verdict == "fail"

    def test_a_success_ends_the_row(self):
        assert row(Story(), FAILED, OK, FAILED).check("opens-when-due").why == "vacuous"
        finding = row(Story(), FAILED, OK, FAILED).opens("w1", 3.1).check("opens-when-due")
        assert finding.verdict == "fail"

    def test_a_callers_own_error_is_not_in_the_row(self):
        assert row(Story(), FAILED, NEUTRAL).check("opens-when-due").why == "vacuous"
        assert row(Story(), FAILED, NEUTRAL, FAILED).opens("w1", 3.1).check("opens-when-due").verdict == "pass"

    def test_an_operators_reset_ends_the_row(self):
        story = row(Story(), FAILED).add(OperatorActed(t=1.5, worker="w1", provider="a", action="reset"))
        assert row(story, FAILED, since=2.0).check("opens-when-due").why == "vacuous"

    def test_a_reset_that_the_store_takes_late_is_the_one_that_was_said(self):
        story = Story().add(OperatorActed(t=0.5, worker="w1", provider="a", action="reset"))
        row(story, FAILED).told("w1", 1.5, 1, C, reason=Cause.RESET, via="reply", accepted=True)
        assert row(story, FAILED, since=2.0).opens("w1", 2.1).check("opens-when-due").verdict == "pass"

    def test_anothers_reset_ends_the_row(self):
        story = row(Story(), FAILED).told("w1", 1.5, 1, C, reason=Cause.RESET, origin="w2")
        assert row(story, FAILED, since=2.0).opens("w1", 2.1).check("opens-when-due").verdict == "fail"

    @pytest.mark.parametrize(("note", "verdict"), [("another's", "pass"), ("mine", "fail")])
    def test_anothers_reset_is_not_followed_while_a_word_waits_unless_it_says_the_same(self, note, verdict):
        said = OperatorActed(t=0.5, worker="w1", provider="a", action="reset", note="mine")
        story = row(Story().add(said), FAILED).told("w1", 1.5, 1, C, reason=Cause.RESET, origin="w2", note=note)
        assert row(story, FAILED, since=2.0).opens("w1", 2.1).check("opens-when-due").verdict == verdict

    def test_who_was_asked_to_wait_opens_at_the_first_answer(self):
        assert row(Story(), LIMITED, retry_after_s=3.0).check("opens-when-due").verdict == "fail"
        story = row(Story(), LIMITED, retry_after_s=3.0).moves("w1", 1.1, C, O, Cause.RETRY_AFTER)
        assert story.check("opens-when-due").verdict == "pass"

    def test_results_of_another_life_count_for_nothing(self):
        story = row(Story(), FAILED, FAILED).opens("w1", 2.1)
        story.moves("w1", 8.0, O, H, Cause.PROBE_GRANTED).moves("w1", 8.2, H, C, Cause.PROBE_SUCCEEDED)
        assert row(story, FAILED, since=9.0).check("opens-when-due").verdict == "pass"


class TestDeadline:
    def test_holds_for_requests_that_keep_it(self):
        assert row(Story(), OK, FAILED).check("deadline").verdict == "pass"

    def test_a_request_beyond_its_deadline_is_a_breach(self):
        story = Story(request={"deadline": "2s", "attempt_timeout": "1s"})
        story.asks("w1", 1.0, ("a", FAILED), ("b", OK), took=1.4)
        assert {v.provider for v in story.check("deadline").violations} == {None, "b"}

    def test_a_frozen_worker_is_excused(self):
        story = Story(request={"deadline": "2s", "attempt_timeout": "1s"}).paused("w1", 1.1, 5.0)
        assert story.asks("w1", 1.0, ("a", OK), took=5.0).check("deadline").why == "vacuous"


class TestRetryBudget:
    def test_ten_further_attempts_are_always_allowed(self):
        story = Story(request={"retry_budget": 0.1, "budget_window": "10s"})
        for n in range(10):
            story.asks("w1", 1.0 + n / 10, ("a", FAILED), ("b", OK), took=0.01)
        assert story.check("retry-budget").verdict == "pass"
        story.asks("w1", 2.1, ("a", FAILED), ("b", OK), took=0.01)
        assert story.check("retry-budget").verdict == "fail"

    def test_many_requests_pay_for_more(self):
        story = Story(request={"retry_budget": 0.5, "budget_window": "10s"})
        for n in range(40):
            story.asks("w1", 1.0 + n / 10, ("a", OK), took=0.01)
        for n in range(15):
            story.asks("w1", 5.0 + n / 10, ("a", FAILED), ("b", OK), took=0.01)
        assert story.check("retry-budget").verdict == "pass"

    def test_who_says_that_it_was_spent_must_have_spent_it(self):
        def refused(further: int) -> Story:
            story = Story(request={"retry_budget": 0.1, "budget_window": "10s"})
            for n in range(further):
                story.asks("w1", 1.0 + n / 10, ("a", FAILED), ("b", OK), took=0.01)
            error = "no provider could answer (b: not asked, the retry budget was spent); try again in 0.0 s"
            story.asks("w1", 3.0, ("a", FAILED))
            ended = next(n for n, e in enumerate(story.entries) if isinstance(e, RequestEnded) and e.result == "failed")
            story.entries[ended] = msgspec.structs.replace(story.entries[ended], error=error)
            return story

        assert refused(9).check("retry-budget").verdict == "fail"
        assert refused(10).check("retry-budget").verdict == "pass"
        assert refused(10).check("no-failure-while-served").verdict == "pass"

    def test_no_further_attempt_is_no_occasion(self):
        assert row(Story(), OK).check("retry-budget").why == "vacuous"


class TestAttemptsTold:
    def served(self, *times: float) -> Story:
        story = row(Story(), OK)
        return story.add(*(ProviderServed(t=t, provider="a", request="r1", began=t, result="ok") for t in times))

    def test_holds_when_the_ledger_has_what_the_worker_tells(self):
        assert self.served(1.05).check("attempts-told").verdict == "pass"

    def test_a_second_asking_that_nobody_tells_of_is_a_breach(self):
        assert "asked 2 times for r1" in self.served(1.02, 1.05).check("attempts-told").violations[0].text

    def test_a_worker_that_died_may_owe_its_last_words(self):
        assert self.served(1.02, 1.05).killed("w1", 1.2).check("attempts-told").why == "vacuous"


class TestNewsTravels:
    def told(self, **late: Any) -> Story:
        story = Story(sync={"reconcile_interval": "2s"}).told("w1", 20.0, 1, via="reply", accepted=True)
        return story.told("w2", 20.01, 1).told("w3", **{"t": 20.02, "epoch": 1, **late})

    def test_holds_when_all_were_told(self):
        finding = self.told().check("news-travels")
        assert (finding.verdict, finding.checked) == ("pass", 2)

    def test_who_read_it_long_after_was_never_told(self):
        finding = self.told(t=21.5, via="read").check("news-travels")
        assert finding.violations[0].worker == "w3"

    def test_to_read_it_before_the_notice_came_is_no_breach(self):
        assert self.told(t=20.05, via="read").check("news-travels").verdict == "pass"

    def test_a_worker_that_was_not_subscribed_is_left_out(self):
        story = self.told(t=21.5, via="read").down("w3", 19.0)
        assert story.check("news-travels").checked == 1


class TestEvidenceAge:
    def record(self, late_ms: int) -> Story:
        story = row(Story(), FAILED, FAILED).opens("w1", 2.1)
        story.told("w1", 2.101, 1, via="reply", accepted=True, since_ms=102_100)
        story.asks("w2", 2.0, ("a", FAILED), ("b", OK)).asks("w2", 3.0, ("a", FAILED), ("b", OK)).opens("w2", 3.1)
        return story.told("w2", 9.0, 2, origin="w2", via="reply", accepted=True, since_ms=103_100 + late_ms)

    def test_holds_when_a_record_that_waited_tells_when_its_evidence_was_seen(self):
        finding = self.record(0).check("evidence-age")
        assert (finding.verdict, finding.checked) == ("pass", 2)

    def test_old_evidence_that_passes_for_new_is_a_breach(self):
        assert "5.90 s later" in self.record(5900).check("evidence-age").violations[0].text

    def test_a_record_tells_of_the_change_before_it_was_sent_not_of_one_while_it_was_under_way(self):
        story = self.record(0).asks("w2", 8.0, ("a", FAILED), ("b", OK)).moves("w2", 8.2, O, H, Cause.PROBE_GRANTED)
        story.moves("w2", 8.9, H, O, Cause.PROBE_FAILED).add(
            ProposalSent(t=8.1, worker="w2", provider="a", state=O, base=0)
        )
        story.add(ProposalSent(t=9.0, worker="w2", provider="a", state=O, base=0))
        finding = story.check("evidence-age")
        assert (finding.verdict, finding.checked) == ("pass", 2), finding.violations

    def test_what_a_fault_held_on_its_way_is_no_younger_for_that(self):
        cut = {"at": "3s", "for": "6s", "target": "redis", "inject": "partition"}
        held = (
            Story(cut).fault().opens("w2", 1.0).told("w2", 1.01, 1, origin="w2", via="reply", accepted=True, since_ms=0)
        )
        held.opens("w1", 8.2).add(ProposalSent(t=8.2, worker="w1", provider="a", state=O, base=0))
        late = held.told("w1", 9.0, 2, via="reply", accepted=True, since_ms=8000).check("evidence-age")
        assert "0.80 s later" in late.violations[0].text

    def test_who_does_not_know_the_stores_clock_yet_may_be_taken_for_younger(self):
        def opened(up_at: float) -> str:
            story = Story(workers=("w1",)).joins("w2", 4.0, slot=2, synced=False).up("w2", up_at)
            story.opens("w1", 1.0).told("w1", 1.01, 1, via="reply", accepted=True, since_ms=0)
            story.opens("w2", 5.0).add(ProposalSent(t=5.0, worker="w2", provider="a", state=O, base=0))
            return (
                story.told("w2", 5.9, 2, origin="w2", via="reply", accepted=True, since_ms=4850)
                .check("evidence-age")
                .verdict
            )

        assert opened(5.9) == "pass"
        assert opened(4.5) == "fail"

    def test_a_drain_tells_the_state_as_it_stands_and_is_no_news_of_it(self):
        spoken = OperatorActed(t=8.0, worker="w2", provider="a", action="drain", for_s=5.0)
        finding = self.record(-900).add(spoken).check("evidence-age")
        assert (finding.verdict, finding.checked) == ("pass", 1)
        assert self.record(-900).check("evidence-age").verdict == "fail"

    @pytest.mark.parametrize(("since_s", "said"), [(5.1, ""), (3.1, ""), (5.9, "0.80 s later"), (2.3, "-0.80 s later")])
    def test_what_a_report_opened_is_of_the_last_failure_that_the_store_knew_of(self, since_s, said):
        story = Story().opens("w3", 1.0).told("w3", 1.01, 1, origin="w3", via="reply", accepted=True, since_ms=0)
        story.asks("w1", 2.0, ("a", FAILED)).asks("w2", 3.0, ("a", FAILED)).asks("w1", 5.0, ("a", FAILED))
        story.add(EvidenceSent(t=3.2, worker="w2", provider="a", base=1, failures=1))
        since_ms = round(1000 * since_s) - 1000
        told = story.told("w2", 6.0, 2, origin="w2", via="reply", accepted=True, reported=True, since_ms=since_ms)
        finding = told.check("evidence-age")
        assert finding.checked == 2
        assert [v.text.split(" saw it ")[1].startswith(said) for v in finding.violations] == ([True] if said else [])

    def test_without_records_there_is_nothing_to_check(self):
        assert row(Story(), FAILED).check("evidence-age").why == "vacuous"


class TestBounded:
    def test_a_store_that_is_told_again_and_again_without_a_pause_is_hammered(self):
        def hammered(times: int) -> str:
            sent = [ProposalSent(t=5.0 + n / 100, worker="w1", provider="a", state=O, base=0) for n in range(times)]
            return row(Story(), OK).add(*sent).check("bounded").verdict

        assert (hammered(20), hammered(60)) == ("pass", "fail")


class TestNeutralGoesToTheCaller:
    def test_to_ask_somebody_else_is_a_breach(self):
        story = Story().add(RequestSent(t=1.0, request="x", instance=1, intended=1.0))
        story.add(RequestStarted(t=1.0, worker="w1", request="x"))
        of: dict[str, Any] = {"worker": "w1", "request": "x"}
        ends: dict[str, Any] = {"outcome": NEUTRAL, "trouble": Trouble.STATUS, "status": 400}
        story.add(
            AttemptStarted(t=1.0, attempt=1, provider="a", **of),
            AttemptEnded(t=1.1, attempt=1, provider="a", **ends, **of),
        )
        assert story.check("neutral-is-neutral").verdict == "pass"
        story.add(
            AttemptStarted(t=1.1, attempt=2, provider="b", **of), RequestEnded(t=1.2, result="ok", attempts=2, **of)
        )
        assert "its caller's own error" in story.check("neutral-is-neutral").violations[0].text


class TestSettles:
    def calm(self, took: float = 0.1) -> Story:
        story = Story(OUTAGE | {"at": "5s", "for": "1s"}).fault()
        for n in range(40):
            story.asks("w1", n / 10, ("a", OK), took=0.1)
        for n in range(40):
            story.asks("w1", 45.0 + n / 10, ("a", OK), took=took)
        return story

    def test_holds_when_all_is_as_before(self):
        assert self.calm().check("settles").verdict == "pass"

    def test_requests_that_stay_slow_are_a_breach(self):
        assert "in the calm" in self.calm(took=0.5).check("settles").violations[0].text

    def test_streams_last_as_long_as_their_answers_and_say_nothing(self):
        story = self.calm()
        for n in range(60):
            story.streams("w2", 50.0 + n / 10, *[("a", OK, 5)])
        longer = [
            msgspec.structs.replace(e, t=e.t + 5) if isinstance(e, RequestEnded) and e.streamed else e
            for e in story.entries
        ]
        assert sum(a is not b for a, b in zip(longer, story.entries, strict=True)) == 60
        story.entries = longer
        assert story.check("settles").verdict == "pass"

    def test_a_breaker_that_opens_in_the_calm_is_a_breach(self):
        assert self.calm().opens("w1", 50.0).check("settles").verdict == "fail"

    def test_without_a_fault_there_is_no_calm_after_it(self):
        assert row(Story(), OK).check("settles").why == "vacuous"


class TestFleetCounts:
    def failing(self, *workers: str, threshold: int = 3, **more: Any) -> Story:
        story = Story(breaker={"failure_threshold": threshold, "reset_timeout": "5s"}, **more)
        for n, worker in enumerate(workers):
            story.asks(worker, 20.0 + n / 10, ("a", FAILED), ("b", OK), took=0.01)
        return story

    def test_holds_when_the_third_failure_of_three_workers_opens(self):
        finding = self.failing("w1", "w2", "w3").told("w3", 20.25, 1, move=(C, O)).check("fleet-counts")
        assert (finding.verdict, finding.checked) == ("pass", 1)

    def test_failures_that_nobody_adds_up_are_a_breach(self):
        finding = self.failing("w1", "w2", "w3").check("fleet-counts")
        assert "on 3 workers, and nobody opened it" in finding.violations[0].text

    def test_a_success_on_any_worker_ends_the_row(self):
        story = self.failing("w1", "w2").asks("w3", 20.2, ("a", OK)).asks("w3", 20.5, ("a", FAILED), ("b", OK))
        assert story.check("fleet-counts").why == "vacuous"

    def test_a_success_that_comes_before_anybody_could_have_opened_is_no_breach(self):
        story = self.failing("w1", "w2", "w3").asks("w1", 20.25, ("a", OK), took=0.01)
        assert story.check("fleet-counts").verdict == "pass"

    def test_an_operator_who_speaks_meanwhile_makes_it_no_row(self):
        story = self.failing("w1", "w2", "w3")
        story.add(OperatorActed(t=20.05, worker="w1", provider="a", action="reset", for_s=0.0, note="n"))
        assert story.check("fleet-counts").why == "vacuous"

    @pytest.mark.parametrize(("ok", "verdict"), [(20.16, "fail"), (19.9, "pass"), (22.9, "unknown")])
    def test_what_is_reported_must_stand_in_a_row(self, ok: float, verdict: str):
        story = self.failing("w1", "w2").asks("w3", ok, ("a", OK), took=0.01).asks("w1", 23.0, ("a", FAILED), took=0.01)
        story.told("w1", 23.02, 1, move=(C, O), via="reply", accepted=True, reported=True)
        assert story.check("fleet-counts").verdict == verdict

    @pytest.mark.parametrize(("worker", "verdict"), [("w2", "fail"), ("w3", "pass")])
    def test_of_one_workers_results_the_order_is_known(self, worker: str, verdict: str):
        story = self.failing("w1", "w2", threshold=2).asks(worker, 20.115, ("a", OK), took=0.001)
        story.asks("w1", 23.0, ("a", FAILED), took=0.01)
        story.told("w1", 23.02, 1, move=(C, O), via="reply", accepted=True, reported=True)
        assert story.check("fleet-counts").verdict == verdict

    def test_workers_that_count_for_themselves_owe_nothing(self):
        assert self.failing("w1", "w2", "w3", sync={"evidence": "worker"}).check("fleet-counts").why == "vacuous"
        assert self.failing("w1", "w2", "w3", sync={"open_quorum": 2}).check("fleet-counts").why == "vacuous"
