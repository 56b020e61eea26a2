"""A campaign file, typed: within which bounds each seed's scenario is drawn, and what must be reached.

A run has two phases: for `safety` faults come and go; then all is healed, and for `liveness` the fleet must find back.
In `settled` of the seeds the second phase lasts as long as every bound of the checkers needs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, Field, ValidationError

from flexiai.types import BreakerConfig, RequestConfig, Settings, SyncConfig
from harness.campaign.spread import Amounts, Counts, Durations, Numbers, Rates, Shares, Spread, Value
from harness.faults import COMMON, KINDS, EventName, Fault
from harness.objections import objection
from harness.scenario import Part, Scenario
from harness.units import Fraction
from harness.yaml_file import Loc, ScenarioError, Source, did_you_mean, path_of, read


def _spread(value: Any) -> Spread:
    return Spread.model_validate(value)


class TopologyPlan(Part):
    """How many instances, and workers in each."""

    instances: Counts = _spread("1..2")
    workers: Counts = _spread("2..3")
    balancer: Spread = _spread(["least_conn", "round_robin", "random"])


class ProvidersPlan(Part):
    """How many providers, and how fast. `tail`: how many times the median the 99th percentile is; `tied`: the share of
    seeds in which all have one priority; `tokens`, `token_interval`: of their streams."""

    count: Counts = _spread("2..3")
    latency: Durations = _spread("10ms..80ms")
    tail: Numbers = _spread("1.5..4.0")
    tied: Fraction = 0.1
    tokens: Counts = _spread("2..8")
    token_interval: Durations = _spread("1ms..50ms")


class RedisPlan(Part):
    """The way to Redis."""

    latency: Durations = _spread("100us..2ms")
    tail: Numbers = _spread("2.0..10.0")


class LoadPlan(Part):
    """The load.

    closed          the share of seeds whose load are users that wait for their answers
    stream, cancel  the share of a seed's requests that are streams, or whose senders leave on the way
    retry           how many more times a request that failed is sent
    last            so many requests for each worker in the last second of a seed that took a provider away: whoever is
                    asked nothing more shows nothing
    """

    arrival: Spread = _spread(["poisson", "constant"])
    rate: Rates = _spread("2/s..4/s")
    closed: Fraction = 0.2
    users: Counts = _spread("2..6")
    stream: Shares = _spread("0%")
    cancel: Shares = _spread("0%")
    retry: Amounts = _spread("0")
    last: Amounts = _spread("0")


class FaultsPlan(Part):
    """What breaks.

    kinds       `provider/error` …; all that there are unless told otherwise
    without     kinds left out, each with its reason
    swarm       the share of the kinds that a seed may use at all
    amount      what durations among parameters are drawn from that nothing is said of
    parameters  of a kind: what its parameters are drawn from; others keep their defaults
    after       the share that waits for something that another fault brings about
    events      what they may wait for
    wait        how long after that they begin
    roles       of those on workers that wait for it: the share put on whoever did it (`opener`, `probe_holder`)
    ends        the share of those that last that may end sooner, with what another fault brings about
    every       the share that comes again and again
    gap         how long one that comes again is away; half of them are late by up to half of it
    """

    count: Amounts = _spread("1..4")
    kinds: tuple[str, ...] = tuple(f"{kind.of}/{kind.name}" for kind in KINDS)
    without: dict[str, str] = Field({})
    swarm: Fraction = 0.4
    lasting: Durations = Field(_spread("300ms..3s"), alias="for")
    amount: Durations = _spread("20ms..800ms")
    parameters: dict[str, dict[str, Spread]] = Field({})
    after: Fraction = 0.0
    events: tuple[EventName, ...] = Field(get_args(EventName), min_length=1)
    wait: Durations = _spread("1ms..500ms")
    roles: Fraction = 0.5
    ends: Fraction = 0.0
    every: Fraction = 0.0
    gap: Durations = _spread("100ms..1s")

    @property
    def chosen(self) -> tuple[type[Fault], ...]:
        """The kinds of fault that a seed may have."""
        return _chosen(self.kinds, tuple(self.without))


@cache
def _chosen(kinds: tuple[str, ...], without: tuple[str, ...]) -> tuple[type[Fault], ...]:
    wanted = set(kinds) - set(without)
    return tuple(kind for kind in KINDS if f"{kind.of}/{kind.name}" in wanted and "sim" in kind.worlds)


def _settings(settings: type[Settings]) -> AfterValidator:
    """The spreads of a section of settings: each key exists, and takes the values at both ends."""

    def check(section: dict[str, Spread]) -> dict[str, Spread]:
        names = {key.removesuffix("_s"): key for key in settings.model_fields}
        for key, spread in section.items():
            if key not in names:
                raise ValueError(f"unknown setting '{key}'{did_you_mean(key, list(names))}")
            if names[key].endswith("_s") and spread.kind != "duration":
                raise ValueError(f"'{key}': expected durations, such as 200ms..2s")
        return section

    return AfterValidator(check)


Section = dict[str, Spread]


class Plan(Part):
    """A whole campaign file.

    seeds       how many, unless the command line says otherwise
    twice       the share of seeds that is run a second time in another process and compared
    must_reach  rare paths (`harness coverage`) that some seed has to take
    without     invariants switched off, each with its reason
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$")
    description: str = Field(min_length=1)
    seeds: int = Field(1000, ge=1, strict=True)
    twice: Fraction = 0.01
    safety: Durations = _spread("2s..5s")
    liveness: Durations = _spread("3s..6s")
    settled: Fraction = 0.1
    topology: TopologyPlan = TopologyPlan()
    providers: ProvidersPlan = ProvidersPlan()
    redis: RedisPlan = RedisPlan()
    load: LoadPlan = LoadPlan()
    breaker: Annotated[Section, _settings(BreakerConfig)] = Field({})
    request: Annotated[Section, _settings(RequestConfig)] = Field({})
    sync: Annotated[Section, _settings(SyncConfig)] = Field({})
    faults: FaultsPlan = FaultsPlan()
    must_reach: tuple[str, ...] = ()
    without: dict[str, str] = Field({})

    @property
    def fingerprint(self) -> str:
        """A hash of all that decides what is drawn and checked."""
        text = self.model_dump_json(by_alias=True, exclude={"description", "seeds", "must_reach"})
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def load(path: Path, paths: Sequence[str], invariants: Sequence[str]) -> Plan:
    """The campaign in a file, in which only these rare paths and invariants exist. Raises ScenarioError."""
    return parse(read(path), str(path), paths, invariants)


