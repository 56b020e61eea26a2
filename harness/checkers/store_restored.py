"""`store-restored`: what the store has lost the workers write back.

Certainly lost is all that Redis held when it was flushed, or killed or restarted and came back empty. What a worker
knew by then must be in the store again, or something newer,

* if that worker lost its connections with the data: by the time at which it says that it is back (SyncUp);
* if it did not: within `reconcile_interval`, which is how often it reads the store.

It is written back by whoever comes first (`RecordRestored`); a transition that the store accepts meanwhile does as
well. Left out: workers that a further fault kept from Redis, or slowed, and times in which a worker ended: it may have
been the one that wrote.
"""

from __future__ import annotations

from collections.abc import Iterator

from flexiai.events import RecordApplied, RecordRestored
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.lives import Life
from harness.checkers.spans import meets_any
from harness.checkers.windows import Window
from harness.faults import RedisFlush, RedisKill, RedisRestart

_HARMLESS = frozenset({"flush", "drop_messages"})
"""What may be beside a loss: reads and writes go on."""


def look(case: Case, tally: Tally) -> None:
    """Every loss, every worker that knew something, and every provider."""
    for window in case.redis_windows:
        if not _empties(window):
            continue
        for life in case.lives.values():
            until = _until(case, window, life)
            if until is not None and not _disturbed(case, window, life, until):
                for known in _known(case, life, window.start - case.bounds.prompt):
                    tally.checked += 1
                    if not _held_again(case, known.provider, window.start, until):
                        _violate(known, until, tally)


def _violate(known: RecordApplied, t: float, tally: Tally) -> None:
    who, what = known.worker, known.provider
    text = f"Redis had lost {what}'s record {known.epoch}, {who} knew it, and nobody wrote it back"
    tally.violate(t, text, known, worker=who, provider=what)


def _known(case: Case, life: Life, t: float) -> Iterator[RecordApplied]:
    """Of each provider what the worker had heard last."""
    for provider in case.providers:
        records = case.index.records.get((life.worker, provider), [])
        if known := next((r for r in reversed(records) if r.t < t), None):
            yield known


def _held_again(case: Case, provider: str, since: float, until: float) -> bool:
    restored = (e.t for e in case.all(RecordRestored) if e.provider == provider)
    made = (r.t for r in case.applied(provider) if _is_from(r, since))
    return any(since <= t <= until for t in (*restored, *made))


def _is_from(record: RecordApplied, since: float) -> bool:
    """Whether the store held it after the loss: it accepted it, or told somebody of it."""
    return record.accepted or (record.via == "read" and record.t >= since)


def _empties(window: Window) -> bool:
    fault = window.fault
    emptied = isinstance(fault, RedisRestart) and fault.data == "empty"
    return window.healed and (emptied or isinstance(fault, RedisFlush | RedisKill))


def _until(case: Case, window: Window, life: Life) -> float | None:
    """By when the worker must have seen to it; None: nothing can be asked of it."""
    since = window.start - case.bounds.prompt
    if life.ready is None or life.ready > since or not life.alive(since) or not _in_touch(life, since):
        return None
    if isinstance(window.fault, RedisFlush):
        return window.end + case.scenario.sync.reconcile_interval_s + case.bounds.prompt
    up = life.up_since(window.end)
    return None if up is None else up + case.bounds.prompt


def _in_touch(life: Life, t: float) -> bool:
    known = [up for at, up in life.sync if at < t]
    return bool(known) and known[-1]


def _disturbed(case: Case, window: Window, life: Life, until: float) -> bool:
    since = window.start - case.scenario.sync.operation_timeout_s - case.bounds.prompt
    others = (w.span for w in case.redis_windows if w.fault.name not in _HARMLESS and w is not window)
    stays = isinstance(window.fault, RedisFlush)  # connected, all the time
    lost = any(since <= at <= (until if stays else window.start) for at, up in life.sync if not up)
    ended = any(window.start - case.bounds.prompt <= w.gone <= until for w in case.lives.values())
    return (
        until > case.observed_until
        or lost
        or ended
        or meets_any(others, since, until)
        or case.excuses_slowness(life.worker, window.start, until)
    )


CHECKER = Checker(
    id="store-restored",
    holds="What the store has lost the workers write back.",
    vacuous="Redis lost nothing that a worker in reach of it knew",
    look=look,
)
