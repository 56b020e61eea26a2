"""The invariants of the right to probe, and of what becomes of news: each holds, is violated, and has nothing to check."""

from __future__ import annotations

from typing import Any

import pytest

from flexiai.core.circuit import Cause
from flexiai.core.outcome import Outcome
from flexiai.events import OperatorActed, ProbeLease, ProposalFailed, ProposalSent, RecordRestored
from tests.harness.histories import C, H, O, Story

OK, LIMITED = Outcome.SUCCESS, Outcome.RATE_LIMITED
SYNC = {"lease": "2s", "reconcile_interval": "1s", "operation_timeout": "500ms", "reconnect_max": "500ms"}
KILL = {"at": "20s", "for": "10s", "target": "redis", "inject": "kill"}
FLUSH = {"at": "20s", "target": "redis", "inject": "flush"}
DROP = {"at": "20s", "for": "10s", "target": "redis", "inject": "drop_messages"}


def lease(worker: str, t: float, action: Any) -> ProbeLease:
    return ProbeLease(t=t, worker=worker, provider="a", action=action)


def story(*faults: dict[str, Any]) -> Story:
    return Story(*faults, sync=SYNC)


def refused(made: Story, worker: str, *times: float) -> Story:
    """Requests that met `a` OPEN, and were answered by `b`."""
    for t in times:
        made.asks(worker, t, ("b", OK), skipped=("a",), skipped_for=("open",))
    return made


class TestLeaseIsHeld:
    def test_holds_while_another_has_it(self):
        made = story().add(lease("w1", 10.0, "won"), lease("w2", 10.5, "denied"), lease("w1", 11.0, "released"))
        finding = made.check("lease-is-held")
        assert (finding.verdict, finding.checked) == ("pass", 1)

    def test_a_denial_after_it_was_given_back_is_a_breach(self):
        made = story().add(lease("w1", 10.0, "won"), lease("w1", 11.0, "released"), lease("w2", 12.0, "denied"))
        (violation,) = made.check("lease-is-held").violations
        assert (violation.worker, violation.proof[-1].t) == ("w2", 12.0)
        assert "w1 had released it at 11.0 s" in violation.text

    @pytest.mark.parametrize(("at", "verdict"), [(11.0, "pass"), (14.0, "fail")])
    def test_a_lost_one_is_held_until_it_expires(self, at: float, verdict: str):
        made = story().add(lease("w1", 10.0, "won"), lease("w1", 10.5, "lost"), lease("w2", at, "denied"))
        assert made.check("lease-is-held").verdict == verdict

    def test_a_dead_workers_lease_expires(self):
        made = story().add(lease("w1", 10.0, "won")).killed("w1", 10.5).add(lease("w2", 14.0, "denied"))
        assert made.check("lease-is-held").verdict == "fail"

    def test_nobody_is_accused_shortly_after_a_death_or_a_fault(self):
        dead = story().add(lease("w1", 10.0, "won")).killed("w1", 10.5).add(lease("w2", 11.0, "denied"))
        assert dead.check("lease-is-held").why == "vacuous"
        assert story(KILL).fault().add(lease("w2", 31.0, "denied")).check("lease-is-held").why == "vacuous"

    def test_an_answer_that_came_late_to_the_winner_is_no_breach(self):
        made = story().add(lease("w2", 10.0, "denied"), lease("w1", 10.1, "won"))
        assert made.check("lease-is-held").verdict == "pass"


class TestResultBeforeLease:
    def probed(self, told: float | None, released: float, **more: Any) -> Story:
        made = story().opens("w1", 5.0).add(lease("w1", 10.0, "won"))
        made.moves("w1", 10.0, O, H, Cause.PROBE_GRANTED).moves("w1", 10.2, H, C, Cause.PROBE_SUCCEEDED, **more)
        if told is not None:
            made.told("w1", told, 2, C, via="reply", accepted=True)
        return made.add(lease("w1", released, "released"))

    def test_holds_when_the_store_answered_first(self):
        finding = self.probed(10.25, 10.3).check("result-before-lease")
        assert (finding.verdict, finding.checked) == ("pass", 1)

    @pytest.mark.parametrize("told", [None, 10.4])
    def test_to_give_it_back_before_is_a_breach(self, told: float | None):
        assert self.probed(told, 10.3).check("result-before-lease").verdict == "fail"

    def test_nothing_is_asked_of_a_result_of_its_own_or_of_a_lease_that_runs_out(self):
        assert self.probed(None, 10.3, private=True).check("result-before-lease").why == "vacuous"
        assert self.probed(None, 12.1).check("result-before-lease").why == "vacuous"
        assert story().add(lease("w1", 10.0, "won"), lease("w1", 11.0, "released")).check("result-before-lease").why

    def test_who_is_about_to_end_is_excused(self):
        assert self.probed(None, 10.3).stopped("w1", 10.8).check("result-before-lease").why == "vacuous"


