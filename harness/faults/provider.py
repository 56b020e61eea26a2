"""What breaks at a provider, or on the way to it."""

from __future__ import annotations

from pydantic import Field

from harness.faults.base import Fault
from harness.faults.choice import ALL, Workers
from harness.units import Fraction, PositiveDuration

ANSWERS = frozenset({"error", "rate_limit", "hang", "refuse"})
"""The faults that decide a provider's answer: no two of them can be at once."""


class ProviderError(Fault):
    """Answers with an error status."""

    of, name = "provider", "error"
    cause = "the vendor's incident: 500/502/503/504, 529 overloaded"
    example = "{at: 15s, for: 20s, target: provider/openai, inject: error, status: 503}"
    rules_out = ANSWERS
    status: int = Field(503, ge=400, le=599)
    share: Fraction = 1.0


class ProviderRateLimit(Fault):
    """Answers 429, with Retry-After if told so."""

    of, name = "provider", "rate_limit"
    cause = "the account's quota is used up"
    example = "{at: 15s, for: 20s, target: provider/openai, inject: rate_limit, retry_after: 8s}"
    rules_out = ANSWERS
    retry_after: PositiveDuration | None = None
    share: Fraction = 1.0


class ProviderHang(Fault):
    """Takes the request and never answers."""

    of, name = "provider", "hang"
    cause = "a stuck backend behind a healthy load balancer"
    example = "{at: 15s, for: 20s, target: provider/openai, inject: hang}"
    rules_out = ANSWERS
    share: Fraction = 1.0


class ProviderRefuse(Fault):
    """Refuses connections."""

    of, name = "provider", "refuse"
    cause = "the vendor's edge is down, or a firewall rejects"
    example = "{at: 15s, for: 20s, target: provider/openai, inject: refuse}"
    rules_out = ANSWERS


class ProviderLatency(Fault):
    """Answers later than usual."""

    of, name = "provider", "latency"
    cause = "a brown-out: overload, a slow model"
    example = "{at: 15s, for: 20s, target: provider/openai, inject: latency, add: 2s}"
    rules_out = frozenset({"latency"})
    add: PositiveDuration
    share: Fraction = 1.0


class ProviderPartition(Fault):
    """Cannot be reached from some workers: bytes are held, in both directions."""

    of, name = "provider", "partition"
    cause = "one host's broken egress: routing, NAT table, DNS"
    example = '{at: 15s, for: 20s, target: provider/openai, inject: partition, workers: "1 of 12"}'
    rules_out = frozenset({"partition"})
    workers: Workers = ALL


KINDS: tuple[type[Fault], ...] = (
    ProviderError,
    ProviderRateLimit,
    ProviderHang,
    ProviderRefuse,
    ProviderLatency,
    ProviderPartition,
)
