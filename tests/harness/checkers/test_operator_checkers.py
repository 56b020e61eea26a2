"""What the checkers make of operators' words and of ramps: hand-written histories that hold, that do not, and empty ones."""

from __future__ import annotations

from typing import ClassVar

import pytest

from flexiai.core.circuit import Cause, Mode
from flexiai.core.outcome import Outcome
from flexiai.events import AttemptEnded, AttemptStarted, OperatorActed, ProposalSent, RequestEnded, RequestStarted
from harness.metrics import measure
from harness.verdict import owed
from tests.harness.histories import C, H, O, Story

OPEN = {"at": "10s", "for": "10s", "target": "provider/a", "inject": "operator_open"}
DRAIN = OPEN | {"inject": "operator_drain"}


def says(story: Story, t: float, action: str, for_s: float = 10.0, worker: str = "w1") -> Story:
    return story.add(OperatorActed(t=t, worker=worker, provider="a", action=action, for_s=for_s, note="n"))


def request(story: Story, t: float, provider: str, worker: str = "w1", **how: object) -> Story:
    """A request of one attempt, with what its attempt says of others."""
    of = {"worker": worker, "request": f"x{t}{worker}"}
    return story.add(
        RequestStarted(t=t, **of),
        AttemptStarted(t=t, attempt=1, provider=provider, **how, **of),
        AttemptEnded(t=t + 0.1, attempt=1, provider=provider, outcome=Outcome.SUCCESS, **of),
        RequestEnded(t=t + 0.1, result="ok", attempts=1, provider=provider, **of),
    )


def forced_open() -> Story:
    return says(Story(), 10, "open").moves("w1", 10, C, O, Cause.FORCED_OPEN, open_for_s=10.0)


def spares(why: str) -> dict[str, object]:
    return {"skipped": ("a",), "skipped_for": (why,)}


