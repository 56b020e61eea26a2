"""The liveness invariants: each holds, is violated, is undecided, and has nothing to check."""

from __future__ import annotations

import math
import random

import pytest

from flexiai.core.circuit import Cause
from flexiai.core.outcome import Outcome
from harness.checkers.bounds import UNLUCKY, Bounds
from tests.harness.histories import OUTAGE, C, H, O, Story, scenario

OK, FAILED = Outcome.SUCCESS, Outcome.FAILURE
KILL = {"at": "10s", "for": "5s", "target": "redis", "inject": "kill"}
PAUSE = KILL | {"inject": "pause", "for": "9s"}


class TestConverges:
    def test_holds_when_all_hold_the_same_record(self):
        story = Story(OUTAGE).fault()
        for worker in ("w1", "w2", "w3"):
            story.told(worker, 12, 1, move=(C, O)).told(worker, 40, 2, C, move=(O, C))
        finding = story.check("converges")
        assert (finding.verdict, finding.checked) == ("pass", 3)

    def test_a_worker_left_behind_is_a_breach(self):
        story = Story().told("w1", 40, 2, C).told("w2", 40, 2, C).told("w3", 12, 1, move=(C, O))
        finding = story.check("converges")
        assert (finding.verdict, finding.violations[0].worker) == ("fail", "w3")

    def test_a_worker_that_never_heard_is_a_breach(self):
        assert Story().told("w1", 40, 1).check("converges").found == 3  # and w1's own breaker does not follow

    def test_the_probing_worker_agrees_with_open(self):
        story = Story(workers=("w1",)).told("w1", 12, 1, move=(C, O)).moves("w1", 40, O, H, Cause.PROBE_GRANTED)
        assert story.check("converges").verdict == "pass"

    def test_in_private_a_worker_may_keep_away_from_what_the_fleet_holds_closed(self):
        def ends(**more):
            story = Story(**more)
            for worker in ("w1", "w2", "w3"):
                story.told(worker, 5, 7, state=C)
            return story.moves("w2", 20, C, O, Cause.RETRY_AFTER, private=True).check("converges").verdict

        assert ends(sync={"open_quorum": 2}) == "pass"
        assert ends() == "fail"

    def test_a_disagreement_just_before_the_end_is_undecided(self):
        story = Story(workers=("w1", "w2")).told("w1", 69.5, 1, move=(C, O))
        assert story.check("converges").why == "undecided"

    def test_the_dead_need_not_agree(self):
        story = Story(workers=("w1", "w2")).told("w1", 12, 1, move=(C, O)).killed("w2", 11)
        assert story.check("converges").verdict == "pass"

    def test_no_agreement_is_demanded_while_redis_is_gone(self):
        story = Story({"at": "10s", "target": "redis", "inject": "kill"}, workers=("w1", "w2")).fault()
        assert story.told("w1", 9.9, 1, move=(C, O)).check("converges").checked == 1


class TestRecovers:
    def _outage(self):
        story = Story(OUTAGE).fault().asks("w1", 11, ("a", FAILED), ("b", OK)).opens("w1", 11.1)
        return story.moves("w1", 27, O, H, Cause.PROBE_GRANTED).moves("w1", 27.1, H, O, Cause.PROBE_FAILED)

    def test_holds_when_the_provider_is_asked_again(self):
        story = self._outage().serves("w1", 31, "b", skipped=("a",)).serves("w1", 34, probe=True)
        finding = story.check("recovers")
        assert (finding.verdict, finding.checked) == ("pass", 1)

    def test_refusing_it_for_too_long_is_a_breach(self):
        story = self._outage().serves("w1", 59, "b", skipped=("a",))
        assert "still refused a 29.0 s after" in story.check("recovers").violations[0].text

    def test_a_run_that_ends_before_the_deadline_is_undecided(self):
        story = self._outage().serves("w1", 31, "b", skipped=("a",))
        story.end = 33.0
        assert story.check("recovers").why == "undecided"

    def test_long_open_times_that_really_were_are_allowed(self):
        story = Story(OUTAGE).fault().opens("w1", 29, open_for_s=25.0).serves("w1", 53, "b", skipped=("a",))
        assert story.serves("w1", 55).check("recovers").verdict == "pass"

    def test_a_fault_to_the_end_demands_nothing(self):
        story = Story(OUTAGE | {"for": "50s"}).fault().opens("w1", 11).serves("w1", 61, "b", skipped=("a",))
        assert story.check("recovers").why == "vacuous"

    def test_a_provider_that_nobody_wanted_demands_nothing(self):
        story = Story(OUTAGE | {"target": "provider/b"}).fault().opens("w1", 11, provider="b").serves("w1", 59)
        assert story.check("recovers").why == "vacuous"