class TestProbeWhenDue:
    def test_holds_for_who_competes(self):
        made = refused(story().opens("w1", 10.0), "w1", 16.0).add(
            lease("w1", 16.01, "denied"), lease("w1", 16.3, "won")
        )
        finding = made.check("probe-when-due")
        assert (finding.verdict, finding.checked) == ("pass", 2)

    def test_who_wants_to_and_does_nothing_is_in_breach(self):
        finding = refused(story().opens("w1", 10.0), "w1", 16.0, 16.5, 17.0).check("probe-when-due")
        assert (finding.violations[0].worker, finding.violations[0].provider) == ("w1", "a")

    def test_a_try_or_two_may_fail(self):
        assert refused(story().opens("w1", 10.0), "w1", 16.0, 16.5).check("probe-when-due").why == "vacuous"

    def test_who_is_denied_asks_again_while_it_wants_to(self):
        made = refused(story().opens("w1", 10.0), "w1", 16.0).add(lease("w1", 16.1, "denied"))
        assert made.check("probe-when-due").verdict == "fail"
        old = refused(story().opens("w1", 10.0), "w1", 16.0).add(lease("w1", 16.1, "won"), lease("w1", 23.0, "denied"))
        assert old.check("probe-when-due").verdict == "pass"

    def test_before_its_open_time_is_over_nobody_needs_to(self):
        assert refused(story().opens("w1", 10.0), "w1", 12.0).check("probe-when-due").why == "vacuous"
        longer = story().opens("w1", 10.0).told("w1", 10.1, 1, open_for_ms=9000)
        assert refused(longer, "w1", 16.0).check("probe-when-due").why == "vacuous"

    def test_news_is_as_good_as_a_try(self):
        made = refused(story().opens("w1", 10.0), "w1", 16.0).told("w1", 16.1, 2, C, move=(O, C))
        assert made.check("probe-when-due").verdict == "pass"

    @pytest.mark.parametrize(
        ("error", "t", "verdict"),
        [
            ("gone", 21.5, "fail"),
            ("the listener died: it was cancelled", 21.5, "unknown"),
            ("the listener died: it was cancelled", 23.5, "fail"),  # it has asked the store, and got no answer
        ],
    )
    def test_its_own_listeners_death_tells_it_nothing_of_the_store(self, error, t, verdict):
        made = story(KILL).fault().opens("w1", 10.0).down("w1", 20.5, error)
        assert refused(made, "w1", 21.4, t).check("probe-when-due").verdict == verdict

    def test_without_a_store_it_probes_alone(self):
        made = story(KILL).fault().opens("w1", 16.0).down("w1", 20.0).add(lease("w1", 22.5, "alone"))
        made.moves("w1", 22.5, O, H, Cause.PROBE_GRANTED).up("w1", 31.0)
        assert made.check("probe-when-due").why == "vacuous"  # nobody was refused
        assert refused(made, "w1", 21.5).check("probe-when-due").verdict == "pass"

    def test_who_has_no_store_and_never_probes_is_in_breach(self):
        made = refused(story(KILL).fault().opens("w1", 16.0).down("w1", 20.0), "w1", 21.5, 24.0).up("w1", 31.0)
        (violation,) = made.check("probe-when-due").violations
        assert violation.t == 24.0  # at 21.5 s the jitter may not have been over

    @pytest.mark.parametrize(("at", "verdict"), [(24.2, "unknown"), (24.5, "fail")])
    def test_the_jitter_is_of_an_operators_time_too(self, at, verdict):
        said = OperatorActed(
            t=16.1, worker="w1", provider="a", action="open", for_s=6.9
        )  # until 23 s, and a fifth of it
        made = refused(story(KILL).fault().opens("w1", 16.0).add(said).down("w1", 20.0), "w1", at).up("w1", 31.0)
        assert made.check("probe-when-due").verdict == verdict

    def test_who_has_not_noticed_yet_is_excused(self):
        made = refused(story(KILL).fault().opens("w1", 10.0), "w1", 20.1)
        assert made.check("probe-when-due").why == "vacuous"

    def test_a_frozen_worker_is_excused(self):
        made = refused(story().opens("w1", 10.0).paused("w1", 16.05, 20.0), "w1", 15.8, 15.9, 16.0)
        assert made.check("probe-when-due").why == "vacuous"


