"""Properties of the judges themselves: no false alarm on orderly fleets, no crash on any history, safe when broken."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexiai.core.circuit import Cause
from flexiai.core.outcome import Outcome
from harness.checkers import CHECKERS, Case, Checker
from harness.checkers.page import page
from harness.history import History
from tests.harness.histories import OUTAGE, C, H, O, Story

WORKERS = ("w1", "w2", "w3")


def orderly(rng: Random) -> Story:
    """A fleet that does all it should: w1 trips, tells the others, probes until `a` is well, tells them again."""
    story = Story(OUTAGE).fault()
    opened, heard = 10.5, {w: 10.5 + rng.uniform(0.001, 0.05) * (w != "w1") for w in WORKERS}
    story.asks("w1", 10.1, ("a", Outcome.FAILURE), ("b", Outcome.SUCCESS))
    story.asks("w1", 10.4, ("a", Outcome.FAILURE), ("b", Outcome.SUCCESS)).opens("w1", opened)
    story.told("w1", opened + 0.001, 1, via="reply", accepted=True)
    closed = 30.0 + rng.uniform(1, 8)
    story.moves("w1", closed - 0.2, O, H, Cause.PROBE_GRANTED, epoch=1).serves("w1", closed - 0.1, probe=True, took=0.1)
    story.moves("w1", closed, H, C, Cause.PROBE_SUCCEEDED, epoch=1).told("w1", closed + 0.001, 2, C)
    for w in ("w2", "w3"):
        story.told(w, heard[w], 1, move=(C, O)).told(w, closed + 0.01, 2, C, move=(O, C))
    for _ in range(60):
        w, t = rng.choice(WORKERS), rng.uniform(0, 60)
        if t < 10 or t > closed + 0.02:
            story.serves(w, t)
        elif heard[w] + 0.001 < t < closed - 0.3:
            story.serves(w, t, "b", skipped=("a",))
    return story


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_an_orderly_fleet_is_never_accused(seed):
    case = orderly(Random(seed)).case()
    assert [f for f in (c.check(case) for c in CHECKERS) if f.verdict == "fail" or f.why == "crashed"] == []


@given(st.integers(0, 2**32), st.lists(st.integers(0, 400), max_size=200))
@settings(max_examples=100, deadline=None)
def test_no_history_however_torn_crashes_a_checker(seed, dropped):
    whole = orderly(Random(seed)).case()
    torn = History([e for n, e in enumerate(whole.history.entries) if n not in set(dropped)])
    case = Case(whole.scenario, 1, torn)
    assert [f.note for f in (c.check(case) for c in CHECKERS) if f.why == "crashed"] == []


@given(st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_a_history_judged_from_its_file_gets_the_same_findings(tmp_path_factory, seed):
    case = orderly(Random(seed)).case()
    path = tmp_path_factory.mktemp("run") / "history.jsonl"
    case.history.write(path)
    again = Case(case.scenario, 1, History.read(path))
    assert [c.check(again) for c in CHECKERS] == [c.check(case) for c in CHECKERS]


def test_a_checker_that_crashes_is_unknown_and_says_why():
    def broken(case, tally):
        tally.checked += 1
        raise KeyError("w9")

    finding = Checker("x", "holds", "vacuous", broken).check(Story().case())
    assert (finding.verdict, finding.why, finding.matters) == ("unknown", "crashed", True)
    assert "KeyError: 'w9'" in finding.note


@pytest.mark.parametrize("found", [1, 60])
def test_a_finding_keeps_the_first_violations_and_counts_all(found):
    story = Story()
    for n in range(found):
        story.serves("w1", found - n, "b")
    finding = story.check("priority-order")
    assert finding.found == found
    assert len(finding.violations) == min(found, 50)
    assert finding.violations[0].t == 1


def test_checkers_have_distinct_ids_and_say_what_must_hold():
    assert len({c.id for c in CHECKERS}) == len(CHECKERS)
    assert all(c.holds.endswith(".") and c.vacuous for c in CHECKERS)


def test_the_page_of_invariants_is_made_of_the_checkers():
    made = Path(__file__).parents[3] / "docs" / "invariants.md"
    assert made.read_text() == page(), "python -m harness.checkers.page > docs/invariants.md"
