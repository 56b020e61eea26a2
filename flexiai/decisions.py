"""Whose decision a transition was, for those who tell of it.

A worker follows the fleet's records (cause `sync`). But a record may have come of what this very worker said: where
failures are counted together, the store opens a circuit upon some worker's report, and that one is who decided.
"""

from __future__ import annotations

from flexiai.core.circuit import Cause
from flexiai.events import RecordApplied, Transition


class Decisions:
    """The records that came of one worker's own words."""

    def __init__(self) -> None:
        self._own: dict[str, Cause] = {}

    def is_own(self, record: RecordApplied) -> bool:
        """Whether a record that has just been applied came of this worker's word."""
        if record.accepted or record.origin == record.worker:
            self._own[record.provider] = record.reason
            return True
        self._own.pop(record.provider, None)
        return False

    def cause_of(self, transition: Transition) -> Cause:
        """Why this worker decided it; SYNC if another one did."""
        if transition.cause is not Cause.SYNC:
            return transition.cause
        return self._own.get(transition.provider, Cause.SYNC)