def parse(text: str, name: str, paths: Sequence[str], invariants: Sequence[str]) -> Plan:
    """The campaign in a text; `name` is what errors call it."""
    source = Source(text, name, "name, description, faults")
    try:
        plan = Plan.model_validate(source.data)
    except ValidationError as error:
        own = [e for e in error.errors() if e["type"] != "too_short" or not e["input"]]  # else: of its items' errors
        found = [source.problem(_place(e), _message(e)) for e in own]
        raise ScenarioError(sorted(found, key=lambda p: p.line)) from None
    problems = [source.problem(at, what) for at, what in _cross_checks(plan, paths, invariants)]
    if problems:
        raise ScenarioError(problems)
    return plan


def _place(error: Mapping[str, Any]) -> Loc:
    loc: Loc = error["loc"]
    if error["type"] == "value_error" and loc and loc[0] in ("breaker", "request", "sync"):
        word = re.search(r"'(\w+)'", str(error["msg"]))
        return (*loc, word[1]) if word else loc
    return loc


def _message(error: Mapping[str, Any]) -> str:
    match error["type"]:
        case "extra_forbidden":
            keys = _keys(error["loc"][:-1])
            key = str(error["loc"][-1])
            return f"unknown key '{key}'{did_you_mean(key, keys)}; expected one of {', '.join(keys)}"
        case "missing":
            return f"'{error['loc'][-1]}' is missing"
        case _:
            return f"{path_of(error['loc'])}: {objection(error)}"


def _keys(loc: Loc) -> list[str]:
    model: Any = Plan
    for step in loc:
        model = model.model_fields[step].annotation
    return [field.alias or key for key, field in model.model_fields.items()]


def _cross_checks(plan: Plan, paths: Sequence[str], invariants: Sequence[str]) -> Iterator[tuple[Loc, str]]:
    yield from _check_faults(plan.faults)
    for i, path in enumerate(plan.must_reach):
        if path not in paths:
            yield ("must_reach", i), f"there is no path '{path}'{did_you_mean(path, paths)}"
    for name in plan.without:
        if name not in invariants:
            yield ("without", name), f"there is no invariant '{name}'{did_you_mean(name, invariants)}"
    yield from _check_settings(plan)
    yield from dict.fromkeys(_check_words(plan))


