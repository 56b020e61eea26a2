"""What the strategies draw is valid, within its bounds, of every kind, and shrinks to what matters."""

import pytest
import yaml
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from flexiai.types import BreakerConfig, RequestConfig, SyncConfig
from harness import scenario_file
from harness.campaign.command import find as plan_named
from harness.campaign.one import simulate
from harness.campaign.plan import load
from harness.checkers import CHECKERS
from harness.coverage import PATH_IDS
from harness.faults import KINDS
from harness.metrics import METRICS
from harness.scenario import RedisSpec, Scenario, Topology
from harness.strategies import SMALL, breakers, faults, one_fault, scenarios, seeds, values

INVARIANTS = [checker.id for checker in CHECKERS]
CI = load(plan_named("ci"), PATH_IDS, INVARIANTS)
SIMULATED = [kind for kind in KINDS if "sim" in kind.worlds]
FIND = settings(max_examples=500, database=None, derandomize=True)
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
WORLD = scenario_file.parse(
    """\
name: fleet
description: Two instances.
duration: 4s
topology: {instances: 3, workers: 2}
providers: [{name: openai}, {name: mistral, priority: 2}]
load: [{arrival: constant, rate: 4/s}]
""",
    "fleet.yaml",
    METRICS,
    INVARIANTS,
)


def through_a_file(scenario):
    text = yaml.safe_dump(scenario.model_dump(mode="json", by_alias=True, exclude_none=True))
    return scenario_file.parse(text, "drawn.yaml", METRICS, INVARIANTS)


@FEW
@given(scenario=scenarios())
def test_a_drawn_scenario_can_be_pasted_from_what_hypothesis_prints(scenario):
    assert eval(repr(scenario), {"Scenario": Scenario}) == scenario
    assert "None" not in repr(scenario)


@FEW
@given(scenarios())
def test_a_drawn_scenario_passes_through_a_file_unchanged(scenario):
    assert through_a_file(scenario) == scenario


@FEW
@given(scenarios(CI))
def test_a_campaign_files_bounds_serve_as_well(scenario):
    assert through_a_file(scenario) == scenario
    assert 2 <= len(scenario.providers) <= 3
    assert 0.3 <= scenario.breaker.reset_timeout_s <= 1.0
    assert not {f"{fault.of}/{fault.name}" for fault in scenario.faults} & set(CI.faults.without)


@pytest.mark.parametrize("kind", SIMULATED, ids=lambda kind: f"{kind.of}-{kind.name}")
def test_every_kind_of_the_vocabulary_is_drawn_and_valid(kind):
    @settings(max_examples=20, deadline=None)
    @given(one_fault(kind, WORLD, until_s=2.5))
    def valid(fault):
        scenario = WORLD.model_copy(update={"faults": (fault,)})
        assert through_a_file(scenario) == scenario
        assert type(fault) is kind
        assert fault.until(WORLD.duration) <= 2.5 + 1e-9

    valid()


@FEW
@given(st.sampled_from([1.0, 2.0, 4.0]).flatmap(lambda end: st.tuples(st.just(end), faults(WORLD, until_s=end))))
def test_faults_are_over_in_time_and_in_the_order_in_which_they_begin(drawn):
    end, some = drawn
    assert all(fault.until(WORLD.duration) <= end + 1e-9 for fault in some)
    at = [fault.at for fault in some if fault.after is None]
    assert at == sorted(at)


def test_some_wait_for_what_others_bring_about():
    found = find(faults(WORLD, CI, until_s=4.0), lambda some: any(f.after for f in some), settings=FIND)
    assert len(found) == 2
    assert found[1].until_ == 4.0


@FEW
@given(breakers(SMALL))
def test_settings_lie_within_the_plan(breaker):
    assert 0.2 <= breaker.reset_timeout_s <= 0.6
    assert breaker.reset_timeout_s <= breaker.max_reset_timeout_s <= 1.0


@FEW
@given(st.sampled_from([SMALL.breaker["reset_timeout"], CI.load.rate, CI.sync["lease"], CI.providers.tail]), st.data())
def test_a_value_of_a_spread_lies_between_its_ends(spread, data):
    low, high = spread.numbers
    written = str(data.draw(values(spread)))
    read = type(spread).model_validate(written).numbers[0]
    assert low * 0.999 <= read <= high * 1.001


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(scenarios(), seeds())
def test_a_drawn_scenario_runs_the_same_way_twice_and_violates_nothing(scenario, seed):
    first, second = simulate(scenario, seed), simulate(scenario, seed)
    assert first.broke is None
    assert first.judged.verdict != "fail", first.judged.reason
    assert first.history.sha256() == second.history.sha256()


ALONE = Topology(instances=1, workers=1)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scenarios(topology=st.just(ALONE), faults=st.just(())))
def test_a_part_may_be_given(scenario):
    assert scenario.topology == ALONE
    assert scenario.faults == ()


FEW_KINDS = SMALL.model_copy(
    update={"faults": SMALL.faults.model_copy(update={"kinds": ("provider/error", "redis/kill", "redis/flush")})}
)
FIXED = {
    "breaker": BreakerConfig(),
    "request": RequestConfig(),
    "sync": SyncConfig(),
    "redis": RedisSpec(),
    "load": WORLD.load,
}


def test_examples_shrink_to_the_fault_that_matters_in_the_smallest_fleet():
    drawn = scenarios(FEW_KINDS, **{part: st.just(value) for part, value in FIXED.items()})
    found = find(drawn, lambda s: any(fault.name == "kill" for fault in s.faults), settings=FIND)
    assert [fault.name for fault in found.faults] == ["kill"]
    assert (found.faults[0].at, found.faults[0].every) == (0.2, None)
    assert found.topology == ALONE
    assert len(found.providers) == 1


def test_of_faults_only_those_stay_that_are_wanted():
    found = find(faults(WORLD, FEW_KINDS), lambda some: {"error", "flush"} <= {f.name for f in some}, settings=FIND)
    assert sorted(fault.name for fault in found) == ["error", "flush"]
