"""Entries of a history in words, one line each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from flexiai.events import RecordApplied, Transition
from harness.history import Entry
from reports.series.fleet import Fleet

_IN_FRONT = frozenset({"t", "worker"})
_WORKERS = frozenset({"origin"})


@dataclass(frozen=True, slots=True)
class Told:
    """One entry: when, who (empty for the harness), which kind, and the rest of what it says."""

    t: str
    who: str
    kind: str
    what: str


def tell(entry: Entry, fleet: Fleet) -> Told:
    """An entry as a line of proof; workers by their short names."""
    worker = getattr(entry, "worker", None)
    return Told(
        t=moment(entry.t),
        who=fleet.label(worker) if worker else "",
        kind=str(entry.__struct_config__.tag),
        what=_what(entry, fleet),
    )


def moment(t: float) -> str:
    """A time of the run, to the tenth of a millisecond."""
    return f"{t:.4f}\u202fs"


def _what(entry: Entry, fleet: Fleet) -> str:
    if isinstance(entry, Transition):
        return f"{entry.provider} {entry.frm} → {entry.to} ({entry.cause}), on epoch {entry.epoch}"
    if isinstance(entry, RecordApplied):
        origin = fleet.label(entry.origin)
        return f"{entry.provider} epoch {entry.epoch}: {entry.state} ({entry.reason}) of {origin}, by {entry.via}"
    return ", ".join(_fields(entry, fleet))


def _fields(entry: Entry, fleet: Fleet) -> Iterator[str]:
    for field in msgspec.structs.fields(entry):
        value: object = getattr(entry, field.name)
        if field.name in _IN_FRONT or value == field.default:
            continue
        yield f"{field.name} {_value(fleet.label(str(value)) if field.name in _WORKERS else value)}"


def _value(value: object) -> str:
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(map(str, value)) or "none"
    return str(value)
