"""Every seed is a scenario that can be written to a file, and the same one every time."""

from typing import get_args

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import scenario_file
from harness.campaign.command import find
from harness.campaign.draw import draw
from harness.campaign.one import simulate
from harness.campaign.plan import load
from harness.campaign.spread import Spread
from harness.checkers import CHECKERS
from harness.coverage import PATH_IDS
from harness.faults import KINDS, EventName, Moment, Role
from harness.metrics import METRICS
from tests.harness.campaign.plans import parse

COUNT = Spread.model_validate("2..5")
CI = load(find("ci"), PATH_IDS, [c.id for c in CHECKERS])


ANCHORED = CI.model_copy(
    update={"faults": CI.faults.model_copy(update={"after": 0.7, "every": 0.3, "ends": 0.3, "count": COUNT})}
)
"""Nearly all faults but the first wait for something."""


@settings(deadline=None)
@given(st.sampled_from([CI, ANCHORED]), st.integers(0, 2**40))
def test_a_drawn_scenario_passes_through_a_file_unchanged(plan, seed):
    scenario = draw(plan, seed)
    text = yaml.safe_dump(scenario.model_dump(mode="json", by_alias=True, exclude_none=True))
    assert scenario_file.parse(text, "drawn.yaml", METRICS, [c.id for c in CHECKERS]) == scenario


@settings(deadline=None)
@given(st.sampled_from([parse(), CI, ANCHORED]), st.integers(0, 2**40))
def test_all_faults_are_over_before_the_liveness_phase(plan, seed):
    scenario = draw(plan, seed)
    quiet = plan.liveness.numbers[0]
    assert all(fault.until(scenario.duration) <= scenario.duration - quiet + 1e-6 for fault in scenario.faults)
    assert all(isinstance(fault.until_, float) for fault in scenario.faults if fault.after or fault.every)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**40))
def test_nothing_is_in_effect_in_the_liveness_phase_whatever_is_waited_for(seed):
    scenario = draw(ANCHORED, seed)
    case = simulate(scenario, seed).case
    begins_s = scenario.duration - ANCHORED.liveness.numbers[0]
    assert all(window.end <= begins_s + 1e-6 for window in case.windows)


def test_faults_wait_for_each_kind_of_event_and_mostly_not_in_vain():
    drawn = [draw(ANCHORED, seed) for seed in range(400)]
    waiting = [fault for scenario in drawn for fault in scenario.faults if fault.after]
    assert {fault.after.event for fault in waiting} == set(get_args(EventName))
    assert {some.role for f in waiting if (some := f.workers_choice)} == {None, *get_args(Role)}
    assert any(fault.every for scenario in drawn for fault in scenario.faults)
    assert any(isinstance(fault.until_, Moment) for scenario in drawn for fault in scenario.faults)


def test_what_is_waited_for_mostly_comes():
    waited = came = 0
    for seed in range(40):
        ran = simulate(draw(ANCHORED, seed), seed)
        waiting = {index for index, fault in enumerate(ran.scenario.faults) if fault.after}
        waited += len(waiting)
        came += len(waiting & {window.index for window in ran.case.windows})
    assert came > 0.7 * waited > 0


def test_a_chain_is_named_and_nothing_else_is():
    for seed in range(60):
        faults = draw(ANCHORED, seed).faults
        meant = {fault.after.fault for fault in faults if fault.after} | {
            fault.until_.fault for fault in faults if isinstance(fault.until_, Moment)
        }
        assert {fault.id for fault in faults} - {None} == meant - {None}


def test_the_same_seed_is_the_same_scenario_and_another_seed_another():
    assert draw(CI, 7) == draw(CI, 7)
    assert draw(CI, 7) != draw(CI, 8)
    assert draw(ANCHORED, 7) == draw(ANCHORED, 7)


def test_every_kind_of_fault_is_drawn_sooner_or_later():
    drawn = {f"{fault.of}/{fault.name}" for seed in range(400) for fault in draw(CI, seed).faults}
    assert drawn == {f"{kind.of}/{kind.name}" for kind in KINDS if "sim" in kind.worlds} - set(CI.faults.without)


def test_parameters_are_drawn_as_the_plan_says():
    statuses = {fault.status for seed in range(400) for fault in draw(CI, seed).faults if fault.name == "error"}
    assert {500, 529, 401} <= statuses
