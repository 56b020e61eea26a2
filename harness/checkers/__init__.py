"""The invariants of docs/invariants.md, each checked from the history alone: the same code for both worlds."""

from harness.checkers import (
    attempts_told,
    bounded,
    converges,
    deadline,
    epoch_monotone,
    evidence_age,
    fleet_counts,
    joiner_knows,
    legal_transitions,
    neutral_is_neutral,
    news_travels,
    no_failover_after_first_token,
    no_failure_while_served,
    one_outcome,
    opens_when_due,
    priority_order,
    probe_bound,
    recovers,
    redis_off_path,
    refuse_when_open,
    rejoins,
    retry_after,
    retry_budget,
    settles,
)
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Finding, Violation

CHECKERS: tuple[Checker, ...] = (
    one_outcome.CHECKER,
    no_failure_while_served.CHECKER,
    legal_transitions.CHECKER,
    refuse_when_open.CHECKER,
    probe_bound.CHECKER,
    epoch_monotone.CHECKER,
    priority_order.CHECKER,
    neutral_is_neutral.CHECKER,
    retry_after.CHECKER,
    redis_off_path.CHECKER,
    no_failover_after_first_token.CHECKER,
    opens_when_due.CHECKER,
    deadline.CHECKER,
    retry_budget.CHECKER,
    attempts_told.CHECKER,
    fleet_counts.CHECKER,
    evidence_age.CHECKER,
    bounded.CHECKER,
    converges.CHECKER,
    recovers.CHECKER,
    rejoins.CHECKER,
    joiner_knows.CHECKER,
    news_travels.CHECKER,
    settles.CHECKER,
)
"""Safety first, then liveness."""

__all__ = ["CHECKERS", "Case", "Checker", "Finding", "Violation"]
