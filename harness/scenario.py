"""A scenario: what is running, what load it gets, what breaks when, and what must hold. Typed, frozen, no I/O.

The file's keys have units in their values (`reset_timeout: 5s`), the settings of `flexiai` in their names
(`reset_timeout_s=5.0`); `_with_units` is the one place that translates.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from functools import reduce
from random import Random
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import GroupedMetadata
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    Tag,
    TypeAdapter,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from flexiai.types import BreakerConfig, ProviderConfig, RequestConfig, Settings, SyncConfig
from harness.faults import KINDS, TARGETS, Fault, Place, WorkerLateJoin, kinds_of
from harness.units import Duration, Fraction, PositiveDuration, Rate, format_duration, parse_duration, parse_share


class Part(BaseModel):
    """A part of a scenario file: frozen, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


_DURATION = TypeAdapter(Duration).json_schema()


class Latency(Part):
    """A log-normal latency by its median and 99th percentile; a single duration is constant."""

    median: PositiveDuration
    p99: PositiveDuration

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [_DURATION, handler.resolve_ref_schema(handler(core))]}

    @model_validator(mode="before")
    @classmethod
    def _constant(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {"median": value, "p99": value}

    @model_validator(mode="after")
    def _ordered(self) -> Latency:
        if self.p99 < self.median:
            raise ValueError("p99 must not be less than the median")
        return self


class Topology(Part):
    """`instances` uvicorn processes (hosts behind the balancer), each with `workers` worker processes."""

    instances: int = Field(1, ge=1, le=10_000)
    workers: int = Field(4, ge=1, le=10_000)
    balancer: Literal["least_conn", "round_robin", "random"] = "least_conn"

    @property
    def places(self) -> tuple[Place, ...]:
        """Every worker's place."""
        return tuple((i, w) for i in range(1, self.instances + 1) for w in range(1, self.workers + 1))


class ProviderSpec(Part):
    """A provider of the scenario.

    latency         until its answer; of a stream: until its first token
    tokens          how many pieces of content a streamed answer has
    token_interval  from one of them to the next
    wire            the HTTP format it speaks for real (None: by name, else openai)
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    priority: int = 1
    latency: Latency = Latency.model_validate({"median": "50ms", "p99": "200ms"})
    tokens: int = Field(8, ge=1, le=4096)
    token_interval: Duration = 0.01
    wire: Literal["openai", "anthropic"] | None = None

    @property
    def config(self) -> ProviderConfig:
        """The provider as `flexiai` is told of it (without key and address, which are the world's)."""
        return ProviderConfig(name=self.name, model=f"{self.name}-model", priority=self.priority, wire=self.wire)


class RedisSpec(Part):
    """The way to Redis (simulation; for real it is loopback). `latency`: one way."""

    latency: Latency = Latency.model_validate({"median": "100us", "p99": "1ms"})


class Asking(Part):
    """How a load asks.

    stream   the share of its requests whose answers are streams
    cancel   the share of them all whose sender leaves on the way, at a time drawn from what an answer usually takes
    retry    how many more times a request that failed is sent, each under a name of its own
    backoff  how long that waits: so long, then twice as long …; where the answer says `Retry-After`, as it says
    at, for  when
    """

    stream: Fraction = 0.0
    cancel: Fraction = 0.0
    retry: int = Field(0, ge=0, le=100)
    backoff: PositiveDuration = 0.5
    at: Duration = 0.0
    for_: PositiveDuration | None = Field(None, alias="for")


class OpenLoad(Asking):
    """Requests sent at their times, however many are still under way. `to`: what `rate` becomes (None: it stays)."""

    arrival: Literal["poisson", "constant"]
    rate: Rate
    to: Rate | None = None

    @property
    def least(self) -> float:
        """The lowest rate it has, in requests a second."""
        return self.rate if self.to is None else min(self.rate, self.to)


class ClosedLoad(Asking):
    """Users who each send a request, await its end, and send the next one `pace` after the last began."""

    users: int = Field(ge=1, le=100_000)
    pace: PositiveDuration = 1.0


def _load(value: Any) -> Any:
    """`{closed: {users: 40, pace: 1s}}` as the closed load it is."""
    if isinstance(value, dict) and isinstance(value.get("closed"), dict):
        return {**value["closed"], **_without(value, "closed")}
    return value


def _load_tag(value: Any) -> str:
    if isinstance(value, dict):
        return "closed" if "users" in value or "closed" in value else "open"
    return "closed" if isinstance(value, ClosedLoad) else "open"


Load = Annotated[
    Annotated[OpenLoad, Tag("open")] | Annotated[ClosedLoad, Tag("closed")],
    Discriminator(_load_tag),
    BeforeValidator(_load),
]

_EXPECT = re.compile(r"(?P<metric>[a-z_][a-z0-9_.]*)\s*(?P<op><=|>=|==|!=|<|>)\s*(?P<value>\S+)")
_OPS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}


class Expectation(Part):
    """A threshold over a named metric: `sync_latency.p99 < 50ms`. `value` in the metric's unit (seconds, share, 1)."""

    text: str
    metric: str
    op: Literal["<=", ">=", "==", "!=", "<", ">"]
    value: float

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "pattern": "^" + re.sub(r"\?P<\w+>", "", _EXPECT.pattern) + "$"}

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        match = _EXPECT.fullmatch(value.strip())
        if match is None:
            raise ValueError(f"expected 'metric < value', such as 'sync_latency.p99 < 50ms', not {value!r}")
        return {"text": value.strip(), "metric": match["metric"], "op": match["op"], "value": _value(match["value"])}

    @model_serializer
    def _as_text(self) -> str:
        return self.text

    def holds(self, actual: float) -> bool:
        """Whether a measured value meets it."""
        return _OPS[self.op](actual, self.value)


