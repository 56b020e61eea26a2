"""`bounded`, as far as a history shows it: no exception of a worker goes unobserved.

Only the simulation hears of exceptions that nobody awaited (`worker.trouble`), from each of its workers. For real they
are in the workers' own logs, beside the report: a run in which nobody listened has no occasion.
"""

from __future__ import annotations

from flexiai.events import RequestStarted
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.history import RunStarted, WorkerTrouble


def look(case: Case, tally: Tally) -> None:
    """Every worker that had something to do and was listened to."""
    troubles = case.all(WorkerTrouble)
    listened = any(started.mode == "sim" for started in case.all(RunStarted))
    busy = {started.worker for started in case.all(RequestStarted)}
    tally.checked += len(busy) if listened else len(troubles)
    for trouble in troubles:
        text = f"an exception of {trouble.worker} was observed by nobody: {trouble.error}"
        tally.violate(trouble.t, text, trouble, worker=trouble.worker)


CHECKER = Checker(
    id="bounded",
    holds="No exception of a worker goes unobserved.",
    vacuous="nobody listened for exceptions that nobody awaited",
    look=look,
)