class TestToldAgain:
    def failed(self, *again: float) -> Story:
        made = story().opens("w1", 9.9)
        made.add(ProposalSent(t=9.9, worker="w1", provider="a", state=O, base=0))
        made.add(ProposalFailed(t=10.0, worker="w1", provider="a", error="gone"))
        return made.add(*(ProposalSent(t=t, worker="w1", provider="a", state=O, base=0) for t in again))

    def test_holds_for_who_tries_again(self):
        assert self.failed(10.4).check("told-again").verdict == "pass"

    @pytest.mark.parametrize("again", [(), (15.0,)])
    def test_to_forget_it_is_a_breach(self, again: tuple[float, ...]):
        finding = self.failed(*again).check("told-again")
        assert finding.violations[0].worker == "w1"

    def test_who_heard_something_newer_may_have_nothing_to_tell(self):
        assert self.failed().told("w1", 9.95, 1, O).check("told-again").why == "vacuous"

    def test_the_dead_and_the_frozen_are_excused(self):
        assert self.failed().killed("w1", 10.2).check("told-again").why == "vacuous"
        assert self.failed().paused("w1", 10.1, 12.0).check("told-again").why == "vacuous"


class TestStoreRestored:
    def lost(self, fault: dict[str, Any]) -> Story:
        made = story(fault).fault().opens("w1", 9.9).told("w1", 10.0, 1, via="reply", accepted=True)
        return made.told("w2", 10.01, 1).told("w3", 10.01, 1)

    @pytest.mark.parametrize("by", ["w1", "w3"])
    def test_holds_when_anybody_wrote_it_back(self, by: str):
        made = self.lost(FLUSH).add(RecordRestored(t=20.8, worker=by, provider="a", epoch=1))
        finding = made.check("store-restored")
        assert (finding.verdict, finding.checked) == ("pass", 3)

    def test_a_newer_record_does_as_well(self):
        made = self.lost(FLUSH).told("w1", 20.5, 2, C, via="reply", accepted=True)
        assert made.check("store-restored").verdict == "pass"

    def test_what_nobody_writes_back_is_a_breach(self):
        finding = self.lost(FLUSH).check("store-restored")
        assert {v.worker for v in finding.violations} == {"w1", "w2", "w3"}

    def test_who_lost_its_connections_too_has_until_it_is_back(self):
        made = self.lost(KILL)
        for n, worker in enumerate(("w1", "w2", "w3")):
            made.down(worker, 20.1).up(worker, 31.0 + n)
        assert made.check("store-restored").verdict == "fail"
        made.add(RecordRestored(t=30.9, worker="w1", provider="a", epoch=1))
        assert made.check("store-restored").verdict == "pass"

    def test_nothing_known_nothing_lost(self):
        assert story(FLUSH).fault().check("store-restored").why == "vacuous"
        kept = {"at": "20s", "for": "2s", "target": "redis", "inject": "restart", "data": "persisted"}
        assert self.lost(kept).check("store-restored").why == "vacuous"

    def test_a_death_in_between_excuses(self):
        assert self.lost(FLUSH).killed("w2", 20.5).check("store-restored").why == "vacuous"

    def test_who_was_gone_before_knew_nothing_any_more(self):
        finding = self.lost(FLUSH).killed("w2", 15.0).check("store-restored")
        assert {v.worker for v in finding.violations} == {"w1", "w3"}


class TestLostNotices:
    """The second half of `news-travels`."""

    def dropped(self, read: float | None) -> Story:
        made = story(DROP).fault(on=("w2",)).told("w1", 25.0, 1, via="reply", accepted=True).told("w3", 25.01, 1)
        return made if read is None else made.told("w2", read, 1, via="read")

    def test_what_no_notice_brought_is_read(self):
        finding = self.dropped(26.0).check("news-travels")
        assert (finding.verdict, finding.checked) == ("pass", 2)

    @pytest.mark.parametrize("read", [None, 29.0])
    def test_who_does_not_read_in_time_is_in_breach(self, read: float | None):
        finding = self.dropped(read).check("news-travels")
        assert [v.worker for v in finding.violations] == ["w2"]


class TestRetryAfter:
    def test_nobody_asks_within_the_time_but_in_its_last_tenth(self):
        made = story().asks("w1", 10.0, ("a", LIMITED), ("b", OK), retry_after_s=2.0)
        assert made.serves("w1", 11.95).check("retry-after").verdict == "pass"
        assert made.serves("w1", 11.7).check("retry-after").verdict == "fail"
