"""`told-again`: what the store could not be told is told again until it has answered.

A worker whose proposal failed sends one again for that provider after its backoff, that is within `reconnect_max` and
`Bounds.prompt`, unless it has meanwhile heard a newer record: then there may be nothing left to tell. Left out: workers
that were frozen or slowed, or had their clock set, or that ended meanwhile.
"""

from __future__ import annotations

from bisect import bisect_right

from flexiai.events import ProposalFailed, ProposalSent
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.index import Key


def look(case: Case, tally: Tally) -> None:
    """Every proposal that failed."""
    failures = case.all(ProposalFailed)
    sent = _times(case) if failures else {}
    within_s = case.scenario.sync.reconnect_max_s + case.bounds.prompt
    for failed in failures:
        times, until = sent.get((failed.worker, failed.provider), []), failed.t + within_s
        at = bisect_right(times, failed.t)
        if not _may_be_judged(case, failed, until) or _heard_more(case, failed, times[at - 1] if at else 0.0, until):
            continue
        tally.checked += 1
        if not any(failed.t <= t <= until for t in times[at - 1 if at else 0 :]):
            text = f"{failed.worker} could not tell the store of {failed.provider}, and did not try again"
            tally.violate(until, text, failed, worker=failed.worker, provider=failed.provider)


def _may_be_judged(case: Case, failed: ProposalFailed, until: float) -> bool:
    life = case.lives[failed.worker]
    ended = until > min(life.gone, case.observed_until)
    return not ended and not case.excuses_slowness(failed.worker, failed.t, until)


def _heard_more(case: Case, failed: ProposalFailed, since: float, until: float) -> bool:
    """Whether a newer record came, from when the proposal was sent on."""
    records = case.index.records.get((failed.worker, failed.provider), [])
    return any(since <= r.t <= until for r in records)


def _times(case: Case) -> dict[Key, list[float]]:
    found: dict[Key, list[float]] = {}
    for sent in case.all(ProposalSent):
        found.setdefault((sent.worker, sent.provider), []).append(sent.t)
    return found


CHECKER = Checker(
    id="told-again",
    holds="What the store could not be told is told again until it has answered.",
    vacuous="no proposal failed on a worker that had time to send it again",
    look=look,
)
