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
        (
            "  for: 300ms",
            "  events: [opened, close]\n  for: 300ms",
            15,
            "faults.events[2]: expected 'opened', 'half_open', ",
        ),
        ("seeds: 60", "seeds: -3", 3, "seeds: expected at least 1, not -3"),
        ("seeds: 60", "seeds: true", 3, "seeds: expected a whole number, not True"),
        ("seeds: 60", "seeds: 1..3", 3, "seeds: expected a whole number, not '1..3'"),
        ("twice: 10%", "twice: 200%", 4, "twice: expected a share, such as 25% or 0.25, not '200%'"),
        ("safety: 1s..2s", "safety: 2s..1s", 5, "safety: expected the lower value first, not '2s..1s'"),
        ("safety: 1s..2s", "safety: -1s..2s", 5, "in one unit and not below 0"),
        ("safety: 1s..2s", "safety: []", 5, "safety: expected a list of values to choose from, not []"),
        ("safety: 1s..2s", "safety:", 5, "safety: expected values such as 200ms..2s, not None"),
        ("topology: {instances: 1, workers: 2}", "topology: [1]", 8, "topology: expected a mapping, not [1]"),
        ("workers: 2}", "workers: 20000}", 8, "topology.workers: expected at most 10000, not 20000"),
        ("workers: 2}", "balancer: rr}", 8, "topology.balancer: expected 'least_conn', 'round_robin' or 'random'"),
        ("rate: 4/s..8/s", "rate: 0/s", 10, "load.rate: expected values above 0, such as 2/s..5/s, not '0/s'"),
        ("closed: 0%", "arrival: poison", 10, "load.arrival: expected 'poisson' or 'constant', not 'poison'"),
        ("closed: 0%", "retry: 0..1000", 10, "load.retry: expected at most 100, not 1000"),
        (
            "failure_threshold: 1..2",
            "failure_threshold: some",
            11,
            "breaker.failure_threshold: expected a whole number",
        ),
        ("max_reset_timeout: 500ms", "max_reset_timeout: 1ms", 11, "max_reset_timeout_s must not be less than"),
        ("kinds: [", "kinds: [3, ", 16, "faults.kinds[1]: expected text, not 3"),
        ("  for: 300ms", "  events: []\n  for: 300ms", 15, "faults.events: expected at least 1 of them, not []"),
        (
            "  for: 300ms",
            "  parameters: {provider/error: {status: 9}}\n  for: 300ms",
            15,
            "status: expected at least 400",
        ),
        (
            "  for: 300ms",
            "  parameters: {provider/error: {share: 300%}}\n  for: 300ms",
            15,
            "expected a share, such as",
        ),
        ("  for: 300ms", "  after: 120%\n  for: 300ms", 15, "faults.after: "),
        ("  for: 300ms", "  every: 5s\n  for: 300ms", 15, "faults.every: expected a share"),
        ("  for: 300ms", "  gap: 1..2\n  for: 300ms", 15, "faults.gap: expected values such as 200ms..2s"),
    ],
)
def test_an_error_names_its_line_and_what_was_expected(old, new, line, message):
    assert old in TINY
    with pytest.raises(ScenarioError) as error:
        parse(TINY.replace(old, new, 1))
    (problem,) = error.value.problems
    assert problem.line == line
    assert message in problem.message


def test_requests_need_not_be_sent_again():
    assert parse(TINY.replace("closed: 0%", "retry: 0..2")).load.retry.numbers == (0, 2)


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
