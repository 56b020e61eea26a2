"""`news-travels`: a record reaches every connected worker by its notice, or, if that is lost, by the next reading.

An occasion is a record that the store accepted, and another worker that was subscribed from then on.

* It must apply that record, or a newer one, by a notice or at once (`Bounds.prompt`); who learns it later, by reading,
  was never told. Not asked for where messages were being lost, or any fault stood at Redis, or where the store is read
  so often that the difference is none.
* Where that is not asked for it must apply it, or a newer one, within `reconcile_interval`: that is how often the store
  is read.

Left out: workers that a Redis fault (but the loss of messages), or a way to a new connection, may have kept from the
store; and those that were frozen or blocked.
"""

from __future__ import annotations

from flexiai.events import RecordApplied
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.lives import Life
from harness.checkers.spans import meets_any


def look(case: Case, tally: Tally) -> None:
    """Every accepted record, and every other worker."""
    prompt_s, read_s = case.bounds.prompt, case.scenario.sync.reconcile_interval_s
    for record in case.all(RecordApplied):
        if record.accepted:
            for life in case.lives.values():
                if life.worker == record.worker:
                    continue
                if read_s >= 2 * prompt_s and _listens(case, life, record.t, prompt_s):
                    _told(case, life, record, tally)
                elif _reads(case, life, record.t, read_s + prompt_s):
                    _read(case, life, record, read_s + prompt_s, tally)


def _told(case: Case, life: Life, record: RecordApplied, tally: Tally) -> None:
    first = _learnt(case, life, record)
    tally.checked += 1
    if first is not None and (first.via != "read" or first.t <= record.t + case.bounds.prompt):
        return
    told = "never did" if first is None else f"did so {first.t - record.t:.2f} s later, by reading"
    text = f"{life.worker} was connected when {record.worker} made record {record.epoch}, and {told}"
    tally.violate(record.t, text, record, first, worker=life.worker, provider=record.provider)


def _read(case: Case, life: Life, record: RecordApplied, within_s: float, tally: Tally) -> None:
    first = _learnt(case, life, record)
    tally.checked += 1
    if first is None or first.t > record.t + within_s:
        text = f"{life.worker} could read record {record.epoch} of {record.worker}, and did not within {within_s:.2f} s"
        tally.violate(record.t + within_s, text, record, first, worker=life.worker, provider=record.provider)


def _learnt(case: Case, life: Life, record: RecordApplied) -> RecordApplied | None:
    applied = case.index.records.get((life.worker, record.provider), [])
    return next((r for r in applied if r.epoch >= record.epoch), None)


def _listens(case: Case, life: Life, t: float, within_s: float) -> bool:
    """Whether nothing kept this worker from a notice at `t`."""
    if any(w.span.meets(t - case.bounds.settle, t + within_s) for w in case.redis_windows):
        return False
    return _reads(case, life, t, within_s)


def _reads(case: Case, life: Life, t: float, within_s: float) -> bool:
    """Whether nothing kept this worker from the store for `within_s` from `t` on."""
    a, b = t - case.bounds.prompt, t + within_s
    ups = [at for at, up in life.sync if up and at < a]
    lost = any(ups[-1] < at <= b for at, up in life.sync if not up) if ups else True
    disturbed = meets_any(case.cuts[life.worker], a, b) or b > case.observed_until
    return not (lost or disturbed or life.gone <= b or case.excuses_slowness(life.worker, a, b))


CHECKER = Checker(
    id="news-travels",
    holds="A record reaches every connected worker by its notice, or, if that is lost, by the next reading.",
    vacuous="no record was made while another worker was connected",
    look=look,
)
