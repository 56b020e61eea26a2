"""How traffic came back to a provider that had closed, and who was asked although a breaker would have spared it.

A ramp is a worker's own: from when it closed the provider, or heard so, until all traffic was back or it opened again.
"""

from __future__ import annotations

from collections.abc import Iterable

from flexiai.core.circuit import State
from harness.checkers.case import Case
from harness.checkers.index import Key
from harness.checkers.spans import Span

Figures = dict[str, float | None]


def ramp_figures(case: Case) -> Figures:
    """The metrics of this file."""
    wanted = _wanted(case)
    early, late = [], []
    for key, spans in case.ramps.items():
        for span in _merged(spans):
            end = min([span.end, *(c.t for c in case.index.transitions.get(key, ()) if _opens_in(span, c.t, c.to))])
            half = (span.start + span.end) / 2
            early += [got for t, got in wanted.get(key, ()) if span.start <= t <= min(half, end)]
            late += [got for t, got in wanted.get(key, ()) if half < t <= end]
    return {
        "ramp_spared": sum("ramp" in a.spared.values() for a in case.index.attempts),
        "ramp_share.early": sum(early) / len(early) if early else None,
        "ramp_share.late": sum(late) / len(late) if late else None,
        "last_resorts": sum(a.started.last_resort for a in case.index.attempts),
    }


def _wanted(case: Case) -> dict[Key, list[tuple[float, bool]]]:
    """When each worker's requests wanted each provider, and whether they got it."""
    found: dict[Key, list[tuple[float, bool]]] = {}
    for attempt in case.index.attempts:
        s = attempt.started
        for name, why in attempt.spared.items():
            if why == "ramp":
                found.setdefault((s.worker, name), []).append((s.t, False))
        if not s.last_resort and not s.probe:
            found.setdefault((s.worker, s.provider), []).append((s.t, True))
    return found


def _merged(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in spans:
        if merged and span.start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(span.end, merged[-1].end))
        else:
            merged.append(span)
    return merged


def _opens_in(span: Span, t: float, to: State) -> bool:
    return to is State.OPEN and span.start < t <= span.end
