"""JUnit XML of a run: every verdict is a test case, and unknown never looks like pass."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from made_history import a_scenario, a_view, all_failed, an_outage

from harness.history import History
from reports.junit import junit
from reports.view import RunView


@pytest.fixture(scope="module")
def outage() -> RunView:
    scenario = a_scenario(1, 3, "30/s")
    return a_view(scenario, an_outage(scenario))


def suite_of(view: RunView) -> ElementTree.Element:
    suite = ElementTree.fromstring(junit(view)).find("testsuite")
    assert suite is not None
    return suite


def case_of(suite: ElementTree.Element, group: str, name: str) -> ElementTree.Element:
    found = (
        c for c in suite.iter("testcase") if c.get("classname", "").endswith(f".{group}") and c.get("name") == name
    )
    return next(found)


def test_there_is_a_case_for_each_invariant_expectation_and_fault(outage: RunView) -> None:
    suite = suite_of(outage)
    judged = outage.judgement
    wanted = 1 + len(judged.findings) + len(judged.expectations) + len(judged.faults)
    assert len(suite.findall("testcase")) == wanted == int(suite.get("tests", "0"))
    assert all(case_of(suite, "invariant", finding.id) is not None for finding in judged.findings)
    assert case_of(suite, "fault", "1 openai: error 503").find("skipped") is None


def test_the_counts_are_those_of_the_elements(outage: RunView) -> None:
    down = a_scenario(1, 2, "10/s", faults=[])
    for view in (outage, a_view(down, all_failed(down)), a_view(a_scenario(), History([]))):
        suite = suite_of(view)
        for attribute, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.get(attribute, "-1")) == len(list(suite.iter(element)))


def test_a_failed_expectation_is_a_failure_that_says_what_was_measured() -> None:
    down = a_scenario(1, 2, "10/s", faults=[])
    failure = case_of(suite_of(a_view(down, all_failed(down))), "expectation", "failed_requests == 0").find("failure")
    assert failure is not None
    assert "measured" in failure.get("message", "")


def test_a_run_of_which_nothing_is_known_is_an_error() -> None:
    suite = suite_of(a_view(a_scenario(), History([])))
    assert case_of(suite, "run", "verdict").find("error") is not None


def test_what_xml_cannot_hold_does_not_break_it(outage: RunView) -> None:
    judged = replace(outage.judgement, verdict="fail", reason='bad \x00\x1b[31m <&"> \ud800 end')
    failure = case_of(suite_of(replace(outage, judgement=judged)), "run", "verdict").find("failure")
    assert failure is not None
    assert failure.get("message", "").endswith('<&"> \ufffd end')
