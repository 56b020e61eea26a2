"""Settings: frozen, validated, with units in their names. Defaults are what a production fleet should start with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import NoDecode


def _split(given: object) -> object:
    return [part.strip() for part in given.split(",") if part.strip()] if isinstance(given, str) else given


def _is_host(given: str) -> str:
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s\[\]:/@,]+)(?::([0-9]{1,5}))?", given)
    if found is None or not 0 < int(found[2] or 1) < 65_536:
        raise ValueError("must be a host, or host:port")
    return given


Seconds = Annotated[float, Field(gt=0, le=86_400)]
Share = Annotated[float, Field(gt=0, le=1)]
Host = Annotated[str, AfterValidator(_is_host)]
PLAIN_SCHEMES = ("redis", "rediss")
Hosts = Annotated[tuple[Host, ...], BeforeValidator(_split), NoDecode]  # also as one text, with commas between


class Settings(BaseModel):
    """Base of all settings: frozen, and a misspelt name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ProviderConfig(Settings):
    """One LLM provider.

    name      also the name of its circuit in Redis; `openai` and `anthropic` imply their wire format
    api_key   never shown in logs, reprs or errors
    model     the model asked for unless a request names one
    priority  lower is asked first
    base_url  where it lives, if not at the vendor's address (any OpenAI-compatible server works by it)
    wire      the HTTP format it speaks; None: by name, else `openai`
    headers   sent with every request (OpenAI-Organization, anthropic-beta, Azure's api-key); they win over the usual
              ones, and are never shown
    max_tokens  the bound of an answer where the request has none (Anthropic demands one: 4096 unless set)
    omit      names of OpenAI's options that this provider's model refuses, left out of what it is asked: temperature, …
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    api_key: SecretStr | None = None
    model: str = Field(min_length=1)
    priority: int = 1
    base_url: str | None = None
    wire: Literal["openai", "anthropic"] | None = None
    headers: Mapping[str, SecretStr] = {}
    max_tokens: int | None = Field(None, ge=1)
    omit: frozenset[str] = frozenset()


class BreakerConfig(Settings):
    """When a provider's breaker opens, how long it stays open, and how it is probed (docs/failover.md, section 1).

    failure_threshold    consecutive failures that open it
    window_s             the window of the two rates below
    failure_rate         share of failed calls in the window that opens it, given min_calls (None: off)
    slow_call_rate       share of calls slower than slow_call_duration_s (streams: to their first token) that opens it,
                         given min_calls (None: off)
    reset_timeout_s      how long it stays open at first; each failed probe round multiplies that by reset_growth, up
                         to max_reset_timeout_s, spread by ±reset_jitter of itself
    half_open_max_calls  probes let through at a time, and successes that close it
    max_retry_after_s    cap on a provider's own Retry-After
    misconfigured_for_s  how long a provider is left alone that refused our credentials
    ramp_s               after probes have closed it, its share of the requests grows from ramp_from to all in this time
                         (0: it is all at once), by equal steps (linear) or equal factors (exponential)
    """

    failure_threshold: int = Field(5, ge=1)
    window_s: Seconds = 30.0
    failure_rate: Share | None = 0.5
    min_calls: int = Field(20, ge=1)
    slow_call_duration_s: Seconds = 30.0
    slow_call_rate: Share | None = None
    reset_timeout_s: Seconds = 30.0
    reset_growth: float = Field(2.0, ge=1)
    reset_jitter: float = Field(0.1, ge=0, lt=1)
    max_reset_timeout_s: Seconds = 300.0
    half_open_max_calls: int = Field(1, ge=1)
    max_retry_after_s: Seconds = 300.0
    misconfigured_for_s: Seconds = 300.0
    ramp_s: float = Field(5.0, ge=0, le=86_400)
    ramp_from: Share = 0.1
    ramp_shape: Literal["linear", "exponential"] = "linear"

    @model_validator(mode="after")
    def _growing(self) -> BreakerConfig:
        if self.max_reset_timeout_s < self.reset_timeout_s:
            raise ValueError("max_reset_timeout_s must not be less than reset_timeout_s")
        return self


class RequestConfig(Settings):
    """What one request may cost.

    deadline_s                over all attempts: until the answer, or until a stream's first token
    attempt_timeout_s         over one attempt that answers as a whole (never beyond the deadline)
    first_token_timeout_s     from a streamed attempt's begin to its first token (never beyond the deadline)
    between_tokens_timeout_s  from one piece of a stream to the next; what the caller takes between them does not count
    connect_timeout_s         to open a connection
    retries                   further attempts on the same provider before the next one is asked
    retry_budget              most further attempts per request, over budget_window_s (1.0: one more for each request
                              on average); a floor of ten attempts a window keeps small loads able to fail over
    """

    deadline_s: Seconds = 60.0
    attempt_timeout_s: Seconds = 30.0
    first_token_timeout_s: Seconds = 30.0
    between_tokens_timeout_s: Seconds = 30.0
    connect_timeout_s: Seconds = 5.0
    retries: int = Field(0, ge=0, le=10)
    retry_budget: float = Field(1.0, ge=0)
    budget_window_s: Seconds = 10.0


class SyncConfig(Settings):
    """How workers share what they know.

    enabled, backend       `redis` (a fleet), `memory` (one process); disabled: each client for itself
    redis_*                where Redis is and how it lets us in (docs/redis.md)
    redis_url              the same in one; wins over host, port, db, username and password
    redis_tls              speak TLS; the server's certificate and name are verified, with the system's CAs or with
                           redis_tls_ca_file alone; redis_tls_cert_file and redis_tls_key_file are our own
    redis_sentinels        `host:port` of the sentinels to ask for the primary of redis_sentinel_service
    redis_cluster          host (or URL) is a node of a Redis Cluster
    prefix                 separates fleets that share one Redis; goes before every key and channel
    reconcile_interval_s   all records are read this often, whatever was heard
    health_interval_s      the subscription is pinged this often; pong_timeout_s later it counts as dead
    operation_timeout_s    bound of every Redis operation
    join_timeout_s         a worker is ready after this long even if Redis did not answer
    reconnect_min_s/max_s  backoff of reconnects
    lease_s                how long a worker may hold the right to probe without renewing it
    probe_idle_s           a holder without a request to probe with for this long gives way to who wants it; one whose
                           search took longer waits as long as that, at most 60 times this
    evidence               who counts consecutive failures: `fleet`, all workers together (and each for itself, too);
                           `worker`, each for itself only
    evidence_window_s      how long a worker's failure counts for the fleet, unless a success ends the streak before
    open_quorum            how many workers must have found a provider failing before it opens for the fleet; until
                           then each acts on what it sees itself. Operators need no quorum
    """

    enabled: bool = True
    backend: Literal["redis", "memory"] = "redis"
    redis_host: str = "localhost"
    redis_port: int = Field(6379, ge=1, le=65535)
    redis_db: int = Field(0, ge=0)
    redis_username: str | None = None
    redis_password: SecretStr | None = None
    redis_url: SecretStr | None = None
    redis_tls: bool = False
    redis_tls_ca_file: Path | None = None
    redis_tls_cert_file: Path | None = None
    redis_tls_key_file: Path | None = None
    redis_sentinels: Hosts = ()
    redis_sentinel_service: str | None = Field(None, min_length=1)
    redis_sentinel_username: str | None = None
    redis_sentinel_password: SecretStr | None = None
    redis_cluster: bool = False
    prefix: str = Field("", pattern=r"^[A-Za-z0-9_.:-]{0,64}$")
    reconcile_interval_s: Seconds = 1.0
    health_interval_s: Seconds = 2.0
    pong_timeout_s: Seconds = 1.0
    operation_timeout_s: Seconds = 1.0
    join_timeout_s: Seconds = 1.0
    reconnect_min_s: Seconds = 0.05
    reconnect_max_s: Seconds = 1.0
    lease_s: Seconds = 5.0
    probe_idle_s: Seconds = 1.0
    evidence: Literal["fleet", "worker"] = "fleet"
    evidence_window_s: Seconds = 300.0
    open_quorum: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _one_way_to_redis(self) -> SyncConfig:
        for wrong, what in _contradictions(self):
            if wrong:
                raise ValueError(what)
        return self


def _contradictions(c: SyncConfig) -> Iterator[tuple[bool, str]]:
    """What would leave in doubt where Redis is or how it is spoken to: (whether it is so, what to do about it)."""
    scheme = c.redis_url.get_secret_value().partition("://")[0].lower() if c.redis_url else ""
    files = (c.redis_tls_ca_file, c.redis_tls_cert_file, c.redis_tls_key_file)
    tls = scheme.startswith("rediss") if scheme else c.redis_tls
    about_sentinels = c.redis_sentinel_service or c.redis_sentinel_username or c.redis_sentinel_password
    yield bool(c.redis_sentinels) and c.redis_cluster, "redis_sentinels and redis_cluster exclude each other"
    yield (
        bool(c.redis_sentinels and scheme),
        "redis_sentinels and redis_url exclude each other",
    )
    yield bool(about_sentinels and not c.redis_sentinels), "redis_sentinel_* needs redis_sentinels"
    yield bool(c.redis_sentinels and not c.redis_sentinel_service), "redis_sentinels needs redis_sentinel_service"
    yield c.redis_cluster and not scheme and c.redis_db != 0, "redis_cluster has no other database than redis_db 0"
    yield c.redis_cluster and scheme not in ("", *PLAIN_SCHEMES), "redis_cluster needs a redis_url of one TCP server"
    yield c.redis_tls and not tls, "redis_tls does not go with this redis_url; write rediss:// for redis://"
    yield any(files) and not tls, "redis_tls_*_file needs redis_tls, or a redis_url that begins with rediss"
    yield (files[1] is None) != (files[2] is None), "redis_tls_cert_file and redis_tls_key_file go together"
