"""An operator's word in a run: what is said, and the evidence that the fleet heard it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from flexiai.events import RecordApplied
from harness.faults import Fault, Moment, OperatorDrain, OperatorOpen

Action = Literal["open", "drain", "reset"]


def action_of(fault: Fault) -> Action:
    """What the operator does."""
    return "open" if isinstance(fault, OperatorOpen) else "drain" if isinstance(fault, OperatorDrain) else "reset"


def held_for_s(fault: Fault, duration: float) -> float:
    """For how long a hold is asked for, in seconds: the rest of the run, if nobody knows."""
    return fault.for_ if fault.for_ is not None else duration


def ends_by_reset(fault: Fault) -> bool:
    """Whether somebody must end it, since nobody knew how long it would last."""
    return (fault.for_ is None or isinstance(fault.until_, Moment)) and not fault.instant


def note_of(index: int, time: int) -> str:
    """The reason given, by which its record is known again."""
    return f"fault {index}.{time}"


def heard_by(entries: Iterable[Any], note: str, told: frozenset[str], *, alone: bool) -> int:
    """How many workers applied the record that came of it: others than were told, unless there is but one (`alone`)."""
    applied = {e.worker for e in entries if isinstance(e, RecordApplied) and e.note == note}
    return len(applied if alone else applied - told)
