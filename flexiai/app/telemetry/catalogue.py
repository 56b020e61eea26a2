"""The metrics, by name: what each means, its labels, and what becomes of it across workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LATENCIES_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
SYNC_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


@dataclass(frozen=True, slots=True)
class Family:
    """One metric.

    across   what one instance tells of it. Counters and histograms: always the sum over all workers it ever had.
             Gauges, of those alive: `sum`, `max`, `worker` (each its own, by the label `pid`), or `age` (as `worker`;
             the worker keeps a time, and its age is told)
    sparse   series that are still zero are left out: there are many, and most never happen
    buckets  upper bounds of a histogram, in seconds
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    across: Literal["sum", "max", "worker", "age"] = "sum"
    sparse: bool = False
    buckets: tuple[float, ...] = ()


REQUESTS = Family(
    "flexiai_requests_total",
    "counter",
    "Requests by who answered and how they ended: success, rejected (the caller's own error), error, cancelled.",
    ("provider", "status"),
)
RESPONSE = Family(
    "flexiai_response_seconds",
    "histogram",
    "Time from a request's begin to its end, by who answered.",
    ("provider",),
    buckets=LATENCIES_S,
)
CIRCUIT = Family(
    "flexiai_circuit_state",
    "gauge",
    "Circuit state: 0 closed, 0.5 half open, 1 open; of an instance: its most cautious worker's.",
    ("provider",),
    across="max",
)
WORKER_CIRCUIT = Family(
    "flexiai_worker_circuit_state",
    "gauge",
    "Circuit state as one worker has it: 0 closed, 0.5 half open, 1 open.",
    ("provider",),
    across="worker",
)
ATTEMPTS = Family(
    "flexiai_attempts_total", "counter", "Attempts by provider and outcome.", ("provider", "outcome"), sparse=True
)
ATTEMPT = Family(
    "flexiai_attempt_seconds", "histogram", "Time of one attempt, by provider.", ("provider",), buckets=LATENCIES_S
)
FIRST_TOKEN = Family(
    "flexiai_first_token_seconds",
    "histogram",
    "Time from a streamed attempt's begin to its first piece of content.",
    ("provider",),
    buckets=LATENCIES_S,
)
RETRIES = Family("flexiai_retries_total", "counter", "Attempts beyond a request's first, by provider.", ("provider",))
BUDGET_SPENT = Family(
    "flexiai_retry_budget_spent_total", "counter", "Requests that got no further attempt for want of retry budget."
)
PROBES = Family(
    "flexiai_probes_total", "counter", "Half-open probes by provider and outcome.", ("provider", "outcome"), sparse=True
)
TRANSITIONS = Family(
    "flexiai_transitions_total",
    "counter",
    "Transitions of breakers, by new state and cause.",
    ("provider", "to", "cause"),
    sparse=True,
)
ERRORS = Family(
    "flexiai_errors_total", "counter", "Error answers to chat requests, by their name.", ("error",), sparse=True
)
IN_FLIGHT = Family("flexiai_requests_in_flight", "gauge", "Requests under way.", across="worker")
SYNC_LATENCY = Family(
    "flexiai_sync_latency_seconds",
    "histogram",
    "Age of another worker's transition when it was applied here, by the store's clock, by the way it came.",
    ("via",),
    buckets=SYNC_S,
)
PROPOSAL = Family(
    "flexiai_sync_proposal_seconds",
    "histogram",
    "Time from telling the store of a transition to its answer.",
    buckets=SYNC_S,
)
SYNC_EVENTS = Family(
    "flexiai_sync_events_total", "counter", "What passed between this worker and the fleet.", ("event",)
)
LEASES = Family(
    "flexiai_probe_leases_total",
    "counter",
    "The right to probe: won, denied, released, lost, or taken without the store.",
    ("provider", "action"),
    sparse=True,
)
CONNECTED = Family("flexiai_sync_connected", "gauge", "1 if the store answers a worker.", across="worker")
SUBSCRIBED = Family("flexiai_sync_subscribed", "gauge", "1 if a worker hears the fleet.", across="worker")
DEAF = Family("flexiai_sync_deaf", "gauge", "1 if nothing listens to the fleet on a worker.", across="worker")
STALENESS = Family(
    "flexiai_sync_staleness_seconds", "gauge", "Age of a worker's last complete view of the fleet.", across="age"
)
UPTIME = Family("flexiai_worker_uptime_seconds", "gauge", "Time since a worker started.", across="age")
WORKERS = Family("flexiai_workers", "gauge", "Workers of this instance that are alive.")
JOURNAL_LOST = Family("flexiai_journal_lost_total", "counter", "Events that the journal could not take.")
BUILD = Family(
    "flexiai_build_info", "gauge", "1, and what runs.", ("version", "python", "implementation"), across="max"
)

FAMILIES = (
    REQUESTS,
    RESPONSE,
    CIRCUIT,
    WORKER_CIRCUIT,
    ATTEMPTS,
    ATTEMPT,
    FIRST_TOKEN,
    RETRIES,
    BUDGET_SPENT,
    PROBES,
    TRANSITIONS,
    ERRORS,
    IN_FLIGHT,
    SYNC_LATENCY,
    PROPOSAL,
    SYNC_EVENTS,
    LEASES,
    CONNECTED,
    SUBSCRIBED,
    DEAF,
    STALENESS,
    UPTIME,
    WORKERS,
    JOURNAL_LOST,
    BUILD,
)
