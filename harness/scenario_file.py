"""A scenario file to a `Scenario`: every error names file, line, and what was expected.

YAML gives the lines, pydantic the rules of each part, and `_cross_checks` what only the whole can tell (times beyond
the end, faults that cannot overlap, workers and providers that do not exist).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from itertools import combinations
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from flexiai.types import BreakerConfig, RequestConfig, SyncConfig
from harness.fault_times import anchors_wrong, may_meet, times_wrong
from harness.faults import Fault, Some, WorkerLateJoin, joins_twice, kinds_of
from harness.objections import objection
from harness.scenario import (
    ClosedLoad,
    Latency,
    OpenLoad,
    ProviderSpec,
    RedisSpec,
    Scenario,
    Topology,
)
from harness.units import format_duration
from harness.yaml_file import Loc, ScenarioError, Source, did_you_mean, path_of, read

__all__ = ["ScenarioError", "load", "parse", "scenario_in"]


def load(path: Path, metrics: Mapping[str, object], invariants: Sequence[str]) -> Scenario:
    """The scenario in `path`, in which only these metrics and invariants exist.

    Raises ScenarioError with every problem of the first stage that has any (reading, syntax, parts, the whole).
    """
    return parse(read(path), str(path), metrics, invariants)


def parse(text: str, name: str, metrics: Mapping[str, object], invariants: Sequence[str]) -> Scenario:
    """The scenario in a text; `name` is what errors call it."""
    return scenario_in(Source(text, name), (), metrics, invariants)


def scenario_in(source: Source, at: Loc, metrics: Mapping[str, object], invariants: Sequence[str]) -> Scenario:
    """The scenario at some place of a file, such as a capsule's. Raises ScenarioError."""
    try:
        scenario = Scenario.model_validate(reduce(lambda data, step: data[step], at, source.data))
    except ValidationError as error:
        found = [source.problem((*at, *_place(e)), _message(e, at)) for e in _worth_telling(error)]
        raise ScenarioError(sorted(found, key=lambda p: p.line)) from None
    problems = [source.problem((*at, *loc), what) for loc, what in _cross_checks(scenario, metrics, invariants)]
    if problems:
        raise ScenarioError(problems)
    return scenario


_PARTS: dict[str, type[BaseModel]] = {
    "topology": Topology,
    "providers": ProviderSpec,
    "redis": RedisSpec,
    "latency": Latency,
    "breaker": BreakerConfig,
    "request": RequestConfig,
    "sync": SyncConfig,
    "open": OpenLoad,
    "closed": ClosedLoad,
}


_TAG = re.compile(r"/|\[|^(open|closed)$")


def _keys(loc: Loc) -> list[str]:
    """The keys that a mapping at `loc` may have, as a file writes them."""
    names = [step for step in loc if isinstance(step, str)]
    if not names:
        return list(Scenario.model_fields)
    of, _, name = names[-1].partition("/")
    model = kinds_of(of).get(name) if name else _PARTS.get(of)
    if model is None:
        return []
    return [(field.alias or key).removesuffix("_s") for key, field in model.model_fields.items()]


def _worth_telling(error: ValidationError) -> Iterator[Mapping[str, Any]]:
    """The errors without their echoes: an empty list because its items are wrong, an alternative nobody chose."""
    errors = error.errors()
    for e in errors:
        depth = len(e["loc"])
        echo = e["type"] == "too_short" and any(o["loc"][:depth] == e["loc"] and o is not e for o in errors)
        other = e["type"] == "literal_error" and e["loc"][0] == "expect" and isinstance(e["input"], (list, tuple))
        if not echo and not other:
            yield e


def _place(error: Mapping[str, Any]) -> Loc:
    """Where an error is, in the file's own keys (a union's tag is no key; a setting's unit is not in its key)."""
    key = (error.get("ctx") or {}).get("key")
    steps = [s for s in error["loc"] if not (isinstance(s, str) and _TAG.search(s))]
    if steps and isinstance(steps[-1], str) and steps[0] in ("breaker", "request", "sync"):
        steps[-1] = steps[-1].removesuffix("_s")
    return (*steps, key) if key is not None else tuple(steps)


