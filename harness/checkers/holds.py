"""What a worker has reason to spare: a provider whose traffic returns by degrees, or that an operator holds.

A worker knows of an operator's hold by being told (`OperatorActed`), or by a record that it applied. What it was told
itself stands until a record that says the same, or its own, has come; then the last record counts. A hold ends by its
time. What is left of it counts from when a record arrives, and a later reading corrects that if it came late; surely in
force it is for as long as whoever heard of that record first may think. A ramp begins when the worker closes a provider
by probes, or applies a record that says so, and lasts as long as the record (or the setting) says.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flexiai.core.circuit import Cause, Mode, State
from flexiai.events import OperatorActed, ProposalSent, RecordApplied, Transition
from harness.checkers.spans import Span

if TYPE_CHECKING:
    from harness.checkers.index import Index
    from harness.scenario import Scenario

TOGETHER_S = 0.005
"""A worker emits what belongs to one decision within this time; and how near the end of a span is nobody's breach."""
_MODES = {"open": Mode.OPEN, "drain": Mode.DRAIN, "reset": Mode.NORMAL}


@dataclass(frozen=True, slots=True)
class Hold:
    """An operator's hold, as one worker knew it: in force within `span` at most, and within `sure` certainly."""

    mode: Mode
    span: Span
    sure: Span
    proof: OperatorActed | RecordApplied


def holds_of(index: Index) -> dict[tuple[str, str], tuple[Hold, ...]]:
    """For each (worker, provider) that an operator's word reached, its holds in time order."""
    heard: dict[tuple[str, str], list[OperatorActed | RecordApplied]] = {}
    for kind in (OperatorActed, RecordApplied):
        for event in index.kinds.get(kind, ()):
            assert isinstance(event, OperatorActed | RecordApplied)  # noqa: S101 - of that kind
            heard.setdefault((event.worker, event.provider), []).append(event)
    ends, sent = _Ends(index), _sent(index)
    found = {key: tuple(_holds(sorted(events, key=_time), ends, sent[key])) for key, events in heard.items()}
    return {key: holds for key, holds in found.items() if holds}


class _Ends:
    """When each hold is over at the earliest, by whoever was told of it first, or heard first of its record."""

    def __init__(self, index: Index) -> None:
        self._said: dict[tuple[str, Mode, str], float] = {}
        self._heard: dict[tuple[str, int], float] = {}
        for e in (e for words in index.words.values() for e in words):
            word = e.provider, _MODES[e.action], e.note
            self._said[word] = min(self._said.get(word, math.inf), e.t + e.for_s)
        for r in (r for records in index.records.values() for r in records):
            record = r.provider, r.epoch
            self._heard[record] = min(self._heard.get(record, math.inf), r.t + r.held_s)

    def of(self, record: RecordApplied) -> float:
        said = self._said.get((record.provider, record.mode, record.note), math.inf)
        return min(said, self._heard[record.provider, record.epoch])


def _sent(index: Index) -> defaultdict[tuple[str, str], list[float]]:
    """When each (worker, provider) told the store something."""
    sent: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for proposal in index.kinds.get(ProposalSent, ()):
        assert isinstance(proposal, ProposalSent)  # noqa: S101 - of that kind
        sent[proposal.worker, proposal.provider].append(proposal.t)
    return sent


def ramps_of(index: Index, scenario: Scenario) -> dict[tuple[str, str], tuple[Span, ...]]:
    """For each (worker, provider) the times in which its traffic may have been returning."""
    spans: dict[tuple[str, str], list[Span]] = {}
    for key, changes in index.transitions.items():
        closed = (c for c in changes if c.to is State.CLOSED and c.cause is Cause.PROBE_SUCCEEDED)
        spans.setdefault(key, []).extend(_ramp(c, scenario.breaker.ramp_s) for c in closed)
    for key, records in index.records.items():
        closed_by = (r for r in records if r.state is State.CLOSED and r.open_for_ms)
        spans.setdefault(key, []).extend(_ramp(r, r.open_for_ms / 1000) for r in closed_by)
    return {key: tuple(sorted(found)) for key, found in spans.items() if found}


def _ramp(event: Transition | RecordApplied, for_s: float) -> Span:
    return Span(event.t - TOGETHER_S, event.t + for_s + TOGETHER_S)


def _holds(events: list[OperatorActed | RecordApplied], ends: _Ends, sent: list[float]) -> Iterator[Hold]:
    known: Hold | None = None
    told: OperatorActed | None = None
    for event in events:
        if isinstance(event, OperatorActed):
            told, mode, for_s, sure_end = event, _MODES[event.action], event.for_s, event.t + event.for_s
        elif told is None or _settles(event, told, sent):
            told, mode, for_s, sure_end = None, event.mode, event.held_s, ends.of(event)
        else:
            continue
        if known is not None:
            if isinstance(event, RecordApplied) and (known.mode, known.proof.note) == (mode, event.note):
                sure_end = min(sure_end, known.sure.end)  # who knows its end already learns nothing by hearing it late
            yield Hold(known.mode, _cut(known.span, event.t), _cut(known.sure, event.t), known.proof)
        held = mode is not Mode.NORMAL and for_s > 0
        known = Hold(mode, Span(event.t, event.t + for_s), Span(event.t, sure_end), event) if held else None
    if known is not None:
        yield known


def _settles(record: RecordApplied, told: OperatorActed, sent: list[float]) -> bool:
    """Whether a record is the store's answer to what an operator told this worker: it says the same, or is taken as our
    own, and neither as what was sent before that was said nor as what our report opened."""
    same = (record.mode, record.note) == (_MODES[told.action], told.note)
    at = bisect_left(sent, record.t)
    return same or (record.accepted and not record.reported and (not at or sent[at - 1] >= told.t))


def _cut(span: Span, at: float) -> Span:
    return Span(span.start, min(span.end, at))


def _time(event: OperatorActed | RecordApplied) -> tuple[float, bool]:
    return event.t, isinstance(event, RecordApplied)