def _in_units(settings: Settings) -> dict[str, Any]:
    """Settings as a section of a file has them: only what differs from the defaults, durations with units."""
    return {
        key.removesuffix("_s"): format_duration(value) if key.endswith("_s") else value
        for key, value in settings.model_dump(exclude_defaults=True).items()
    }


_TARGETS = ", ".join("provider/NAME" if target == "provider" else target for target in TARGETS)


def _known_fault(value: Any) -> Any:
    """A line of `faults:`, if its `target` and `inject` name a fault."""
    if isinstance(value, Fault):
        return value
    if not isinstance(value, dict):
        raise ValueError(f"expected a fault, such as {{at: 15s, for: 5s, target: redis, inject: pause}}, not {value!r}")
    of = str(value.get("target", "")).partition("/")[0]
    kinds = kinds_of(of)
    if not kinds:
        raise PydanticCustomError(
            "target", "unknown target {given}: expected one of {targets}", _at("target", value) | {"targets": _TARGETS}
        )
    if value.get("inject") not in kinds:
        raise PydanticCustomError(
            "inject",
            "unknown fault {given} for {of}: expected one of {kinds}",
            _at("inject", value) | {"of": of, "kinds": ", ".join(sorted(kinds))},
        )
    return value


def _at(key: str, value: dict[str, Any]) -> dict[str, Any]:
    """What an error about one key of a mapping tells the loader, which turns it into a line of the file."""
    return {"key": key, "given": repr(value.get(key))}


def _fault_tag(value: Any) -> str:
    if isinstance(value, Fault):
        return f"{value.of}/{value.name}"
    return f"{str(value['target']).partition('/')[0]}/{value['inject']}"


if TYPE_CHECKING:
    AnyFault = Fault
else:  # the union is made of data, which a type checker cannot read
    AnyFault = Annotated[
        reduce(operator.or_, (Annotated[kind, Tag(f"{kind.of}/{kind.name}")] for kind in KINDS)),
        Discriminator(_fault_tag),
        BeforeValidator(_known_fault),
    ]


