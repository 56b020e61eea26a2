"""`rejoins`: every worker that lost the store is subscribed again, and has read the records, within the bound.

An occasion is a worker, alive to the end, that

* said so (SyncDown), or was ready without the store (WorkerReady, not synced); or
* must have lost it: Redis was killed or restarted while it lived, or a pause or partition cut it off for longer than
  it takes to notice a dead subscription, while its event loop and its clock ran (one that is blocked, or whose clock
  was moved, may notice nothing, and then finds the answers). Not to notice is to be deaf.

It needs a SyncUp after the loss (for a fault: after the fault began), by `rejoin` after the last thing that stood in
its way was over: a Redis fault, a pause, or a clock that was set back. (No monotonic clock is, on a real host; the
simulation does it to see what breaks, and then every timer of that worker is late by as much, its health checks and
its next attempt to connect among them.) While a Redis fault lasts to the end there is nothing to demand.
"""

from __future__ import annotations

from harness.checkers.bounds import SLACK_S
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.lives import Life
from harness.checkers.windows import Window
from harness.faults import WorkerBlock


def look(case: Case, tally: Tally) -> None:
    """Every worker that was there at the end."""
    for life in case.survivors:
        if any(not w.healed and w.touches(life) and not w.fault.instant for w in case.redis_windows):
            continue
        for lost, why in _losses(case, life):
            _judge(case, life, lost, why, tally)


def _judge(case: Case, life: Life, lost: float, why: str, tally: Tally) -> None:
    if life.up_since(lost) is not None:
        tally.checked += 1
        return
    deadline = max([lost, *_in_the_way(case, life)]) + case.bounds.rejoin
    if deadline >= case.observed_until:
        tally.undecided(f"the run ended before {life.worker} had to be subscribed again")
        return
    tally.checked += 1
    text = f"{life.worker} {why} at {lost:.3f} s and was not subscribed again by {deadline:.1f} s, nor to the end"
    tally.violate(deadline, text, worker=life.worker)


def _losses(case: Case, life: Life) -> list[tuple[float, str]]:
    losses = []
    down = life.last_down()
    if down is not None:
        losses.append((down, "lost the store"))
    if life.ready is not None and not life.synced:
        losses.append((life.ready, "was ready without the store"))
    losses += [(w.start, "was cut off from the store") for w in case.redis_windows if _must_notice(case, life, w)]
    return losses


def _must_notice(case: Case, life: Life, window: Window) -> bool:
    if not window.touches(life) or life.ready is None or life.ready > window.start:
        return False
    if life.paused(window.start, window.end):
        return False
    blinding = (w for w in case.windows if isinstance(w.fault, WorkerBlock) or w.fault.of == "clock")
    spans = ((max(w.start, window.start), min(w.over, window.end)) for w in blinding if w.touches(life))
    blind_s = sum(max(0.0, until - since) for since, until in spans)
    long = window.end - window.start - blind_s > case.bounds.notice + SLACK_S
    return window.fault.name in ("kill", "restart") or (window.fault.name in ("pause", "partition") and long)


def _in_the_way(case: Case, life: Life) -> list[float]:
    faults = (w for w in case.windows if w.fault.on_redis or w.fault.of == "clock")
    return [w.over for w in faults if w.touches(life)] + [p.end for p in life.pauses]


CHECKER = Checker(
    id="rejoins",
    holds="Every worker that lost the store is subscribed again and has read the records.",
    vacuous="nobody ever lost the store",
    look=look,
)
