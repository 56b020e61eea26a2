"""What breaks at a provider, or on the way to it."""

from __future__ import annotations

from pydantic import Field, model_validator

from harness.faults.base import Fault
from harness.faults.choice import ALL, Workers
from harness.units import Duration, Fraction, PositiveDuration

ANSWERS = frozenset({"error", "rate_limit", "hang", "refuse", "cut", "malformed", "error_body", "reset"})
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
    """Answers 429, with Retry-After if told so: in seconds, or as the `date` when they are over."""

    of, name = "provider", "rate_limit"
    cause = "the account's quota is used up"
    example = "{at: 15s, for: 20s, target: provider/openai, inject: rate_limit, retry_after: 8s}"
    rules_out = ANSWERS
    retry_after: PositiveDuration | None = None
    date: bool = False
    share: Fraction = 1.0


class ProviderCapacity(Fault):
    """Serves `most` requests at once, and turns others away without a wait."""

    of, name = "provider", "capacity"
    cause = "a limit on concurrent requests; a fleet of servers of which most are down"
    example = "{at: 15s, for: 20s, target: provider/openai, inject: capacity, most: 4}"
    rules_out = ANSWERS | {"capacity"}
    most: int = Field(ge=1)
    status: int = Field(429, ge=400, le=599)
    retry_after: PositiveDuration | None = None


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
    """Answers later than usual: by `add`, and up to `spread` more, drawn each time; if it `grows`, evenly more and more
    until it is over."""

    of, name = "provider", "latency"
    cause = "a brown-out: overload, a slow model"
    example = "{at: 15s, for: 20s, target: provider/openai, inject: latency, add: 2s}"
    rules_out = frozenset({"latency"})
    add: PositiveDuration
    spread: Duration = 0.0
    grows: bool = False
    share: Fraction = 1.0

    @model_validator(mode="after")
    def _has_time_to_grow(self) -> ProviderLatency:
        if self.grows and self.for_ is None:
            raise ValueError("'grows' needs 'for': over what time")
        return self

    def added_s(self, since_s: float, luck: float) -> float:
        """What it adds to a request that comes `since_s` after its begin; `luck`, from 0 to 1: of the spread."""
        grown = min(1.0, since_s / self.for_) if self.grows and self.for_ is not None else 1.0
        return grown * (self.add + self.spread * luck)


class ProviderStall(Fault):
    """Begins a stream, and then says nothing for `add`: before its first token, or after `after_tokens` of them."""

    of, name = "provider", "stall"
    cause = "a long prompt, a queue behind the first byte, a batch that waits for its slowest member"
    example = "{at: 15s, for: 20s, target: provider/openai, inject: stall, add: 5s}"
    rules_out = frozenset({"stall"})
    add: PositiveDuration
    after_tokens: int = Field(0, ge=0)
    share: Fraction = 1.0


class ProviderCut(Fault):
    """Breaks the connection in the middle of an answer; a stream's, after `after_tokens` tokens."""

    of, name = "provider", "cut"
    cause = "a worker of the vendor's that dies while it answers, a proxy with an idle timeout"
    example = "{at: 15s, for: 20s, target: provider/openai, inject: cut, after_tokens: 3}"
    rules_out = ANSWERS
    after_tokens: int = Field(3, ge=0)
    share: Fraction = 1.0


class ProviderReset(Fault):
    """Does the work, and resets the connection instead of answering: the response is lost."""

    of, name = "provider", "reset"
    cause = "a load balancer that is restarted, a server that crashes when it has the answer"
    example = "{at: 15s, for: 20s, target: provider/openai, inject: reset, share: 30%}"
    rules_out = ANSWERS
    share: Fraction = 1.0


class ProviderMalformed(Fault):
    """Answers 200 with what is not JSON; in a stream, after `after_tokens` tokens."""

    of, name = "provider", "malformed"
    cause = "a proxy's error page, a truncated cache, a bug of the vendor's"
    example = "{at: 15s, for: 20s, target: provider/openai, inject: malformed}"
    rules_out = ANSWERS
    after_tokens: int = Field(0, ge=0)
    share: Fraction = 1.0


class ProviderErrorBody(Fault):
    """Answers 200 with an error inside; in a stream, after `after_tokens` tokens."""

    of, name = "provider", "error_body"
    cause = "a gateway that hides its backend's failure, an overload noticed after the headers went out"
    example = "{at: 15s, for: 20s, target: provider/openai, inject: error_body}"
    rules_out = ANSWERS
    after_tokens: int = Field(0, ge=0)
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
    ProviderCapacity,
    ProviderHang,
    ProviderRefuse,
    ProviderLatency,
    ProviderStall,
    ProviderCut,
    ProviderReset,
    ProviderMalformed,
    ProviderErrorBody,
    ProviderPartition,
)
