"""The vocabulary of faults, as data: what a scenario file may say, and what each fault is a stand-in for.

A fault says what breaks, when and for how long; the worlds say how. `cause` names what does this to real systems.
"""

from __future__ import annotations

import re
from random import Random
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_serializer

from harness.units import Duration, Fraction, PositiveDuration

Place = tuple[int, int]
"""A worker's place: (instance, slot), both counted from 1."""

_K_OF_N = re.compile(r"(?P<k>\d+)\s+of\s+(?P<n>\d+)")


class Some(BaseModel):
    """Which workers: `2 of 12` (drawn by the seed), `all`, or one by its place, `1.3` (instance 1, worker 3)."""

    model_config = ConfigDict(frozen=True)
    text: str
    k: int | None = None
    n: int | None = None
    place: Place | None = None

    @model_serializer
    def _as_text(self) -> str:
        return self.text

    def pick(self, places: tuple[Place, ...], rng: Random) -> tuple[Place, ...]:
        """The chosen places, in order."""
        if self.place is not None:
            return (self.place,)
        if self.k is None:
            return places
        return tuple(sorted(rng.sample(places, self.k)))

    def check(self, places: tuple[Place, ...]) -> str | None:
        """What is wrong with this choice among `places`, or None."""
        if self.place is not None and self.place not in places:
            return f"there is no worker {self.text}"
        if self.n is not None and self.n != len(places):
            return f"'{self.text}': the topology has {len(places)} workers"
        if self.k is not None and not 1 <= self.k <= len(places):
            return f"'{self.text}': expected 1 to {len(places)} workers"
        return None


def _some(value: Any) -> Any:
    if isinstance(value, Some):
        return value
    text = str(value).strip()
    if text == "all":
        return Some(text=text)
    if match := _K_OF_N.fullmatch(text):
        return Some(text=text, k=int(match["k"]), n=int(match["n"]))
    if match := re.fullmatch(r"(\d+)\.(\d+)", text):
        return Some(text=text, place=(int(match[1]), int(match[2])))
    raise ValueError(f"expected 'all', 'K of N' or a worker's place such as '1.3', not {value!r}")


Workers = Annotated[
    Some,
    BeforeValidator(_some),
    WithJsonSchema({"type": "string", "pattern": r"^(all|\d+\s+of\s+\d+|\d+\.\d+)$"}),
]
ALL = Some(text="all")


def _pin(schema: dict[str, Any], kind: type[Fault]) -> None:
    """In the published schema, each kind of fault is told by its target and name."""
    target = {"pattern": "^provider/."} if kind.of == "provider" else {"const": kind.of}
    schema["properties"] |= {"target": {"type": "string", **target}, "inject": {"const": kind.name}}


class Fault(BaseModel):
    """One line of `faults:`. `at` and `for` are seconds since the load began; without `for` it lasts to the end."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, json_schema_extra=_pin)

    of: ClassVar[str]  # what it may be put on: provider | redis | worker
    name: ClassVar[str]
    cause: ClassVar[str]
    example: ClassVar[str]
    needs_for: ClassVar[bool] = False
    instant: ClassVar[bool] = False  # happens at a moment; `for` means nothing
    rules_out: ClassVar[frozenset[str]] = frozenset()  # faults on the same target that cannot overlap with it

    at: Duration
    for_: PositiveDuration | None = Field(None, alias="for")
    target: str
    inject: str

    @property
    def provider(self) -> str:
        """The provider it is put on (provider faults only)."""
        return self.target.partition("/")[2]

    def until(self, duration: float) -> float:
        """When it is healed, in a run of `duration` seconds."""
        return self.at if self.instant else min(duration, self.at + (self.for_ if self.for_ is not None else duration))


ANSWERS = frozenset({"error", "rate_limit", "hang", "refuse"})
"""The faults that decide a provider's answer: no two of them can be at once."""

_PROCESS = frozenset({"kill", "restart", "pause"})


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


class RedisKill(Fault):
    """Killed (SIGKILL); with `for`, started again afterwards, empty."""

    of, name = "redis", "kill"
    cause = "out of memory, a node lost, a failover without a replica"
    example = "{at: 20s, for: 5s, target: redis, inject: kill}"
    rules_out = _PROCESS


class RedisPause(Fault):
    """Frozen (SIGSTOP): connections stay open, nothing is answered."""

    of, name = "redis", "pause"
    cause = "a long fork, swap, a stalled disk, a frozen virtual machine"
    example = "{at: 20s, for: 5s, target: redis, inject: pause}"
    needs_for = True
    rules_out = _PROCESS


class RedisPartition(Fault):
    """Cannot be reached from some workers: bytes are held, in both directions, until it heals."""

    of, name = "redis", "partition"
    cause = "a network partition between an availability zone and Redis"
    example = '{at: 20s, for: 10s, target: redis, inject: partition, workers: "2 of 12"}'
    needs_for = True
    rules_out = frozenset({"partition"})
    workers: Workers = ALL


class RedisLatency(Fault):
    """Further away: each direction takes `add` longer."""

    of, name = "redis", "latency"
    cause = "a congested link, a Redis in another region"
    example = "{at: 20s, for: 10s, target: redis, inject: latency, add: 100ms}"
    rules_out = frozenset({"latency"})
    add: PositiveDuration


class RedisFlush(Fault):
    """Loses all it holds (FLUSHALL)."""

    of, name = "redis", "flush"
    cause = "an operator's mistake, eviction"
    example = "{at: 20s, target: redis, inject: flush}"
    instant = True


class WorkerKill(Fault):
    """Killed (SIGKILL); its supervisor starts another in its place."""

    of, name = "worker", "kill"
    cause = "out of memory, a crash in a C extension, a node lost"
    example = '{at: 20s, target: worker, inject: kill, workers: "1 of 12"}'
    instant = True
    workers: Workers = ALL


class WorkerRestart(Fault):
    """Asked to end (SIGTERM); its supervisor starts another in its place."""

    of, name = "worker", "restart"
    cause = "a deployment, a worker recycled after many requests"
    example = '{at: 20s, target: worker, inject: restart, workers: "1 of 12"}'
    instant = True
    workers: Workers = ALL


class WorkerPause(Fault):
    """Frozen (SIGSTOP), and woken with old news (SIGCONT)."""

    of, name = "worker", "pause"
    cause = "CPU steal, a stop-the-world dump, a suspended container"
    example = '{at: 20s, for: 10s, target: worker, inject: pause, workers: "1 of 12"}'
    needs_for = True
    workers: Workers = ALL


KINDS: tuple[type[Fault], ...] = (
    ProviderError,
    ProviderRateLimit,
    ProviderHang,
    ProviderRefuse,
    ProviderLatency,
    ProviderPartition,
    RedisKill,
    RedisPause,
    RedisPartition,
    RedisLatency,
    RedisFlush,
    WorkerKill,
    WorkerRestart,
    WorkerPause,
)
Of = Literal["provider", "redis", "worker"]


def kinds_of(of: str) -> dict[str, type[Fault]]:
    """The faults that can be put on a provider, on redis or on workers, by name."""
    return {kind.name: kind for kind in KINDS if kind.of == of}


def overlap(a: Fault, b: Fault, duration: float) -> bool:
    """Whether two faults are on one target at the same time and cannot both be."""
    if a.target != b.target or (b.name not in a.rules_out and a.name not in b.rules_out):
        return False
    return a.at < b.until(duration) and b.at < a.until(duration)
