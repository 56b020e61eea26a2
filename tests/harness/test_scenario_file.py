"""A bad scenario file is answered with file, line and what was expected; a good one with what it says."""

from pathlib import Path
from random import Random

import jsonschema
import pytest
import yaml

from harness.faults import KINDS, Some
from harness.scenario import Scenario
from harness.scenario_file import ScenarioError, load, parse

METRICS = {"failed_requests": None, "sync_latency.p99": None}
INVARIANTS = ["converges", "one-outcome"]

GOOD = """\
name: an-outage
description: The primary answers 503.
duration: 60s
topology: {instances: 3, workers: 4}
providers:
  - {name: openai, priority: 1, latency: {median: 120ms, p99: 900ms}}
  - {name: anthropic, priority: 2}
breaker:
  failure_threshold: 5
  reset_timeout: 5s
load:
  - {arrival: poisson, rate: 60/s}
faults:
  - {at: 15s, for: 20s, target: provider/openai, inject: error, status: 503}
  - at: 20s
    for: 5s
    target: redis
    inject: partition
    workers: "2 of 12"
expect:
  - failed_requests == 0
  - sync_latency.p99 < 50ms
without:
  converges: a reason
"""


def problems(text):
    with pytest.raises(ScenarioError) as error:
        parse(text, "x.yaml", METRICS, INVARIANTS)
    return [str(p) for p in error.value.problems]


def test_a_good_file_says_what_it_says():
    s = parse(GOOD, "x.yaml", METRICS, INVARIANTS)
    assert s.breaker.reset_timeout_s == 5.0
    assert s.providers[0].latency.p99 == 0.9
    assert [f.name for f in s.faults] == ["error", "partition"]
    assert [(e.metric, e.op, e.value) for e in s.expect] == [
        ("failed_requests", "==", 0),
        ("sync_latency.p99", "<", 0.05),
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("duration: 60s", "duration: 60", 3, "expected a duration with a unit, such as 15s"),
        ("duration: 60s", "duration: -60s", 3, "expected a duration with a unit"),
        ("topology:", "topolgy:", 4, "unknown key 'topolgy' (did you mean 'topology'?)"),
        ("workers: 4", "workrs: 4", 4, "unknown key 'workrs' (did you mean 'workers'?)"),
        ("instances: 3", "instances: 0", 4, "topology.instances: expected at least 1, not 0"),
        ("p99: 900ms", "p99: 90ms", 6, "p99 must not be less than the median"),
        ("name: anthropic", "name: openai", 7, "the provider 'openai' is given twice"),
        ("failure_threshold", "failure_treshold", 9, "did you mean 'failure_threshold'?"),
        ("reset_timeout: 5s", "reset_timeout: 5", 10, "expected a duration with a unit"),
        ("rate: 60/s", "rate: 60", 12, "expected a rate with a unit, such as 60/s"),
        ("poisson", "poison", 12, "expected 'poisson' or 'constant', not 'poison'"),
        ("at: 15s", "at: -15s", 14, "expected a duration with a unit"),
        ("at: 15s", "at: 61s", 14, "after the run's end at 60s"),
        (
            "inject: error",
            "inject: explode",
            14,
            "unknown fault 'explode' for provider: expected one of capacity, cut, error, error_body, hang",
        ),
        (
            "provider/openai",
            "provider/opnai",
            14,
            "there is no provider 'opnai'; expected provider/ one of openai, anthropic",
        ),
        (
            "target: redis",
            "target: reddis",
            17,
            "unknown target 'reddis': expected one of provider/NAME, redis, worker",
        ),
        ("    for: 5s\n", "", 17, "'partition' needs a time to end: expected 'for'"),
        ("2 of 12", "2 of 11", 19, "'2 of 11': the topology has 12 workers"),
        ("2 of 12", "13 of 12", 19, "expected 1 to 12 workers"),
        ("2 of 12", "some", 19, "expected 'all', 'one', 'K of N', a place such as '1.3', 'opener' or 'probe_holder'"),
        ("failed_requests == 0", "failed_requests = 0", 21, "expected 'metric < value'"),
        (
            "failed_requests == 0",
            "faild_requests == 0",
            21,
            "no metric 'faild_requests' (did you mean 'failed_requests'?)",
        ),
        ("converges:", "convreges:", 24, "there is no invariant 'convreges' (did you mean 'converges'?)"),
        ("description: The primary", "name: twice\ndescription: The primary", 2, "'name' is given twice"),
        ("{instances: 3, workers: 4}", "{instances: 3, workers: 4", 5, "not YAML"),
        ("name: an-outage\n", "", 1, "'name' is missing"),
    ],
)
def test_an_error_names_file_line_and_what_was_expected(old, new, line, says):
    assert old in GOOD
    found = problems(GOOD.replace(old, new, 1))
    assert any(p.startswith(f"x.yaml:{line}: ") and says in p for p in found), found
    assert len(found) == 1, found