class TestRejoins:
    def test_holds_when_all_are_subscribed_again(self):
        story = Story(KILL).fault()
        for worker in ("w1", "w2", "w3"):
            story.down(worker, 10.1).up(worker, 16)
        assert story.check("rejoins").verdict == "pass"

    def test_a_worker_that_stays_away_is_a_breach(self):
        story = Story(KILL, workers=("w1",)).fault().down("w1", 10.1)
        assert "lost the store at 10.100 s" in story.check("rejoins").violations[0].text

    def test_a_deaf_worker_that_noticed_nothing_is_a_breach(self):
        assert Story(KILL, workers=("w1",)).fault().check("rejoins").verdict == "fail"
        assert Story(PAUSE, workers=("w1",)).fault().check("rejoins").verdict == "fail"

    def test_a_short_pause_need_not_be_noticed(self):
        assert Story(PAUSE | {"for": "1s"}, workers=("w1",)).fault().check("rejoins").why == "vacuous"

    def test_a_worker_whose_loop_stood_still_meanwhile_could_not_notice(self):
        def blocked(for_s: str, on: str = "1.1") -> Story:
            block = {"at": "10s", "for": for_s, "target": "worker", "inject": "block", "workers": on}
            return Story(PAUSE, block, workers=("w1",)).fault(0).fault(1, on=("w1",) if on == "1.1" else ("w2",))

        assert blocked("9s").check("rejoins").why == "vacuous"
        assert blocked("1s").check("rejoins").verdict == "fail"
        assert blocked("9s", on="1.2").check("rejoins").verdict == "fail"

    def test_nor_one_whose_clock_was_set_back(self):
        def moved(way: str, by: str = "8s") -> Story:
            jump = {"at": "11s", "target": "clock", "inject": "jump", "by": by, "way": way, "workers": "1.1"}
            return Story(PAUSE, jump, workers=("w1",)).fault(0).fault(1, on=("w1",))

        assert moved("behind").check("rejoins").why == "vacuous"
        assert moved("behind", by="1s").check("rejoins").verdict == "fail"
        assert moved("ahead").check("rejoins").verdict == "fail"

    def test_a_partition_concerns_those_it_cuts_off(self):
        cut = {"at": "10s", "for": "9s", "target": "redis", "inject": "partition", "workers": "1.1"}
        assert Story(cut).fault(on=("w1",)).check("rejoins").checked == 1

    def test_the_end_of_the_run_leaves_it_undecided(self):
        story = Story(KILL, workers=("w1",)).fault().down("w1", 10.1)
        story.end = 17.0
        assert story.check("rejoins").why == "undecided"

    def test_a_worker_that_started_without_redis_must_join_later(self):
        story = Story(KILL, workers=()).fault().joins("w1", 11, synced=False)
        assert story.check("rejoins").verdict == "fail"
        assert story.up("w1", 16).check("rejoins").verdict == "pass"

    def test_a_clock_set_back_holds_its_timers_up_for_as_long(self):
        def story(way: str, at: str = "11s") -> Story:
            jump = {"at": at, "target": "clock", "inject": "jump", "by": "50s", "way": way, "workers": "1.1"}
            return Story(KILL, jump, workers=("w1",)).fault(0).fault(1, on=("w1",)).down("w1", 10.1)

        assert story("ahead").check("rejoins").verdict == "fail"
        assert story("behind").check("rejoins").why == "undecided"
        assert story("behind", at="2s").check("rejoins").verdict == "fail"  # 52 s and the bound: before the end

    def test_clocks_set_back_again_and_again_are_late_by_all_of_it(self):
        def story(times: int) -> Story:
            jump = {"at": "11s", "target": "clock", "inject": "jump", "by": "10s", "way": "behind", "workers": "1.1"}
            jumps = [jump | {"at": f"{11 + n}s"} for n in range(times)]
            told = Story(KILL, *jumps, workers=("w1",)).fault(0).down("w1", 10.1)
            for n in range(times):
                told.fault(n + 1, on=("w1",))
            return told

        assert story(2).check("rejoins").verdict == "fail"  # by 31 s, and the bound
        assert story(5).check("rejoins").why == "undecided"  # not before 61 s, and the bound

    def test_nothing_is_demanded_while_redis_is_gone(self):
        story = Story({"at": "10s", "target": "redis", "inject": "kill"}).fault().down("w1", 10.1)
        assert story.check("rejoins").why == "vacuous"