class TestLegalTransitions:
    def test_a_forced_open_that_is_probed_after_its_time_is_legal(self):
        story = forced_open().told("w2", 10.1, 1, reason=Cause.FORCED_OPEN, move=(C, O), mode=Mode.OPEN, held_s=9.9)
        story.moves("w1", 20.2, O, H, Cause.PROBE_GRANTED).moves("w1", 20.4, H, C, Cause.PROBE_SUCCEEDED)
        assert story.check("legal-transitions").verdict == "pass"

    def test_who_probes_what_an_operator_holds_open_is_in_breach(self):
        assert forced_open().moves("w1", 15, O, H, Cause.PROBE_GRANTED).check("legal-transitions").verdict == "fail"

    def test_who_was_told_of_it_by_the_fleet_too(self):
        story = Story().told("w2", 10.1, 1, reason=Cause.FORCED_OPEN, move=(C, O), mode=Mode.OPEN, held_s=9.9)
        finding = story.moves("w2", 15, O, H, Cause.PROBE_GRANTED).check("legal-transitions")
        assert finding.verdict == "fail"
        assert finding.violations[0].worker == "w2"

    def test_what_was_told_late_may_end_when_it_ends_for_the_others(self):
        said = {"reason": Cause.FORCED_OPEN, "mode": Mode.OPEN}

        def probed(at: float) -> str:
            story = Story().told("w1", 10.0, 1, via="reply", accepted=True, held_s=10.0, move=(C, O), **said)
            story.told("w2", 13.0, 1, held_s=10.0, move=(C, O), **said)  # its notice took 3 s
            return story.moves("w2", at, O, H, Cause.PROBE_GRANTED).check("legal-transitions").verdict

        assert probed(20.1) == "pass"
        assert probed(19.8) == "fail"

    def test_what_was_told_late_to_all_ends_when_whoever_was_told_first_says(self):
        said = {"reason": Cause.FORCED_OPEN, "mode": Mode.OPEN, "note": "n"}

        def probed(at: float) -> str:
            story = says(Story(), 10, "open").moves("w1", 10, C, O, Cause.FORCED_OPEN, open_for_s=10.0)
            story.told("w2", 13.0, 1, held_s=10.0, move=(C, O), **said)  # its notice took 3 s, and the answer longer
            return story.moves("w2", at, O, H, Cause.PROBE_GRANTED).check("legal-transitions").verdict

        assert probed(20.1) == "pass"
        assert probed(19.8) == "fail"

    def test_the_answer_to_an_earlier_word_does_not_bring_it_back(self):
        def asked(sent_at: float) -> str:
            story = says(says(Story(), 10, "drain"), 12, "reset", 0.0)
            story.add(ProposalSent(t=sent_at, worker="w1", provider="a", state=C, base=0))
            story.told("w1", 13, 1, C, via="reply", accepted=True, mode=Mode.DRAIN, held_s=7.0, note="other")
            return request(story, 14, "a").check("refuse-when-open").verdict

        assert asked(11.0) == "unknown"  # a reset: there is no hold
        assert asked(12.5) == "fail"

    def test_a_drain_that_the_store_takes_late_tells_the_state_as_it_was(self):
        def told(**more: object) -> str:
            story = Story().asks("w1", 1, ("a", Outcome.FAILURE)).asks("w1", 1.5, ("a", Outcome.FAILURE)).opens("w1", 2)
            story.told("w2", 2.1, 1, move=(C, O))
            says(story, 3, "drain", worker="w2")
            story.moves("w1", 8, O, H, Cause.PROBE_GRANTED).moves("w1", 8.1, H, C, Cause.PROBE_SUCCEEDED)
            story.told("w2", 9, 2, origin="w2", via="reply", accepted=True, mode=Mode.DRAIN, **more)
            return story.check("legal-transitions").verdict

        assert told() == "pass"
        assert told(reported=True) == "fail"

    def test_who_had_its_clock_moved_does_not_know_how_old_its_own_finding_is(self):
        def told(moved: str) -> str:
            jump = {
                "at": "3s",
                "target": "clock",
                "inject": "jump",
                "by": "5s",
                "way": "behind",
                "workers": f"1.{moved[1]}",
            }
            story = Story(jump).fault(on=(moved,)).opens("w1", 2).opens("w2", 2.1)
            for n, worker in enumerate(("w1", "w1", "w2", "w2")):
                story.asks(worker, 1 + n / 10, ("a", Outcome.FAILURE))
            story.moves("w2", 8, O, H, Cause.PROBE_GRANTED).moves("w2", 8.1, H, C, Cause.PROBE_SUCCEEDED)
            story.told("w2", 8.2, 1, C, origin="w2", via="reply", accepted=True)
            return story.told("w1", 9, 2, via="reply", accepted=True).check("legal-transitions").verdict

        assert told("w1") == "pass"
        assert told("w3") == "fail"

    def test_a_word_that_the_store_has_taken_excuses_nothing(self):
        story = Story().asks("w1", 1, ("a", Outcome.FAILURE)).asks("w1", 1.5, ("a", Outcome.FAILURE)).opens("w1", 2)
        says(story.told("w2", 2.1, 1, move=(C, O)), 3, "drain", worker="w2")
        story.told("w2", 3.1, 2, origin="w2", via="reply", accepted=True, mode=Mode.DRAIN)
        story.moves("w1", 8, O, H, Cause.PROBE_GRANTED).moves("w1", 8.1, H, C, Cause.PROBE_SUCCEEDED)
        story.told("w2", 9, 3, origin="w2", via="reply", accepted=True, mode=Mode.DRAIN)
        assert story.check("legal-transitions").verdict == "fail"

    def test_a_reset_ends_it(self):
        story = says(forced_open(), 12, "reset", 0.0).moves("w1", 12, O, C, Cause.RESET)
        story.opens("w1", 13, failure_count=2).moves("w1", 18, O, H, Cause.PROBE_GRANTED)
        story.asks("w1", 12.2, ("a", Outcome.FAILURE)).asks("w1", 12.6, ("a", Outcome.FAILURE))
        assert story.check("legal-transitions").verdict == "pass"

    def test_an_old_record_does_not_end_what_this_worker_was_told_itself(self):
        story = forced_open().told("w1", 11, 1, O, mode=Mode.NORMAL)
        assert story.moves("w1", 15, O, H, Cause.PROBE_GRANTED).check("legal-transitions").verdict == "fail"


