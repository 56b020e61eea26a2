"""A scenario file to a `Scenario`: every error names file, line, and what was expected.

YAML gives the lines, pydantic the rules of each part, and `_cross_checks` what only the whole can tell (times beyond
the end, faults that cannot overlap, workers and providers that do not exist).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from flexiai.types import BreakerConfig, RequestConfig, SyncConfig
from harness.faults import Fault, Some, kinds_of, overlap
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

Loc = tuple[int | str, ...]
MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a file."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class ScenarioError(ValueError):
    """A scenario file that cannot be run; one problem a line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def load(path: Path, metrics: Mapping[str, object], invariants: Sequence[str]) -> Scenario:
    """The scenario in `path`, in which only these metrics and invariants exist.

    Raises ScenarioError with every problem of the first stage that has any (reading, syntax, parts, the whole).
    """
    return parse(_read(path), str(path), metrics, invariants)


def parse(text: str, name: str, metrics: Mapping[str, object], invariants: Sequence[str]) -> Scenario:
    """The scenario in a text; `name` is what errors call it."""
    source = _Source(text, name)
    try:
        scenario = Scenario.model_validate(source.data)
    except ValidationError as error:
        found = [source.problem(_place(e), _message(e)) for e in _worth_telling(error)]
        raise ScenarioError(sorted(found, key=lambda p: p.line)) from None
    problems = [source.problem(loc, what) for loc, what in _cross_checks(scenario, metrics, invariants)]
    if problems:
        raise ScenarioError(problems)
    return scenario


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ScenarioError([Problem(str(path), 1, f"expected a scenario file of at most {MAX_BYTES} bytes")])
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ScenarioError([Problem(str(path), 1, _missing(path))]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError([Problem(str(path), 1, f"cannot be read as UTF-8 text: {error}")]) from None


def _missing(path: Path) -> str:
    there = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
    return f"there is no such file{_did_you_mean(path.name, there)}"


class _Source:
    """A YAML text as plain data, with the line of everything in it."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        try:
            loader = yaml.SafeLoader(text)
            self.root = loader.get_single_node()
            self.data: Any = loader.construct_document(self.root) if self.root is not None else None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            what = " ".join(filter(None, (error.context, error.problem)))
            raise ScenarioError([Problem(name, mark.line + 1 if mark else 1, f"not YAML: {what}")]) from None
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise ScenarioError([Problem(name, 1, f"not YAML: {error}")]) from None
        self._refuse_twins(self.root)
        if not isinstance(self.data, dict):
            raise ScenarioError([Problem(name, 1, "expected a mapping with name, description, duration, …")])

    def problem(self, loc: Loc, message: str) -> Problem:
        """A problem at the innermost thing of `loc` that the file has."""
        return Problem(self.name, self._line(loc), message)

    def _line(self, loc: Loc) -> int:
        node, line = self.root, 1
        for step in loc:
            found = self._child(node, step)
            if found is None:
                break
            key, node = found
            line = key.start_mark.line + 1
        return line

    @staticmethod
    def _child(node: yaml.Node | None, step: int | str) -> tuple[yaml.Node, yaml.Node] | None:
        if isinstance(node, yaml.MappingNode):
            return next(((k, v) for k, v in node.value if k.value == step), None)
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            return node.value[step], node.value[step]
        return None

    def _refuse_twins(self, node: yaml.Node | None, above: tuple[yaml.Node, ...] = ()) -> None:
        """A key written twice, of which YAML would lose the first in silence, and an alias that holds itself."""
        if node is not None and node in above:
            raise ScenarioError([Problem(self.name, node.start_mark.line + 1, "an alias that contains itself")])
        if isinstance(node, yaml.MappingNode):
            seen: set[Any] = set()
            for key, value in node.value:
                if key.value in seen:
                    raise ScenarioError([Problem(self.name, key.start_mark.line + 1, f"'{key.value}' is given twice")])
                seen.add(key.value)
                self._refuse_twins(value, (*above, node))
        elif isinstance(node, yaml.SequenceNode):
            for item in node.value:
                self._refuse_twins(item, (*above, node))


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


def _message(error: Mapping[str, Any]) -> str:
    """What an error says, in the file's words."""
    loc: Loc = error["loc"]
    name = _path(_place(error))
    match error["type"]:
        case "extra_forbidden":
            keys = _keys(loc[:-1])
            return f"unknown key '{loc[-1]}'{_did_you_mean(str(loc[-1]), keys)}; expected one of {', '.join(keys)}"
        case "missing":
            return f"'{loc[-1]}' is missing"
        case "value_error" | "unit" | "target" | "inject":
            return f"{name}: {str(error['msg']).removeprefix('Value error, ')}"
        case _:
            return f"{name}: {error['msg'][0].lower()}{error['msg'][1:]}, not {error.get('input')!r:.80}"


def _path(loc: Loc) -> str:
    """`providers[2].latency.median`, items counted from 1 as people do."""
    text = "".join(f"[{step + 1}]" if isinstance(step, int) else f".{step}" for step in loc)
    return text.lstrip(".") or "the file"


def _did_you_mean(word: str, words: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, words, n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def _cross_checks(
    scenario: Scenario, metrics: Mapping[str, object], invariants: Sequence[str]
) -> Iterator[tuple[Loc, str]]:
    """What is wrong with the whole: (where, what)."""
    yield from _check_providers(scenario)
    for i, fault in enumerate(scenario.faults):
        yield from (((("faults", i, *at)), what) for at, what in _check_fault(scenario, fault))
    for (i, a), (j, b) in combinations(enumerate(scenario.faults), 2):
        if overlap(a, b, scenario.duration):
            yield ("faults", j), f"'{b.name}' on {b.target} overlaps with '{a.name}' (fault {i + 1}): both cannot be"
    for i, load in enumerate(scenario.load):
        if load.at >= scenario.duration:
            yield ("load", i, "at"), f"begins at {format_duration(load.at)}, after the run's end"
    for i, expectation in enumerate(scenario.expect if scenario.expect != "fail" else ()):
        if expectation.metric not in metrics:
            hint = _did_you_mean(expectation.metric, list(metrics))
            yield ("expect", i), f"there is no metric '{expectation.metric}'{hint}"
    for name in scenario.without:
        if name not in invariants:
            yield ("without", name), f"there is no invariant '{name}'{_did_you_mean(name, invariants)}"


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
    if fault.at >= scenario.duration:
        yield ("at",), f"happens at {format_duration(fault.at)}, after the run's end at {scenario.duration:g}s"
    if fault.needs_for and fault.for_ is None:
        yield ("inject",), f"'{fault.name}' needs a time to end: expected 'for', such as for: 5s"
    if fault.instant and fault.for_ is not None:
        yield ("for",), f"'{fault.name}' happens at one moment; 'for' means nothing to it"
    some = getattr(fault, "workers", None)
    wrong = some.check(scenario.topology.places) if isinstance(some, Some) else None
    if wrong:
        yield ("workers",), wrong
