"""From the core's word for a change of state to the event that tells of it."""

from __future__ import annotations

from flexiai.core.permit import Change
from flexiai.events import Transition


def transition_event(change: Change, *, provider: str, worker: str, t: float) -> Transition:
    """The event for `change`, which happened on `worker` at `t` (seconds on the worker's event-loop clock)."""
    return Transition(
        t=t,
        worker=worker,
        provider=provider,
        frm=change.frm,
        to=change.to,
        cause=change.cause,
        epoch=change.epoch,
        open_for_s=change.open_for_s,
        failure_count=change.failure_count,
        private=change.private,
    )
