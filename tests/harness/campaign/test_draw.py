"""Every seed is a scenario that can be written to a file, and the same one every time."""

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import scenario_file
from harness.campaign.command import find
from harness.campaign.draw import draw
from harness.campaign.plan import load
from harness.checkers import CHECKERS
from harness.coverage import PATH_IDS
from harness.faults import KINDS
from harness.metrics import METRICS
from tests.harness.campaign.plans import parse

CI = load(find("ci"), PATH_IDS, [c.id for c in CHECKERS])


@settings(deadline=None)
@given(st.integers(0, 2**40))
def test_a_drawn_scenario_passes_through_a_file_unchanged(seed):
    scenario = draw(CI, seed)
    text = yaml.safe_dump(scenario.model_dump(mode="json", by_alias=True, exclude_none=True))
    assert scenario_file.parse(text, "drawn.yaml", METRICS, [c.id for c in CHECKERS]) == scenario


@settings(deadline=None)
@given(st.integers(0, 2**40))
def test_all_faults_are_over_before_the_liveness_phase(seed):
    plan = parse()
    scenario = draw(plan, seed)
    quiet = plan.liveness.numbers[0]
    assert scenario.faults
    assert all(fault.until(scenario.duration) <= scenario.duration - quiet + 1e-6 for fault in scenario.faults)


def test_the_same_seed_is_the_same_scenario_and_another_seed_another():
    assert draw(CI, 7) == draw(CI, 7)
    assert draw(CI, 7) != draw(CI, 8)


def test_every_kind_of_fault_is_drawn_sooner_or_later():
    drawn = {f"{fault.of}/{fault.name}" for seed in range(400) for fault in draw(CI, seed).faults}
    assert drawn == {f"{kind.of}/{kind.name}" for kind in KINDS if "sim" in kind.worlds} - set(CI.faults.without)


def test_parameters_are_drawn_as_the_plan_says():
    statuses = {fault.status for seed in range(400) for fault in draw(CI, seed).faults if fault.name == "error"}
    assert {500, 529, 401} <= statuses
