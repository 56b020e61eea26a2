"""A plan and a seed to a scenario. The same plan and seed give the same scenario, on any machine.

Rules
-----
* What is drawn is a document as a scenario file has it, then validated: every drawn scenario can be written to a file.
* Swarm: each seed may use only some kinds of fault, since rare combinations hide behind common ones.
* Faults flock: one often begins where another begins or ends.
* All faults are over when the safety phase is; the liveness phase sees a world in which everything works.
"""

from __future__ import annotations

import re
from random import Random
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from harness.campaign.plan import FaultsPlan, Plan, Section
from harness.checkers.bounds import Bounds
from harness.faults import COMMON, Fault, Some, joins_twice, overlap
from harness.scenario import Scenario, Topology
from harness.units import format_duration, parse_duration, parse_share

EARLIEST_S = 0.2
"""No fault before: the fleet has just begun."""

FLOCKING = 0.4
"""The share of faults that begin where another begins or ends."""

NEAR_S = (-0.1, 0.3)
"""How long before or after the other."""

PARTIAL = 0.3
"""The share of faults that hit only a part of what they could."""

TRIES = 20
INSTANCE, FIRST_LATE = "instance", 2
"""The parameter that names an instance, and the first that may join late."""

Document = dict[str, Any]


def draw(plan: Plan, seed: int) -> Scenario:
    """The scenario of a seed."""
    rng = Random(f"{plan.name}/{seed}")
    safety_s, liveness_s = _seconds(plan.safety.draw(rng)), _seconds(plan.liveness.draw(rng))
    document = _world(plan, seed, rng)
    scenario = Scenario.model_validate(document | {"duration": format_duration(safety_s + liveness_s)})
    if rng.random() < plan.settled:
        liveness_s = max(liveness_s, settled_s(scenario))
    faults = _Faults(plan.faults, scenario, safety_s, rng).draw()
    return scenario.model_copy(update={"duration": round(safety_s + liveness_s, 3), "faults": faults})


def _world(plan: Plan, seed: int, rng: Random) -> Document:
    streams = Random(f"{plan.name}/{seed}/streams")  # of its own: whether there are streams moves nothing else
    pace = {key: getattr(plan.providers, key).draw(streams) for key in ("tokens", "token_interval")}
    manner = {key: getattr(plan.load, key).draw(streams) for key in ("stream", "cancel")}
    return {
        "name": f"{plan.name}-{seed}",
        "description": f"Drawn by campaign {plan.name}, seed {seed}.",
        "duration": "1s",
        "topology": {key: getattr(plan.topology, key).draw(rng) for key in ("instances", "workers", "balancer")},
        "providers": [provider | pace for provider in _providers(plan, rng)],
        "redis": {"latency": _latency(plan.redis.latency.draw(rng), plan.redis.tail.draw(rng))},
        "breaker": _section(plan.breaker, rng),
        "request": _section(plan.request, rng),
        "sync": _section(plan.sync, rng),
        "load": [_load(plan, rng) | manner],
        "without": dict(plan.without),
    }


def _providers(plan: Plan, rng: Random) -> list[Document]:
    tied = rng.random() < plan.providers.tied
    return [
        {
            "name": f"p{n}",
            "priority": 1 if tied else n,
            "latency": _latency(plan.providers.latency.draw(rng), plan.providers.tail.draw(rng)),
        }
        for n in range(1, _whole(plan.providers.count.draw(rng)) + 1)
    ]


def _latency(median: Any, tail: Any) -> Document:
    return {"median": median, "p99": format_duration(round(_seconds(median) * float(tail), 6))}


def _load(plan: Plan, rng: Random) -> Document:
    rate = plan.load.rate.draw(rng)
    if rng.random() >= plan.load.closed:
        return {"arrival": plan.load.arrival.draw(rng), "rate": rate}
    users = _whole(plan.load.users.draw(rng))
    per_s = float(str(rate).partition("/")[0])
    return {"users": users, "pace": format_duration(round(users / per_s, 3))}


def _section(section: Section, rng: Random) -> Document:
    return bounded({key: spread.draw(rng) for key, spread in section.items()})


def bounded(drawn: Document) -> Document:
    """A section of settings in which no greatest value is less than the value that it bounds."""
    for key, value in drawn.items():
        least = drawn.get(key.removeprefix("max_"))
        if key.startswith("max_") and least is not None and _seconds(value) < _seconds(least):
            drawn[key] = least
    return drawn


def settled_s(scenario: Scenario) -> float:
    """How long the liveness phase must be so that no check of it stays undecided."""
    bounds, longest = Bounds.of(scenario), scenario.breaker.max_reset_timeout_s * (1 + scenario.breaker.reset_jitter)
    return round(bounds.settle + longest + bounds.recovery(longest) + 1.0, 1)


