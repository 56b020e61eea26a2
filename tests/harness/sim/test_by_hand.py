"""A world that is moved by hand leaves a scenario and a history like any other."""

import pytest
import yaml

from harness import scenario_file
from harness.campaign.one import simulate
from harness.checkers import CHECKERS, Case
from harness.faults import kinds_of
from harness.history import FaultHealed, FaultInjected, RequestSent, RunEnded, WorkerDown
from harness.metrics import METRICS
from harness.sim.by_hand import ByHand
from harness.verdict import judge_case
from tests.harness.small import SMALL

SCENARIO = scenario_file.parse(SMALL, "small.yaml", METRICS, [c.id for c in CHECKERS]).model_copy(update={"expect": ()})


def fault(target, inject, **parameters):
    kind = kinds_of(target.partition("/")[0])[inject]
    return kind.model_validate({"at": "0s", "target": target, "inject": inject, **parameters})


@pytest.fixture
def outage():
    """An outage of a second, a kill in it, and a burst."""
    hand = ByHand(SCENARIO, seed=3)
    hand.wait(0.5)
    broken = hand.inject(fault("provider/openai", "error"))
    hand.wait(0.5)
    hand.inject(fault("worker", "kill", workers="1.2"))
    hand.send(20, within_s=0.5)
    hand.wait(0.5)
    hand.heal(broken)
    return hand.end(settle_s=4.0)


def test_what_was_told_happened_when_it_was_told(outage):
    case = Case(outage.scenario, 3, outage.history)
    assert [(round(e.t, 2), e.inject) for e in case.all(FaultInjected)] == [(0.5, "error"), (1.0, "kill")]
    assert [round(e.t, 2) for e in case.all(FaultHealed)] == [1.5]
    assert next(e for e in case.all(WorkerDown)).how == "killed"
    assert sum(e.request.startswith("r1-") for e in case.all(RequestSent)) == 20
    assert case.all(RunEnded)[-1].complete
    assert max(e.t for e in case.all(RequestSent)) <= outage.scenario.duration


def test_it_is_judged_as_any_run(outage):
    judged = judge_case(Case(outage.scenario, 3, outage.history))
    assert judged.verdict == "pass", judged.reason
    held = {f.id for f in judged.findings if f.verdict == "pass"}
    assert {"refuse-when-open", "recovers", "converges"} <= held
    assert all(f.evidence for f in judged.faults)


def test_what_was_told_is_a_scenario_that_can_be_written_to_a_file_and_run(outage):
    text = yaml.safe_dump(outage.scenario.model_dump(mode="json", by_alias=True, exclude_none=True))
    again = scenario_file.parse(text, "told.yaml", METRICS, [c.id for c in CHECKERS])
    assert again == outage.scenario
    ran = simulate(again, 3)
    assert ran.judged.verdict == "pass", ran.judged.reason
    assert len(ran.case.all(RequestSent)) == len(list(outage.history.all(RequestSent)))


def test_the_same_hand_makes_the_same_history():
    def told():
        hand = ByHand(SCENARIO, seed=4)
        hand.inject(fault("redis", "kill"))
        hand.wait(1.0)
        return hand.end(settle_s=1.0).history.sha256()

    assert told() == told()


def test_what_cannot_both_be_is_refused_until_the_first_has_healed():
    hand = ByHand(SCENARIO, seed=5)
    first = hand.inject(fault("redis", "kill"))
    assert not hand.can(fault("redis", "pause"))
    with pytest.raises(ValueError, match="cannot be beside"):
        hand.inject(fault("redis", "pause"))
    hand.heal(first)
    with pytest.raises(ValueError, match="not in effect"):
        hand.heal(first)
    assert hand.standing == {}
    hand.inject(fault("redis", "pause"))
    assert len(hand.end().scenario.faults) == 2