def test_every_problem_is_told_in_the_order_of_the_file():
    found = problems(GOOD.replace("60s", "60").replace("4}", "x}").replace("60/s", "60"))
    assert [p.split(":")[1] for p in found] == ["3", "4", "12"]


@pytest.mark.parametrize(
    ("a", "b", "clash"),
    [
        ("{at: 1s, for: 5s, target: redis, inject: kill}", "{at: 3s, for: 5s, target: redis, inject: pause}", True),
        ("{at: 1s, target: redis, inject: kill}", "{at: 50s, for: 5s, target: redis, inject: pause}", True),
        ("{at: 1s, for: 2s, target: redis, inject: kill}", "{at: 3s, for: 5s, target: redis, inject: pause}", False),
        ("{at: 1s, for: 5s, target: provider/openai, inject: hang}", "{at: 3s, target: provider/openai, inject: error}", True),
        ("{at: 1s, for: 5s, target: provider/openai, inject: hang}", "{at: 3s, target: provider/anthropic, inject: error}", False),
        ("{at: 1s, for: 5s, target: redis, inject: kill}", "{at: 3s, target: provider/openai, inject: error}", False),
    ],
)  # fmt: skip
def test_faults_that_cannot_both_be_are_refused(a, b, clash):
    head = GOOD.split("faults:", maxsplit=1)[0]
    text = f"{head}faults:\n  - {a}\n  - {b}\n"
    if clash:
        assert "overlaps with" in problems(text)[0]
        assert problems(text)[0].startswith("x.yaml:15:")
    else:
        assert len(parse(text, "x.yaml", METRICS, INVARIANTS).faults) == 2


@pytest.mark.parametrize(
    "text", ["", "- a\n", "just words", "a: &a [*a]", "\x00", "name: !!python/object:os.system {}"]
)
def test_what_is_no_scenario_at_all_is_refused(text):
    assert problems(text)[0].startswith("x.yaml:1: ")


def test_a_missing_file_is_named_with_its_neighbour(tmp_path):
    (tmp_path / "primary-outage.yaml").write_text(GOOD)
    with pytest.raises(ScenarioError, match=r"primary-outag\.yaml: .*did you mean 'primary-outage\.yaml'"):
        load(tmp_path / "primary-outag.yaml", METRICS, INVARIANTS)


def test_every_faults_own_example_is_a_fault_of_its_kind():
    for kind in KINDS:
        text = GOOD.split("faults:", maxsplit=1)[0] + f"faults:\n  - {kind.example}\n"
        assert type(parse(text, "x.yaml", METRICS, INVARIANTS).faults[0]) is kind


def test_an_expanded_scenario_reads_back_the_same():
    s = parse(GOOD, "x.yaml", METRICS, INVARIANTS)
    assert Scenario.model_validate(yaml.safe_load(yaml.safe_dump(s.model_dump(mode="json", by_alias=True)))) == s


def test_one_seed_draws_the_same_workers_every_time():
    s = parse(GOOD, "x.yaml", METRICS, INVARIANTS)
    assert s.targets_of(1, seed=7) == s.targets_of(1, seed=7)
    assert len(s.targets_of(1, seed=7)) == 2
    assert len({s.targets_of(1, seed=n) for n in range(20)}) > 5


def test_all_means_every_worker_and_a_place_means_that_one():
    places = ((1, 1), (1, 2), (2, 1))
    assert Some(text="all").pick(places, Random(0)) == places
    assert Some(text="1.2", place=(1, 2)).pick(places, Random(0)) == ((1, 2),)


LIBRARY = sorted((Path(__file__).parents[2] / "scenarios").rglob("*.yaml"))