def _check_settings(plan: Plan) -> Iterator[tuple[Loc, str]]:
    """Each value at an end must be one that a scenario may have."""
    for part in ("breaker", "request", "sync"):
        section: Section = getattr(plan, part)
        found = {
            wrong: None
            for key, spread in section.items()
            for value in spread.extremes
            for wrong in _refused({part: {**_least(section), key: value}}, part)
        }
        yield from found


def _least(section: Section) -> dict[str, Any]:
    """A section at its lower ends, but greatest where a name says that it is a bound for others."""
    return {key: s.extremes[-1 if key.startswith("max_") else 0] for key, s in section.items()}


_SCENARIO: dict[str, Any] = {
    "name": "x",
    "description": "x",
    "duration": "1s",
    "providers": [{"name": "x"}],
    "load": [{"arrival": "constant", "rate": "1/s"}],
}


def _refused(sections: dict[str, Any], part: str) -> list[tuple[Loc, str]]:
    """What is wrong with a scenario that has these sections, in the keys of a campaign file."""
    try:
        Scenario.model_validate(_SCENARIO | sections)
    except ValidationError as error:
        return [_in_part(part, e) for e in error.errors()]
    return []


def _in_part(part: str, error: Mapping[str, Any]) -> tuple[Loc, str]:
    keys = [step.removesuffix("_s") for step in error["loc"][1:2] if isinstance(step, str)]
    return (part, *keys), f"{path_of((part, *keys))}: {objection(error)}"


def _check_words(plan: Plan) -> Iterator[tuple[Loc, str]]:
    """So must be those of the topology, the load and the answers."""
    for loc, document in _samples(plan):
        try:
            Scenario.model_validate(_SCENARIO | document)
        except ValidationError as error:
            yield loc, f"{path_of(loc)}: {objection(error.errors()[0])}"


def _samples(plan: Plan) -> Iterator[tuple[Loc, dict[str, Any]]]:
    """Scenarios with one value of the plan each, and where that is."""
    for key in ("instances", "workers", "balancer"):
        for value in getattr(plan.topology, key).extremes:
            yield ("topology", key), {"topology": {key: value}}
    for key in ("tokens", "token_interval"):
        for value in getattr(plan.providers, key).extremes:
            yield ("providers", key), {"providers": [{"name": "x", key: value}]}
    for key in ("arrival", "rate", "stream", "cancel", "retry"):
        for value in getattr(plan.load, key).extremes:
            yield ("load", key), {"load": [{"arrival": "constant", "rate": "1/s", key: value}]}
    for value in plan.load.users.extremes:
        yield ("load", "users"), {"load": [{"users": value}]}


def _check_faults(faults: FaultsPlan) -> Iterator[tuple[Loc, str]]:
    kinds = {f"{kind.of}/{kind.name}": kind for kind in KINDS}
    for i, name in enumerate(faults.kinds):
        if name not in kinds:
            yield ("faults", "kinds", i), f"there is no fault '{name}'{did_you_mean(name, list(kinds))}"
    for name in faults.without:
        if name not in kinds:
            yield ("faults", "without", name), f"there is no fault '{name}'{did_you_mean(name, list(kinds))}"
    for name, parameters in faults.parameters.items():
        if name not in kinds:
            yield ("faults", "parameters", name), f"there is no fault '{name}'{did_you_mean(name, list(kinds))}"
            continue
        fields = [key for key in kinds[name].model_fields if key not in COMMON]
        for key, spread in parameters.items():
            at = ("faults", "parameters", name, key)
            if key not in fields:
                yield at, f"'{name}' has no parameter '{key}'{did_you_mean(key, fields)}"
                continue
            for wrong in dict.fromkeys(_refused_parameter(kinds[name], key, value) for value in spread.extremes):
                if wrong is not None:
                    yield at, f"{path_of(at)}: {wrong}"
    if not faults.chosen and faults.count.numbers[1] > 0:
        yield ("faults",), "no kind of fault is left to draw from"


def _refused_parameter(kind: type[Fault], key: str, value: Value) -> str | None:
    """What is wrong with a fault's parameter itself; others may be wanting here, and are drawn."""
    target = "provider/x" if kind.of == "provider" else kind.of
    try:
        kind.model_validate({"target": target, "inject": kind.name, "at": 0, key: value})
    except ValidationError as error:
        return next((objection(e) for e in error.errors() if e["loc"][:1] == (key,)), None)
    return None
