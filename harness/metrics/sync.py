"""How transitions travel: from the worker that made one to each of the others.

* A record belongs to the last change to its state, for its reason, that its worker made by itself (was not told of)
  before anybody had the record. A change that no record followed has no samples (another worker was first, or the
  worker changed its mind again before the store could be told); nor has a record that lengthens an open time.
* A record without such a change was made by the evidence of the whole fleet: it belongs to the report that tipped the
  scales, the last one of its worker before anybody had the record.
* Each other worker that was ready and running at that time is one sample. It *heard* with the first record of that or
  a newer epoch it applied; `via` is how: notice, read, reply (to a proposal of its own), skipped (it got a newer record
  instead), never.
* A sample is `cut` when, from the change until it heard, a fault stood between the store and one of the two workers, or
  one of them was frozen. Cut samples count for partition_convergence, all others for sync_latency and lost_notices. Who
  died, or was stopped with the run, before it heard, is no sample.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Literal, NamedTuple

from flexiai.core.circuit import Cause, State
from flexiai.events import EvidenceSent, RecordApplied, Transition
from harness.checkers.case import Case
from harness.checkers.lives import Life
from harness.checkers.spans import meets_any
from harness.history import RedisSample
from harness.quantiles import of_sorted

Figures = dict[str, float | None]
Via = Literal["notice", "read", "reply", "skipped", "never"]
_NOT_TOLD = frozenset({Cause.SYNC, Cause.PROBE_ABANDONED})


class SyncSample(NamedTuple):
    """One transition on its way to one worker. `t`: when it was made; latency_s None: it never arrived.

    `waited_s`: for a cut sample, how long after the end of what had cut it off it heard (None: not cut, or before).
    """

    t: float
    provider: str
    epoch: int
    state: State
    frm: str
    to: str
    latency_s: float | None
    via: Via
    cut: bool
    waited_s: float | None = None


def sync_samples(case: Case) -> list[SyncSample]:
    """Every transition to every other worker, in time order."""
    samples = [s for news in made(case) for s in _heard(case, news)]
    return sorted(samples)


class Made(NamedTuple):
    """A fleet record, and what made it: a worker's own change, or its report, at `t`. `record`: as first applied."""

    t: float
    worker: str
    provider: str
    state: State
    record: RecordApplied


def made(case: Case) -> Iterator[Made]:
    """Each fleet record of which the making was seen."""
    first: dict[tuple[str, int], RecordApplied] = {}
    for record in case.all(RecordApplied):
        first.setdefault((record.provider, record.epoch), record)
    own: dict[tuple[str, str, State, Cause], list[Transition]] = defaultdict(list)
    for change in case.all(Transition):
        if change.to is not State.HALF_OPEN and change.cause not in _NOT_TOLD:
            own[change.worker, change.provider, change.to, change.cause].append(change)
    sent: dict[tuple[str, str], list[EvidenceSent]] = defaultdict(list)
    for report in case.all(EvidenceSent):
        if report.failures:
            sent[report.worker, report.provider].append(report)
    for record in sorted(first.values(), key=lambda r: r.epoch):
        before = own[record.origin, record.provider, record.state, record.reason]
        fitting = [c for c in before if c.t <= record.t and c.epoch < record.epoch]
        if fitting:
            del before[: len(fitting)]
            yield Made(fitting[-1].t, record.origin, record.provider, record.state, record)
        elif record.state is State.OPEN and record.reason is Cause.CONSECUTIVE_FAILURES:
            reports = [e.t for e in sent[record.origin, record.provider] if e.t <= record.t and e.base < record.epoch]
            if reports:
                yield Made(reports[-1], record.origin, record.provider, record.state, record)


def sync_figures(case: Case) -> Figures:
    """The metrics of this file."""
    samples = sync_samples(case)
    whole = [s for s in samples if not s.cut]
    latencies = sorted(s.latency_s for s in whole if s.latency_s is not None)
    waited = sorted(s.waited_s for s in samples if s.waited_s is not None)
    spreads = sorted(_spreads(whole))
    return {
        **{f"sync_latency.{n}": of_sorted(latencies, q) for n, q in _QS.items()},
        **{f"sync_spread.{n}": of_sorted(spreads, _QS[n]) for n in ("p50", "p99", "max")},
        "lost_notices": sum(s.via in ("read", "skipped", "never") for s in whole),
        **{f"partition_convergence.{n}": of_sorted(waited, _QS[n]) for n in ("p50", "max")},
        **_redis(case),
    }


_QS = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


def _heard(case: Case, change: Made) -> Iterator[SyncSample]:
    record = change.record
    for life in case.lives.values():
        if life.worker == change.worker or not life.served(change.t, change.t):
            continue
        got = _got(case, life, record)
        until = got.t if got is not None else case.observed_until
        if got is None and (life.gone < case.observed_until or until - change.t <= case.bounds.propagate):
            continue
        cut = _cut(case, life, change.t, until) or _cut(case, case.lives[change.worker], change.t, until)
        yield SyncSample(
            change.t,
            change.provider,
            record.epoch,
            change.state,
            change.worker,
            life.worker,
            max(0.0, got.t - change.t) if got is not None else None,
            _via(got, record),
            cut,
            _waited(case, life, change, got) if cut else None,
        )


def _got(case: Case, life: Life, record: RecordApplied) -> RecordApplied | None:
    applied = case.index.records.get((life.worker, record.provider), [])
    return next((r for r in applied if r.epoch >= record.epoch), None)


def _via(got: RecordApplied | None, record: RecordApplied) -> Via:
    if got is None:
        return "never"
    return got.via if got.epoch == record.epoch else "skipped"


def _cut(case: Case, life: Life, a: float, b: float) -> bool:
    return meets_any(case.cuts[life.worker], a, b) or life.paused(a, b)


def _waited(case: Case, life: Life, change: Made, got: RecordApplied | None) -> float | None:
    """From the end of the last thing in the way of either worker until the record was applied."""
    if got is None:
        return None
    maker = case.lives[change.worker]
    faults = [w.end for w in case.redis_windows if (w.touches(life) or w.touches(maker)) and w.start <= got.t]
    ends = [e for e in (*faults, *(p.end for p in (*life.pauses, *maker.pauses))) if e <= got.t]
    return got.t - max([change.t, *ends])


def _spreads(samples: list[SyncSample]) -> list[float]:
    last: dict[tuple[str, int], float] = {}
    for s in samples:
        if s.latency_s is not None:
            key = (s.provider, s.epoch)
            last[key] = max(s.latency_s, last.get(key, 0.0))
    return list(last.values())


def _redis(case: Case) -> Figures:
    records = {(r.provider, r.epoch) for r in case.all(RecordApplied)}
    samples = case.all(RedisSample)
    commands = _grown([s.commands for s in samples])
    messages = _grown([s.published for s in samples])
    return {
        "transitions": len(records),
        "evidence_reports": len(case.all(EvidenceSent)),
        "redis_commands": commands,
        "redis_commands_per_transition": commands / len(records) if commands is not None and records else None,
        "messages_per_transition": messages / len(records) if messages is not None and records else None,
    }


def _grown(counters: list[int]) -> int | None:
    """How far a counter went that restarts from 0 with its process; None of fewer than two samples."""
    if len(counters) < 2:
        return None
    return sum(b - a if b >= a else b for a, b in pairwise(counters))