class TestRefuseWhenOpen:
    def test_a_drained_provider_may_be_asked_as_the_last_resort(self):
        story = request(says(Story(), 10, "drain"), 12, "a", last_resort=True)
        finding = story.check("refuse-when-open")
        assert (finding.verdict, finding.checked) == ("pass", 1)

    def test_and_otherwise_not(self):
        assert request(says(Story(), 10, "drain"), 12, "a").check("refuse-when-open").verdict == "fail"

    def test_after_its_time_it_may(self):
        assert request(says(Story(), 10, "drain"), 21, "a").check("refuse-when-open").verdict == "unknown"

    def test_who_was_told_how_long_learns_no_other_end_from_a_late_echo_of_it(self):
        def asked(at: float) -> str:
            story = says(Story(), 10, "drain")
            story.told(
                "w1", 10.5, 1, C, origin="w1", via="reply", accepted=True, mode=Mode.DRAIN, held_s=10.0, note="n"
            )
            return request(story, at, "a").check("refuse-when-open").verdict

        assert asked(20.2) == "unknown"
        assert asked(19.8) == "fail"

    def test_a_request_that_spared_it_was_an_occasion(self):
        finding = request(says(Story(), 10, "drain"), 12, "b", **spares("drain")).check("refuse-when-open")
        assert (finding.verdict, finding.checked) == ("pass", 1)


class TestPriorityOrder:
    def test_a_drained_provider_is_rightly_spared(self):
        story = says(Story(), 10, "drain")
        assert request(story, 12, "b", **spares("drain")).check("priority-order").verdict == "pass"

    @pytest.mark.parametrize(("reported", "verdict"), [(True, "pass"), (False, "fail")])
    def test_what_its_report_opened_answers_no_word_of_the_operator(self, reported, verdict):
        story = says(Story(), 10, "drain").told(
            "w1", 11, 1, C, origin="w1", via="reply", accepted=True, reported=reported
        )
        assert request(story, 12, "b", **spares("drain")).check("priority-order").verdict == verdict

    def test_without_a_drain_nobody_may_say_so(self):
        assert request(Story(), 12, "b", **spares("drain")).check("priority-order").verdict == "fail"

    def test_another_worker_must_have_heard_of_it(self):
        unheard = says(Story(), 10, "drain")
        assert request(unheard, 12, "b", worker="w2", **spares("drain")).check("priority-order").verdict == "fail"
        heard = says(Story(), 10, "drain").told("w2", 10.1, 1, C, mode=Mode.DRAIN, held_s=9.9)
        assert request(heard, 12, "b", worker="w2", **spares("drain")).check("priority-order").verdict == "pass"

    def test_a_ramp_spares_only_while_it_lasts(self):
        def story() -> Story:
            story = Story(breaker={"failure_threshold": 2, "reset_timeout": "5s", "ramp": "4s"})
            story.opens("w1", 1).moves("w1", 6, O, H, Cause.PROBE_GRANTED)
            return story.moves("w1", 7, H, C, Cause.PROBE_SUCCEEDED)

        assert request(story(), 10, "b", **spares("ramp")).check("priority-order").verdict == "pass"
        assert request(story(), 12, "b", **spares("ramp")).check("priority-order").verdict == "fail"
        assert request(story(), 10, "b", **spares("drain")).check("priority-order").verdict == "fail"

    def test_the_last_resort_is_asked_only_if_nobody_else_is_there(self):
        story = request(says(Story(), 10, "drain"), 12, "a", last_resort=True)
        assert story.check("priority-order").verdict == "fail"  # b was CLOSED, and nobody spared it
        story = says(Story(), 10, "drain").opens("w1", 11, provider="b")
        assert request(story, 12, "a", last_resort=True).check("priority-order").verdict == "pass"


class TestRecovers:
    def test_a_worker_that_still_refuses_after_an_operators_time_is_in_breach(self):
        def story(last: float) -> Story:
            story = Story(OPEN).fault(on=("w1",)).moves("w1", 10, C, O, Cause.FORCED_OPEN, open_for_s=10.0)
            return request(story, last, "b", **spares("open"))

        assert story(59).check("recovers").verdict == "fail"
        assert story(15).check("recovers").verdict == "unknown"

    def test_who_is_spared_is_not_refused(self):
        story = Story(OPEN).fault(on=("w1",)).moves("w1", 10, C, O, Cause.FORCED_OPEN, open_for_s=10.0)
        story.moves("w1", 21, O, H, Cause.PROBE_GRANTED).moves("w1", 21.2, H, C, Cause.PROBE_SUCCEEDED)
        assert request(request(story, 22, "a"), 59, "b", **spares("ramp")).check("recovers").verdict == "pass"


