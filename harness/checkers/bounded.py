"""`bounded`, as far as a history shows it: no exception goes unobserved, and a silent store is not hammered.

* Only the simulation hears of exceptions that nobody awaited (`worker.trouble`), from each of its workers. For real
  they are in the workers' own logs, beside the report: a run in which nobody listened has no occasion.
* What a worker could not tell the store it tells again with a growing pause: in any second at most TRIES, and one for
  each of its own changes meanwhile.
"""

from __future__ import annotations

from collections import deque

from flexiai.events import ProposalSent, RequestStarted
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.history import RunStarted, WorkerTrouble

TRIES = 30
"""From the shortest backoff that is sensible (50 ms, halved by jitter) on, far fewer fit into a second."""


def look(case: Case, tally: Tally) -> None:
    """Every worker that had something to do and was listened to, and every proposal."""
    _troubles(case, tally)
    _tellings(case, tally)


def _tellings(case: Case, tally: Tally) -> None:
    recent: dict[tuple[str, str], deque[ProposalSent]] = {}
    for sent in case.all(ProposalSent):
        tally.checked += 1
        told = recent.setdefault((sent.worker, sent.provider), deque())
        told.append(sent)
        while told[0].t < sent.t - 1.0:
            told.popleft()
        if len(told) > TRIES:
            changes = case.index.transitions.get((sent.worker, sent.provider), [])
            if len(told) > TRIES + sum(told[0].t <= c.t <= sent.t for c in changes):
                text = f"{sent.worker} told the store {len(told)} times in a second of {sent.provider}"
                tally.violate(sent.t, text, told[0], sent, worker=sent.worker, provider=sent.provider)
                told.clear()


def _troubles(case: Case, tally: Tally) -> None:
    troubles = case.all(WorkerTrouble)
    listened = any(started.mode == "sim" for started in case.all(RunStarted))
    busy = {started.worker for started in case.all(RequestStarted)}
    tally.checked += len(busy) if listened else len(troubles)
    for trouble in troubles:
        text = f"an exception of {trouble.worker} was observed by nobody: {trouble.error}"
        tally.violate(trouble.t, text, trouble, worker=trouble.worker)


CHECKER = Checker(
    id="bounded",
    holds="No exception of a worker goes unobserved, and a store that does not answer is not hammered.",
    vacuous="nobody listened for exceptions that nobody awaited, and nothing was told to the store",
    look=look,
)