@pytest.mark.parametrize("path", LIBRARY, ids=lambda p: p.stem)
def test_the_published_schema_accepts_every_scenario_of_the_library(path):
    schema = Scenario.model_json_schema(by_alias=True)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(path.read_text()), schema)


@pytest.mark.parametrize(
    ("old", "new"), [("duration: 60s", "duration: 60"), ("reset_timeout: 5s", "reset_timeout_s: 5")]
)
def test_the_published_schema_refuses_what_the_loader_refuses(old, new):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(GOOD.replace(old, new)), Scenario.model_json_schema(by_alias=True))


_A = "{id: a, at: 5s, for: 5s, target: redis, inject: kill}"


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("{target: redis, inject: flush}", "'at' is missing: expected a time, or something to come after"),
        ("{at: 1s, every: 5s, target: redis, inject: latency, add: 1ms}", "expected 'for' too"),
        ("{at: 1s, every: 5s, for: 4s, jitter: 1s, target: redis, inject: latency, add: 1ms}", "must be over before"),
        ("{at: 9s, for: 1s, until: 12s, target: redis, inject: latency, add: 1ms}", "'for' or 'until', not both"),
        ("{at: 9s, until: 9s, target: redis, inject: latency, add: 1ms}", "expected a time after 'at'"),
        ("{after: {event: opened}, until: 3s, at: 3s, target: redis, inject: flush}", "expected a time after 'at'"),
        ("{after: {event: opened}, until: 3s, for: 4s, target: redis, inject: pause}", "it never begins"),
        ("{at: 9s, until: {event: opened}, target: worker, inject: block}", "must know how long it lasts"),
        ("{at: 9s, until: 20s, target: network, inject: swizzle}", "must know how long it lasts"),
        ("{at: 9s, every: 1s, target: worker, inject: late_join, instance: 2}", "instance 2 can join but once"),
        ("{after: {event: healed, fault: b}, target: redis, inject: flush}", "expected fault: one of a"),
        ("{after: {event: opened, provider: acme}, target: redis, inject: flush}", "there is no provider 'acme'"),
        ("{after: {event: opened, fault: a}, target: redis, inject: flush}", "'opened' is of no fault"),
        ("{id: b, after: {event: healed, fault: b}, target: redis, inject: flush}", "it waits for itself"),
        ("{id: a, at: 30s, target: redis, inject: flush}", "the id 'a' is given twice"),
        ("{after: {event: opened}, for: 1s, target: redis, inject: pause}", "'pause' on redis may overlap with 'kill'"),
        ("{after: {event: injected, fault: a}, for: 1s, target: redis, inject: pause}", "may overlap with 'kill'"),
    ],
)
def test_times_that_make_no_sense_are_refused_at_their_line(fault, says):
    head = GOOD.split("faults:", maxsplit=1)[0]
    found = problems(f"{head}faults:\n  - {_A}\n  - {fault}\n")
    line = head.count("\n") + 3
    assert any(p.startswith(f"x.yaml:{line}: ") and says in p for p in found), found


def test_an_instance_joins_but_once():
    head = GOOD.split("faults:", maxsplit=1)[0].replace("workers: 6", "workers: 6, instances: 2")
    join = "{at: 9s, target: worker, inject: late_join, instance: 2}"
    line = head.count("\n") + 3
    (found,) = problems(f"{head}faults:\n  - {join}\n  - {join}\n")
    assert found == f"x.yaml:{line}: instance 2 joins twice: fault 1 lets it join already"


def test_what_waits_but_not_for_ever_cannot_overlap_with_what_comes_later():
    head = GOOD.split("faults:", maxsplit=1)[0]
    waits = "{after: {event: opened}, for: 1s, until: 4s, target: redis, inject: pause}"
    assert len(parse(f"{head}faults:\n  - {_A}\n  - {waits}\n", "x.yaml", METRICS, INVARIANTS).faults) == 2


def test_a_fault_that_comes_after_the_healing_of_another_cannot_overlap_with_it():
    head = GOOD.split("faults:", maxsplit=1)[0]
    b = "{after: {event: healed, fault: a}, at: 1s, for: 1s, target: redis, inject: pause}"
    faults = parse(f"{head}faults:\n  - {_A}\n  - {b}\n", "x.yaml", METRICS, INVARIANTS).faults
    assert faults[1].after is not None