class TestJoinerKnows:
    def _open(self):
        return Story(OUTAGE).fault().told("w2", 12, 1, move=(C, O)).killed("w1", 14)

    def test_holds_when_the_joiner_keeps_away(self):
        story = self._open().joins("w4", 15, generation=1).told("w4", 15.01, 1, move=(C, O), via="read")
        finding = story.serves("w4", 16, "b", skipped=("a",)).check("joiner-knows")
        assert (finding.verdict, finding.checked) == ("pass", 1)

    def test_rediscovering_it_is_a_breach(self):
        story = self._open().joins("w4", 15, generation=1).asks("w4", 16, ("a", FAILED), ("b", OK))
        assert story.check("joiner-knows").violations[0].worker == "w4"

    def test_a_probe_is_allowed(self):
        story = self._open().joins("w4", 15, generation=1).serves("w4", 20, probe=True)
        assert story.check("joiner-knows").verdict == "pass"

    def test_who_has_closed_it_by_a_probe_may_ask_before_the_store_knows(self):
        story = self._open().joins("w4", 15, generation=1).moves("w4", 17, O, H, Cause.PROBE_GRANTED)
        story.serves("w4", 18, probe=True).moves("w4", 18.1, H, C, Cause.PROBE_SUCCEEDED)
        assert story.serves("w4", 19).check("joiner-knows").verdict == "pass"

    def test_after_a_newer_record_it_may_ask(self):
        story = self._open().joins("w4", 15, generation=1).told("w2", 18, 2, C).serves("w4", 19)
        assert story.check("joiner-knows").why == "vacuous"

    def test_a_joiner_without_redis_cannot_know(self):
        story = Story(OUTAGE, KILL | {"at": "13s"}).fault(0).fault(1).told("w2", 12, 1, move=(C, O))
        story.joins("w4", 15, generation=1, synced=False).asks("w4", 16.5, ("a", FAILED), ("b", OK))
        assert story.check("joiner-knows").why == "vacuous"


def test_a_fair_run_exceeds_the_wait_for_a_probe_once_in_a_million_times():
    def gaps(probes: int) -> float:  # one worker, one request a second: a mean gap is a second
        one = scenario(topology={"instances": 1, "workers": 1}, load=[{"arrival": "poisson", "rate": "1/s"}])
        breaker = one.breaker.model_copy(update={"half_open_max_calls": probes})
        return Bounds.of(one.model_copy(update={"breaker": breaker})).demand

    assert math.exp(-gaps(1)) == pytest.approx(UNLUCKY)
    assert math.exp(-gaps(2)) * (1 + gaps(2)) == pytest.approx(UNLUCKY)
    waits = [random.Random(seed).gammavariate(2, 1) for seed in range(10_000)]
    assert max(waits) < gaps(2)