def _message(error: Mapping[str, Any], at: Loc) -> str:
    """What an error of a scenario at `at` says, in the file's words."""
    loc: Loc = error["loc"]
    name = path_of((*at, *_place(error)))
    match error["type"]:
        case "extra_forbidden":
            keys = _keys(loc[:-1])
            return f"unknown key '{loc[-1]}'{did_you_mean(str(loc[-1]), keys)}; expected one of {', '.join(keys)}"
        case "missing":
            return f"'{loc[-1]}' is missing"
        case "times":
            return str(error["msg"])
        case "unit" | "target" | "inject":
            return f"{name}: {error['msg']}"
        case _:
            return f"{name}: {objection(error)}"


def _cross_checks(
    scenario: Scenario, metrics: Mapping[str, object], invariants: Sequence[str]
) -> Iterator[tuple[Loc, str]]:
    """What is wrong with the whole: (where, what)."""
    yield from _check_providers(scenario)
    for i, fault in enumerate(scenario.faults):
        yield from (((("faults", i, *at)), what) for at, what in _check_fault(scenario, fault))
    yield from ((("faults", i, *at), what) for i, at, what in anchors_wrong(scenario))
    yield from _check_clashes(scenario)
    for i, load in enumerate(scenario.load):
        if load.at >= scenario.duration:
            yield ("load", i, "at"), f"begins at {format_duration(load.at)}, after the run's end"
    for i, expectation in enumerate(scenario.expect if scenario.expect != "fail" else ()):
        if expectation.metric not in metrics:
            hint = did_you_mean(expectation.metric, list(metrics))
            yield ("expect", i), f"there is no metric '{expectation.metric}'{hint}"
    for name in scenario.without:
        if name not in invariants:
            yield ("without", name), f"there is no invariant '{name}'{did_you_mean(name, invariants)}"


def _check_clashes(scenario: Scenario) -> Iterator[tuple[Loc, str]]:
    for (i, a), (j, b) in combinations(enumerate(scenario.faults), 2):
        if isinstance(b, WorkerLateJoin) and joins_twice(a, b):
            yield ("faults", j, "instance"), f"instance {b.instance} joins twice: fault {i + 1} lets it join already"
        if not may_meet(a, b, scenario.faults, scenario.duration):
            continue
        what = f"'{b.name}' on {b.target} overlaps with '{a.name}' (fault {i + 1}): both cannot be"
        if a.after is None and b.after is None:
            yield ("faults", j), what
        else:
            may = what.replace("overlaps", "may overlap")
            yield ("faults", j), f"{may}; let one come after the other has healed: after: {{event: healed, fault: …}}"


def _check_providers(scenario: Scenario) -> Iterator[tuple[Loc, str]]:
    seen: set[str] = set()
    for i, provider in enumerate(scenario.providers):
        if provider.name in seen:
            yield ("providers", i, "name"), f"the provider '{provider.name}' is given twice"
        seen.add(provider.name)


def _check_fault(scenario: Scenario, fault: Fault) -> Iterator[tuple[Loc, str]]:
    names = [p.name for p in scenario.providers]
    if fault.of == "provider" and fault.provider not in names:
        yield ("target",), f"there is no provider '{fault.provider}'; expected provider/ one of {', '.join(names)}"
    if fault.of != "provider" and "/" in fault.target:
        yield ("target",), f"expected '{fault.of}', not '{fault.target}'"
    yield from times_wrong(fault, scenario.duration)
    if isinstance(fault, WorkerLateJoin) and fault.instance > scenario.topology.instances:
        yield ("instance",), f"there is no instance {fault.instance}; the topology has {scenario.topology.instances}"
    if isinstance(fault, WorkerLateJoin) and fault.every is not None:
        yield ("every",), f"instance {fault.instance} can join but once"
    some = getattr(fault, "workers", None)
    wrong = some.check(scenario.topology.places) if isinstance(some, Some) else None
    if wrong:
        yield ("workers",), wrong