def fits(kind: type[Fault], topology: Topology) -> bool:
    """Whether a fleet has what the kind is put on: a second instance, for one that joins late."""
    return INSTANCE not in kind.model_fields or topology.instances >= FIRST_LATE


class _Faults:
    """The faults of a seed in the drawing, all over by `safety_s`."""

    def __init__(self, plan: FaultsPlan, scenario: Scenario, safety_s: float, rng: Random) -> None:
        self._plan, self._scenario, self._safety_s, self._rng = plan, scenario, safety_s, rng
        self._drawn: list[Fault] = []

    def draw(self) -> tuple[Fault, ...]:
        """All of them, in time order."""
        kinds = self._swarm()
        for _ in range(_whole(self._plan.count.draw(self._rng)) if kinds else 0):
            self._add(kinds)
        return tuple(sorted(self._drawn, key=lambda f: f.at))

    def _swarm(self) -> list[type[Fault]]:
        chosen = [kind for kind in self._plan.chosen if fits(kind, self._scenario.topology)]
        some = [kind for kind in chosen if self._rng.random() < self._plan.swarm]
        return some or ([self._rng.choice(chosen)] if chosen else [])

    def _add(self, kinds: list[type[Fault]]) -> None:
        """One more, that can be beside the others; none, if that proves hard."""
        for _ in range(TRIES):
            fault = self._one(self._rng.choice(kinds))
            if not any(overlap(fault, other, self._safety_s) or joins_twice(fault, other) for other in self._drawn):
                self._drawn.append(fault)
                return

    def _one(self, kind: type[Fault]) -> Fault:
        """A fault of that kind; drawn again while its parameters contradict each other."""
        for _ in range(TRIES):
            document = self._document(kind)
            try:
                return kind.model_validate(document)
            except ValidationError as error:
                refused = error
        raise ValueError(f"{kind.of}/{kind.name} cannot be drawn as {document}: {refused}") from refused

    def _document(self, kind: type[Fault]) -> Document:
        document = {"target": self._target(kind), "inject": kind.name, **self._parameters(kind)}
        lasts_s = 0.0 if kind.instant else self._lasts_s()
        document["at"] = format_duration(self._when(lasts_s))
        if not kind.instant:
            document["for"] = format_duration(lasts_s)
        return document

    def _target(self, kind: type[Fault]) -> str:
        """The better a provider, the more likely: what nobody asks cannot break."""
        if kind.of != "provider":
            return kind.of
        providers = self._scenario.ordered_providers
        return f"provider/{providers[int(len(providers) * self._rng.random() ** 2)].name}"

    def _lasts_s(self) -> float:
        return round(min(_seconds(self._plan.lasting.draw(self._rng)), self._safety_s - EARLIEST_S), 3)

    def _when(self, lasts_s: float) -> float:
        latest = max(EARLIEST_S, self._safety_s - lasts_s)
        at = self._rng.uniform(EARLIEST_S, latest)
        if self._drawn and self._rng.random() < FLOCKING:
            other = self._rng.choice(self._drawn)
            edge = other.at if self._rng.random() < 0.5 else other.until(self._safety_s)
            at = edge + self._rng.uniform(*NEAR_S)
        return round(min(max(at, EARLIEST_S), latest), 3)

    def _parameters(self, kind: type[Fault]) -> Document:
        told = self._plan.parameters.get(f"{kind.of}/{kind.name}", {})
        found = {
            name: told[name].draw(self._rng) if name in told else self._parameter(kind, name, field)
            for name, field in kind.model_fields.items()
            if name not in COMMON
        }
        return {name: value for name, value in found.items() if value is not None}

    def _parameter(self, kind: type[Fault], name: str, field: FieldInfo) -> Any:
        """A parameter that the plan says nothing of; None: its default."""
        readers = [getattr(m, "func", None) for m in field.metadata]
        if field.annotation is Some:
            return self._workers()
        if name == INSTANCE:
            return self._rng.randint(FIRST_LATE, self._scenario.topology.instances)
        if get_origin(field.annotation) is Literal:
            return self._rng.choice(get_args(field.annotation))
        if parse_share in readers:
            return f"{self._rng.randint(20, 90)}%" if self._rng.random() < PARTIAL else None
        if not field.is_required():
            return None
        return self._plan.amount.draw(self._rng) if parse_duration in readers else yaml.safe_load(kind.example)[name]

    def _workers(self) -> str:
        count = len(self._scenario.topology.places)
        if self._rng.random() < PARTIAL:
            return "all"
        return f"{self._rng.randint(1, max(1, count - 1))} of {count}"


def _seconds(value: Any) -> float:
    return parse_duration(value)


def _whole(value: Any) -> int:
    if not re.fullmatch(r"\d+", str(value)):
        raise ValueError(f"expected a whole number, not {value!r}")
    return int(value)