def _schema_in_units(settings: type[Settings]) -> dict[str, Any]:
    """The JSON Schema of a section of the file: the settings' own, with durations that have units."""
    schema = settings.model_json_schema()
    timed = {key: _DURATION for key in schema["properties"] if key.endswith("_s")}
    properties = {key.removesuffix("_s"): timed.get(key, one) for key, one in schema["properties"].items()}
    return {**schema, "properties": properties}


class _Section(GroupedMetadata):
    """How a section of the file becomes settings, and back."""

    def __init__(self, settings: type[Settings]) -> None:
        self._settings = settings

    def __iter__(self) -> Iterator[object]:
        yield BeforeValidator(lambda value: _with_units(value, self._settings))
        yield PlainSerializer(_in_units)
        yield WithJsonSchema(_schema_in_units(self._settings))


class Scenario(Part):
    """A whole scenario file. `expect: fail` marks one that shows a known weakness: its run must not pass."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,79}$")
    description: str = Field(min_length=1)
    duration: PositiveDuration
    topology: Topology = Topology()
    providers: tuple[ProviderSpec, ...] = Field(min_length=1)
    breaker: Annotated[BreakerConfig, _Section(BreakerConfig)] = BreakerConfig()
    request: Annotated[RequestConfig, _Section(RequestConfig)] = RequestConfig()
    sync: Annotated[SyncConfig, _Section(SyncConfig)] = SyncConfig()
    redis: RedisSpec = RedisSpec()
    load: tuple[Load, ...] = Field(min_length=1)
    faults: tuple[AnyFault, ...] = ()
    expect: tuple[Expectation, ...] | Literal["fail"] = ()
    without: dict[str, str] = {}  # invariants switched off, each with its reason
    fidelity: dict[str, Fraction | Literal["exact"]] = {}
    drain: PositiveDuration = 10.0  # how long after the load's end its last answers and the fleet's peace are awaited

    def __repr__(self) -> str:
        """To be pasted: as its file has it, without what is so by default."""
        return f"Scenario.model_validate({self.written()})"

    def written(self) -> dict[str, Any]:
        """The mapping that its file has, without what is so by default."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)

    @property
    def ordered_providers(self) -> tuple[ProviderSpec, ...]:
        """The providers as the router tries them: by priority, then by the order in the file."""
        return tuple(sorted(self.providers, key=lambda p: p.priority))

    @property
    def late_instances(self) -> frozenset[int]:
        """The instances that are not there from the beginning."""
        return frozenset(fault.instance for fault in self.faults if isinstance(fault, WorkerLateJoin))

    def targets_of(self, index: int, seed: int, time: int = 0) -> tuple[Place, ...]:
        """The workers that fault `index` is put on when it begins for the `time`th time: the same in both worlds, for
        one seed. None for a role: who has it is seen in the run."""
        some = self.faults[index].workers_choice
        again = f"/{time}" if time else ""
        return some.pick(self.topology.places, Random(f"{seed}/fault/{index}{again}")) if some is not None else ()


def _with_units(value: Any, settings: type[Settings]) -> Any:
    """A section of the file, whose durations have units, as the settings' own fields, whose names have them."""
    if not isinstance(value, dict):
        return value
    fields: dict[str, Any] = {}
    for key, given in value.items():
        timed = f"{key}_s"
        try:
            if timed in settings.model_fields:
                fields[timed] = parse_duration(given)
            elif isinstance(given, str) and given.endswith("%"):
                fields[key] = parse_share(given)
            else:
                fields[key] = given
        except ValueError as error:
            raise PydanticCustomError("unit", "{message}", {"key": key, "message": str(error)}) from error
    return fields


def _value(text: str) -> float:
    for parse in (float, parse_duration, parse_share):
        try:
            return parse(text)
        except ValueError:
            continue
    raise ValueError(f"expected a number, a duration (50ms) or a share (99.9%), not {text!r}")


def _without(mapping: dict[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in mapping.items() if k != key}