def test_holds_owe_what_they_claim_to_test():
    assert owed(Story(OPEN).fault(on=("w1",)).case()) == {"refuse-when-open", "recovers"}
    assert owed(Story(DRAIN).fault(on=("w1",)).case()) == {"refuse-when-open"}


def test_a_drain_excuses_no_failed_request():
    def failing(fault: dict[str, str]) -> str:
        story = Story(fault, OPEN | {"target": "provider/b", "inject": "error"}).fault(0, on=("w1",)).fault(1)
        if fault is OPEN:
            story.moves("w1", 10, C, O, Cause.FORCED_OPEN, open_for_s=10.0)
        story.serves("w1", 1)
        return story.asks("w1", 12, ("b", Outcome.FAILURE)).check("no-failure-while-served").verdict

    assert failing(DRAIN) == "fail"
    assert failing(OPEN) == "pass"


def test_the_shares_of_a_ramp_are_measured():
    story = Story(breaker={"failure_threshold": 2, "reset_timeout": "5s", "ramp": "4s"})
    story.opens("w1", 1).moves("w1", 6, O, H, Cause.PROBE_GRANTED).moves("w1", 7, H, C, Cause.PROBE_SUCCEEDED)
    request(story, 7.5, "b", **spares("ramp"))
    request(story, 8.5, "a")
    request(story, 10.0, "a")
    request(story, 10.5, "a", last_resort=True)
    figures = measure(story.case())
    assert (figures["ramp_spared"], figures["last_resorts"]) == (1, 1)
    assert (figures["ramp_share.early"], figures["ramp_share.late"]) == (0.5, 1.0)
    assert measure(Story().case())["ramp_share.early"] is None


class TestAMovedClock:
    """A hold ends by its worker's own clock, which a fault may have moved."""

    DRIFT: ClassVar[dict[str, object]] = {
        "at": "5s", "for": "4s", "target": "clock", "inject": "drift", "rate": 1.2, "workers": "1.1",
    }  # fmt: skip

    def story(self, on: str) -> Story:
        return Story(self.DRIFT | {"workers": f"1.{on[1]}"}).fault(on=(on,))

    def test_a_hold_of_that_worker_is_not_held_against_another_clock(self):
        asked = request(says(self.story("w1"), 10, "drain"), 19, "a")
        assert asked.check("refuse-when-open").why == "vacuous"
        spared = request(says(self.story("w1"), 10, "drain"), 21, "b", **spares("drain"))
        assert spared.check("priority-order").verdict == "pass"
        probed = says(self.story("w1"), 10, "open").moves("w1", 10, C, O, Cause.FORCED_OPEN, open_for_s=10.0)
        assert probed.moves("w1", 19, O, H, Cause.PROBE_GRANTED).check("legal-transitions").verdict == "pass"

    def test_the_others_are_judged_as_ever(self):
        asked = request(says(self.story("w2"), 10, "drain"), 19, "a")
        assert asked.check("refuse-when-open").verdict == "fail"
        spared = request(says(self.story("w2"), 10, "drain"), 21, "b", **spares("drain"))
        assert spared.check("priority-order").verdict == "fail"
        probed = says(self.story("w2"), 10, "open").moves("w1", 10, C, O, Cause.FORCED_OPEN, open_for_s=10.0)
        assert probed.moves("w1", 19, O, H, Cause.PROBE_GRANTED).check("legal-transitions").verdict == "fail"

    def test_a_clock_that_was_moved_does_not_make_a_drain(self):
        assert request(self.story("w1"), 12, "b", **spares("drain")).check("priority-order").verdict == "fail"


def test_who_opens_by_itself_keeps_to_the_cap_of_its_cause():
    def opened(for_s: float, cause: Cause = Cause.RETRY_AFTER) -> str:
        capped = {"reset_timeout": "5s", "max_reset_timeout": "9s", "max_retry_after": "10s", "misconfigured_for": "8s"}
        story = Story(breaker=capped).moves("w1", 1, C, O, cause, open_for_s=for_s)
        return story.check("legal-transitions").verdict

    caps = {Cause.RETRY_AFTER: 10.0, Cause.MISCONFIGURED: 8.0, Cause.SLOW_RATE: 9.0}
    for cause, most_s in caps.items():
        assert (opened(most_s, cause), opened(most_s + 0.1, cause)) == ("pass", "fail")
    assert opened(60.0, Cause.FORCED_OPEN) == "pass"
