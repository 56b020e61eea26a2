"""`news-travels`: a record reaches every connected worker by its notice, not only by the next reading of the store.

An occasion is a record that the store accepted, and another worker that was subscribed from then on. It must apply that
record, or a newer one, by a notice or within `PROMPT_S` (and some round trips to Redis); who learns it later, by
reading, was never told. Left out: workers that a Redis fault, or a way to a new connection, may have kept from the
notice; those that were frozen or blocked; and runs whose store is read so often that the difference is none.
"""

from __future__ import annotations

from flexiai.events import RecordApplied
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.lives import Life
from harness.checkers.spans import meets_any

PROMPT_S = 0.25
TRIPS = 6


def look(case: Case, tally: Tally) -> None:
    """Every accepted record, and every other worker."""
    prompt_s = PROMPT_S + TRIPS * case.scenario.redis.latency.p99
    if case.scenario.sync.reconcile_interval_s < 2 * prompt_s:
        return
    for record in case.all(RecordApplied):
        if record.accepted:
            for life in case.lives.values():
                if life.worker != record.worker and _listens(case, life, record.t, prompt_s):
                    _judge(case, life, record, prompt_s, tally)


def _judge(case: Case, life: Life, record: RecordApplied, prompt_s: float, tally: Tally) -> None:
    applied = case.index.records.get((life.worker, record.provider), [])
    first = next((r for r in applied if r.epoch >= record.epoch), None)
    tally.checked += 1
    if first is not None and (first.via != "read" or first.t <= record.t + prompt_s):
        return
    told = "never did" if first is None else f"did so {first.t - record.t:.2f} s later, by reading"
    text = f"{life.worker} was connected when {record.worker} made record {record.epoch}, and {told}"
    tally.violate(record.t, text, record, first, worker=life.worker, provider=record.provider)


def _listens(case: Case, life: Life, t: float, prompt_s: float) -> bool:
    """Whether nothing kept this worker from a notice at `t`."""
    a, b = t - case.bounds.settle, t + prompt_s
    ups = [at for at, up in life.sync if up and at < t - prompt_s]
    lost = any(ups[-1] < at <= b for at, up in life.sync if not up) if ups else True
    disturbed = meets_any(case.cuts[life.worker], a, b) or any(w.span.meets(a, b) for w in case.redis_windows)
    return not (lost or disturbed or life.gone <= b or case.excuses_slowness(life.worker, t - prompt_s, b))


CHECKER = Checker(
    id="news-travels",
    holds="A record reaches every connected worker by its notice, not only by the next reading of the store.",
    vacuous="no record was made while another worker was connected",
    look=look,
)
