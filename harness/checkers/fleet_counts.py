"""`fleet-counts`: failures of several workers open a provider together, as soon as there are enough, and not before.

With `evidence: fleet` and no quorum, the results of all workers' attempts on a provider are counted as one sequence, in
the order of their ends. When as many failures as `failure_threshold` stand in a row, seen by more workers than one,
some worker must have opened the provider within `PROMPT_S` and some round trips to Redis, unless an attempt succeeded
meanwhile (or shortly before the row began: whether it came first only the store can say).

And where the store opened it for what workers reported, so many failures must stand: a success ends the row for all
workers, once the store can have been told of it, which takes as long. Which came first, a success or another worker's
failure, only the store can say where they are some round trips apart; a worker's own are in order.

Left out: rows that began, or ended, while a fault stood between any worker and Redis, a worker was frozen or slowed, an
operator spoke (a reset counts anew), or the provider was already held open by somebody.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from flexiai.core.circuit import State
from flexiai.core.outcome import Outcome
from flexiai.events import AttemptEnded, OperatorActed, RecordApplied, Transition
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally

PROMPT_S = 0.25
TRIPS = 8


def look(case: Case, tally: Tally) -> None:
    """Every provider, where failures are counted together."""
    sync = case.scenario.sync
    if not sync.enabled or sync.evidence != "fleet" or sync.open_quorum > 1:
        return
    prompt_s = PROMPT_S + TRIPS * case.scenario.redis.latency.p99
    for provider in case.providers:
        opens = [c.t for c in case.changes(provider) if c.to is State.OPEN]
        for row, after in _rows(case, provider):
            if _undisturbed(case, row, prompt_s) and not _open(case, provider, row):
                tally.checked += 1
                _judge(row, after, opens, prompt_s, tally)
        for record in case.applied(provider):
            if record.accepted and record.reported:
                _reported(case, record, prompt_s, tally)


def _judge(
    row: list[AttemptEnded], after: AttemptEnded | None, opens: list[float], prompt_s: float, tally: Tally
) -> None:
    last = row[-1]
    until = last.t + prompt_s
    opened = bisect_right(opens, until) > bisect_left(opens, row[0].t)
    if opened or (after is not None and after.t <= until):
        return
    workers = len({e.worker for e in row})
    text = f"{len(row)} attempts on {last.provider} in a row had failed on {workers} workers, and nobody opened it"
    tally.violate(last.t, text, *row[-3:], provider=last.provider)


def _reported(case: Case, record: RecordApplied, prompt_s: float, tally: Tally) -> None:
    """The store opened it for failures that had been reported: whether enough of them stood."""
    results = [e for e in case.all(AttemptEnded) if e.provider == record.provider and e.counted and e.t <= record.t]
    known = [e for e in results if e.outcome is Outcome.SUCCESS and e.t <= record.t - prompt_s]
    if not known:
        return
    ended, grace_s = known[-1], TRIPS * case.scenario.redis.latency.p99
    own_ended = {e.worker: e.t for e in known}
    late = [e for e in results if e.outcome.fails_over and e.t > ended.t - grace_s]
    if not _undisturbed(case, [ended, *(late or [ended])], prompt_s):
        return
    tally.checked += 1
    failures = [e for e in late if e.t >= own_ended.get(e.worker, e.t)]
    if len(failures) < case.scenario.breaker.failure_threshold:
        text = f"{record.provider} was opened for failures of several workers, of which {len(failures)} stood in a row"
        tally.violate(record.t, text, ended, *failures, record, worker=record.origin, provider=record.provider)


def _rows(case: Case, provider: str) -> Iterator[tuple[list[AttemptEnded], AttemptEnded | None]]:
    """Each row at the moment at which it is long enough, with the success that ends it, if one does."""
    threshold, grace_s = case.scenario.breaker.failure_threshold, TRIPS * case.scenario.redis.latency.p99
    row: list[AttemptEnded] = []
    ok_at = float("-inf")
    due: list[AttemptEnded] | None = None
    for e in case.all(AttemptEnded):
        if e.provider != provider or not e.counted or e.probe or e.outcome is Outcome.NEUTRAL:
            continue
        if e.outcome is Outcome.SUCCESS:
            if due is not None:
                yield due, e
            row, due, ok_at = [], None, e.t
        elif e.t > ok_at + grace_s:
            row.append(e)
            if len(row) == threshold and len({f.worker for f in row}) > 1:
                due = list(row)
    if due is not None:
        yield due, None


def _undisturbed(case: Case, row: list[AttemptEnded], prompt_s: float) -> bool:
    a, b = row[0].t - case.bounds.settle, row[-1].t + prompt_s
    if b > case.observed_until or row[-1].t - row[0].t > case.scenario.sync.evidence_window_s:
        return False
    workers = {e.worker for e in row}
    lives = [case.lives[w] for w in workers]
    return not (
        any(w.span.meets(a, b) for w in case.redis_windows)
        or any(w.fault.of == "network" and w.span.meets(a, b) for w in case.windows)
        or any(e.provider == row[0].provider and row[0].t - prompt_s <= e.t <= b for e in case.all(OperatorActed))
        or any(case.excuses_slowness(w, row[0].t, b) for w in workers)
        or any(life.gone <= b or life.ready is None or not life.synced for life in lives)
        or any(not up and at <= b and life.up_since(at) is None for life in lives for at, up in life.sync)
    )


def _open(case: Case, provider: str, row: list[AttemptEnded]) -> bool:
    """Whether some worker of the row had left CLOSED during it, or been told to: its count began anew then."""
    changes = [c for c in case.all(Transition) if c.provider == provider]
    moved = any(row[0].t <= c.t < row[-1].t for c in changes)
    return moved or any(case.state(e.worker, provider, row[0].t) is not State.CLOSED for e in row)


CHECKER = Checker(
    id="fleet-counts",
    holds="Failures of several workers open a provider together, once enough of them stand in a row, and not before.",
    vacuous="no row of failures was spread over several workers that could tell each other",
    look=look,
)
