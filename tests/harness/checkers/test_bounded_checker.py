"""`bounded`: an exception that nobody awaited is a violation; where nobody could hear one, nothing was checked."""

from flexiai.events import RequestStarted
from harness.checkers import Case
from harness.checkers.bounded import CHECKER
from harness.history import History, RunStarted, WorkerTrouble, WorkerUp
from tests.harness.histories import scenario


def found(mode, *more):
    entries = [
        WorkerUp(t=-1.0, worker="w", instance=1, slot=1),
        RunStarted(t=0.0, scenario="test", mode=mode, seed=1),
        RequestStarted(t=1.0, worker="w", request="r"),
        *more,
    ]
    return CHECKER.check(Case(scenario(), 1, History.of(entries)))


def test_a_worker_without_trouble_holds():
    assert (found("sim").verdict, found("sim").checked) == ("pass", 1)


def test_an_unobserved_exception_is_a_violation_with_its_proof():
    trouble = WorkerTrouble(t=3.0, worker="w", error="ValueError: x")
    finding = found("sim", trouble)
    assert finding.verdict == "fail"
    assert finding.violations[0].proof == (trouble,)
    assert "ValueError: x" in finding.violations[0].text


def test_where_nobody_listens_nothing_was_checked():
    assert found("real").why == "vacuous"
    assert found("real", WorkerTrouble(t=3.0, worker="w", error="E")).verdict == "fail"
