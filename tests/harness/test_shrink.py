"""Shrinking: every move makes a scenario smaller or plainer, and what remains fails the same check."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import scenario_file
from harness.campaign.command import find
from harness.campaign.draw import draw
from harness.campaign.one import simulate
from harness.campaign.plan import load
from harness.checkers import CHECKERS
from harness.coverage import PATH_IDS
from harness.metrics import METRICS
from harness.shrink import document_of, fails, shrink, valid, written
from harness.shrink_moves import MOVES, fewer_faults, fewer_workers, round_times, shorter
from harness.yaml_file import ScenarioError

CI = load(find("ci"), PATH_IDS, [c.id for c in CHECKERS])
OUTAGE = {"at": "1.234s", "for": "2.5s", "target": "provider/a", "inject": "error"}
SMALL = {
    "name": "small",
    "description": "x",
    "duration": "6s",
    "topology": {"instances": 2, "workers": 2},
    "providers": [{"name": "a"}, {"name": "b", "priority": 2}],
    "load": [{"arrival": "poisson", "rate": "8/s"}],
    "faults": [OUTAGE, {"at": "2s", "target": "worker", "inject": "kill", "workers": "3 of 4"}],
}


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32), st.sampled_from(MOVES))
def test_a_move_leaves_the_document_alone_and_yields_others(seed, move):
    document = document_of(draw(CI, seed))
    before = yaml.safe_dump(document)
    for candidate in move(document):
        assert candidate != document
    assert yaml.safe_dump(document) == before


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32))
def test_most_candidates_are_valid_scenarios(seed):
    document = document_of(draw(CI, seed))
    candidates = [c for move in (fewer_faults, fewer_workers, shorter) for c in move(document)]
    refused = 0
    for candidate in candidates:
        try:
            valid(candidate)
        except ScenarioError:
            refused += 1
    assert refused <= len(candidates) / 2


def test_faults_on_some_workers_follow_a_smaller_topology():
    (smallest,) = [c for c in fewer_workers(SMALL) if c["topology"] == {"instances": 2, "workers": 1}]
    assert smallest["faults"][1]["workers"] == "2 of 2"


def test_times_become_round():
    rounded = next(iter(round_times(SMALL)))
    assert rounded["faults"][0]["at"] == "1s"


def a_failing_scenario():
    """Its expectation is missed because of one of its faults alone."""
    more = {
        "faults": [*SMALL["faults"], {"at": "3s", "for": "1s", "target": "redis", "inject": "latency", "add": "5ms"}]
    }
    return valid({**SMALL, **more, "expect": ["failing_attempts == 0"]})


def test_what_is_left_fails_the_same_check_and_is_a_file_to_run():
    shrunk = shrink(a_failing_scenario(), 1)
    assert shrunk is not None
    assert shrunk.check == "failing_attempts == 0"
    assert shrunk.runs <= 200
    assert [f.name for f in shrunk.scenario.faults] == ["error"]
    assert len(shrunk.scenario.topology.places) == 1
    text = written(shrunk, name="found", description="Found.")
    assert text.startswith("# Fails with --seed 1.\n# Not met: failing_attempts == 0\n")
    again = scenario_file.parse(text, "found.yaml", METRICS, [c.id for c in CHECKERS])
    assert fails(simulate(again, shrunk.seed, figures=True), shrunk.check)


def test_a_budget_of_runs_is_kept():
    told = []
    shrunk = shrink(a_failing_scenario(), 1, runs=7, tell=lambda n, s: told.append(n))
    assert shrunk.runs == 7 == told[-1]
    assert fails(shrunk.ran, shrunk.check)


def test_what_fails_nothing_cannot_be_shrunk():
    fine = valid({**SMALL, "expect": ["requests > 0"]})
    assert shrink(fine, 1) is None


def test_an_invalid_document_is_no_candidate():
    with pytest.raises(ScenarioError):
        valid({**SMALL, "duration": "1s"})
