"""What an operator does to a provider, for the fleet: said to one worker, and to be followed by all."""

from __future__ import annotations

from harness.faults.base import Fault
from harness.faults.choice import ONE, Workers

_HOLDS = frozenset({"operator_open", "operator_drain"})


class OperatorOpen(Fault):
    """An operator forces it open: nobody asks it, not even to probe, until the time is over."""

    of, name = "provider", "operator_open"
    cause = "a known incident, a cost limit, a key being exchanged"
    example = "{at: 20s, for: 10s, target: provider/openai, inject: operator_open}"
    needs_for = True
    rules_out = _HOLDS
    workers: Workers = ONE


class OperatorDrain(Fault):
    """An operator drains it: the last resort, until the time is over."""

    of, name = "provider", "operator_drain"
    cause = "a vendor's announced maintenance, a move to another account"
    example = "{at: 20s, for: 10s, target: provider/openai, inject: operator_drain}"
    needs_for = True
    rules_out = _HOLDS
    workers: Workers = ONE


class OperatorReset(Fault):
    """An operator resets it: closed at once, and no hold is in force."""

    of, name = "provider", "operator_reset"
    cause = "somebody who knows that it is back does not want to wait"
    example = "{at: 20s, target: provider/openai, inject: operator_reset}"
    instant = True
    workers: Workers = ONE


KINDS: tuple[type[Fault], ...] = (OperatorOpen, OperatorDrain, OperatorReset)
