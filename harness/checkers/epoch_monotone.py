"""`epoch-monotone`: no worker replaces a record by an older one; one epoch has one content everywhere.

Content is the state, its reason, the worker it came from, and since when and for how long it holds (in Redis' time).
"""

from __future__ import annotations

from itertools import pairwise

from flexiai.events import RecordApplied
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally


def look(case: Case, tally: Tally) -> None:
    """Every application of a record."""
    for records in case.index.records.values():
        tally.checked += len(records)
        for before, after in pairwise(records):
            if after.epoch < before.epoch:
                text = f"{after.worker} replaced record {before.epoch} of {after.provider} by the older {after.epoch}"
                tally.violate(after.t, text, before, after, worker=after.worker, provider=after.provider)
    first: dict[tuple[str, int], RecordApplied] = {}
    for record in case.all(RecordApplied):
        known = first.setdefault((record.provider, record.epoch), record)
        if _content(known) != _content(record):
            text = (
                f"epoch {record.epoch} of {record.provider} is {_told(known)} to {known.worker} "
                f"and {_told(record)} to {record.worker}"
            )
            tally.violate(record.t, text, known, record, worker=record.worker, provider=record.provider)


def _content(r: RecordApplied) -> tuple[str, str, str, int, int]:
    return r.state, r.reason, r.origin, r.since_ms, r.open_for_ms


def _told(r: RecordApplied) -> str:
    return f"{r.state} ({r.reason}, by {r.origin})"


CHECKER = Checker(
    id="epoch-monotone",
    holds="No worker replaces a record by an older one, and one epoch has one content everywhere.",
    vacuous="no worker applied a record",
    look=look,
)
