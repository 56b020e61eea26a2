"""What searches have found and somebody has mended stays mended (docs/found.md)."""

from pathlib import Path

import pytest

from harness import scenario_file
from harness.campaign.one import simulate
from harness.checkers import CHECKERS
from harness.metrics import METRICS

FOUND = sorted((Path(__file__).parents[2] / "scenarios" / "found").glob("*.yaml"))
SEEDS = (1, 7, 18)
INVARIANTS = [checker.id for checker in CHECKERS]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_what_was_found_is_mended(path, seed):
    scenario = scenario_file.parse(path.read_text(), path.name, METRICS, INVARIANTS)
    ran = simulate(scenario, seed, figures=True)
    assert ran.broke is None
    assert ran.judged.verdict == "pass", ran.judged.reason


def test_each_is_told_of_and_nothing_else():
    told = (Path(__file__).parents[2] / "docs" / "found.md").read_text()
    assert [line for line in told.splitlines() if line.startswith("## ")] == [f"## {path.stem}" for path in FOUND]
