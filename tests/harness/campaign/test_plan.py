"""Campaign files: what is wrong with one is told with its line and what was expected."""

import pytest

from harness.campaign.command import find
from harness.campaign.plan import load
from harness.checkers import CHECKERS
from harness.coverage import PATH_IDS
from harness.faults import KINDS
from harness.yaml_file import ScenarioError
from tests.harness.campaign.plans import TINY, parse


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("seeds: 60", "seed: 60", 3, "unknown key 'seed' (did you mean 'seeds'?)"),
        ("safety: 1s..2s", "safety: 1..2", 5, "expected values such as 200ms..2s"),
        ("workers: 2}", "workers: 0..2}", 8, "expected values of at least 1"),
        ("rate: 4/s..8/s", "rates: 4/s", 10, "unknown key 'rates' (did you mean 'rate'?)"),
        ("reset_timeout: 300ms", "reset_tiemout: 300ms", 11, "unknown setting 'reset_tiemout'"),
        ("failure_threshold: 1..2", "failure_threshold: 0..2", 11, "breaker.failure_threshold"),
        ("join_timeout: 200ms", "join_timeout: 2", 12, "'join_timeout': expected durations"),
        ("redis/kill", "redis/kil", 16, "there is no fault 'redis/kil' (did you mean 'redis/kill'?)"),
        ("  for: 300ms", "  must_reach: x\n  for: 300ms", 15, "unknown key 'must_reach'"),
        ("  for: 300ms", "  events: [opened, close]\n  for: 300ms", 15, "input should be 'opened', 'half_open', "),
        ("  for: 300ms", "  after: 120%\n  for: 300ms", 15, "faults.after: "),
        ("  for: 300ms", "  every: 5s\n  for: 300ms", 15, "faults.every: expected a share"),
        ("  for: 300ms", "  gap: 1..2\n  for: 300ms", 15, "faults.gap: expected values such as 200ms..2s"),
    ],
)
def test_an_error_names_its_line_and_what_was_expected(old, new, line, message):
    assert old in TINY
    with pytest.raises(ScenarioError) as error:
        parse(TINY.replace(old, new, 1))
    problem = error.value.problems[0]
    assert problem.line == line
    assert message in problem.message


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("must_reach: [half-open]", "there is no path 'half-open'"),
        ("without: {bound: why}", "there is no invariant 'bound' (did you mean 'bounded'?)"),
        ("  parameters: {provider/error: {state: 500}}", "'provider/error' has no parameter 'state'"),
        ("  without: {provider/eror: none}", "there is no fault 'provider/eror'"),
    ],
)
def test_what_a_campaign_names_must_exist(more, message):
    with pytest.raises(ScenarioError, match=r"test\.yaml:17") as error:
        parse(f"{TINY}{more}\n")
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["ci", "full", "small"])
def test_the_campaigns_that_come_along_are_valid_and_use_every_kind_of_fault_that_can_be_simulated(name):
    plan = load(find(name), PATH_IDS, [c.id for c in CHECKERS])
    simulated = {f"{kind.of}/{kind.name}" for kind in KINDS if "sim" in kind.worlds}
    assert {f"{kind.of}/{kind.name}" for kind in plan.faults.chosen} == simulated - set(plan.faults.without)
