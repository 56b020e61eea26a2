"""A plan and a seed to a scenario. The same plan and seed give the same scenario, on any machine.

Rules
-----
* What is drawn is a document as a scenario file has it, then validated: every drawn scenario can be written to a file.
* Swarm: each seed may use only some kinds of fault, since rare combinations hide behind common ones.
* Faults flock: one often begins where another begins or ends, or waits for what another brings about.
* All faults are over when the safety phase is; the liveness phase sees a world in which everything works. What has not
  come by then does not come any more.
* Most faults are drawn again until there is an occasion for them to show something (harness.campaign.occasions).
"""

from __future__ import annotations

import re
from functools import cache
from random import Random
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from harness.campaign.anchors import ROLES, ROOM_S, Anchor, anchors, named
from harness.campaign.health import in_time
from harness.campaign.occasions import Drawn, Occasions, takes_answers, touches_decisions
from harness.campaign.plan import FaultsPlan, Plan, Section
from harness.checkers.bounds import Bounds
from harness.fault_times import may_meet
from harness.faults import ALL, COMMON, Fault, OperatorOpen, ProviderStall, Some, joins_twice
from harness.scenario import OpenLoad, Scenario
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
PATIENCE = 8
"""So many draws, until what has no occasion is taken too."""

CARELESS = 0.1
"""The share of faults for which no occasion is looked for: what seems to be out of place may find what nobody thought
of."""

GAPS = 1.5
"""After a provider that was taken away may be probed again, so many requests for each worker are awaited at least."""

LAST_S = 1.0
"""How long the last requests take that show whether a worker has found back."""

INSTANCE, FIRST_LATE = "instance", 2
"""The parameter that names an instance, and the first that may join late."""

Document = dict[str, Any]


def draw(plan: Plan, seed: int) -> Scenario:
    """The scenario of a seed."""
    rng = Random(f"{plan.name}/{seed}")
    safety_s, liveness_s = _seconds(plan.safety.draw(rng)), _seconds(plan.liveness.draw(rng))
    document = _world(plan, seed, rng)
    scenario = in_time(Scenario.model_validate(document | {"duration": format_duration(safety_s + liveness_s)}))
    if rng.random() < plan.settled:
        liveness_s = max(liveness_s, settled_s(scenario))
    faults = _Faults(plan.faults, scenario, safety_s, seed, rng).draw()
    load = scenario.load
    if any(isinstance(fault, OperatorOpen) or takes_answers(type(fault)) for fault in faults):
        liveness_s = max(liveness_s, found_again_s(scenario))
        load += _last_words(plan, scenario, safety_s + liveness_s, rng)
    duration = round(safety_s + liveness_s, 3)
    return scenario.model_copy(update={"duration": duration, "faults": faults, "load": load})


def _last_words(plan: Plan, scenario: Scenario, until_s: float, rng: Random) -> tuple[OpenLoad, ...]:
    """Some more requests for every worker, at the end."""
    count = _whole(plan.load.last.draw(rng)) * len(scenario.topology.places)
    if not count:
        return ()
    begins = format_duration(round(until_s - LAST_S, 3))
    return (OpenLoad.model_validate({"arrival": "constant", "rate": f"{count / LAST_S:g}/s", "at": begins}),)


def _world(plan: Plan, seed: int, rng: Random) -> Document:
    streams = Random(f"{plan.name}/{seed}/streams")  # of its own: whether there are streams moves nothing else
    pace = {key: getattr(plan.providers, key).draw(streams) for key in ("tokens", "token_interval")}
    manner = {key: getattr(plan.load, key).draw(streams) for key in ("stream", "cancel", "retry")}
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


def found_again_s(scenario: Scenario) -> float:
    """About how long it takes until every worker has asked again a provider that was taken away."""
    rates = (load.rate if isinstance(load, OpenLoad) else load.users / load.pace for load in scenario.load)
    gap_s = len(scenario.topology.places) / sum(rates)
    breaker = scenario.breaker
    return round(breaker.reset_timeout_s * (1 + breaker.reset_jitter) + GAPS * gap_s, 1)


def fits(kind: type[Fault], scenario: Scenario) -> bool:
    """Whether there is what the kind is put on: a second instance, for one that joins late; streams, to stall."""
    if kind is ProviderStall:
        return any(load.stream for load in scenario.load)
    return INSTANCE not in kind.model_fields or scenario.topology.instances >= FIRST_LATE


class _Faults:
    """The faults of a seed in the drawing, all over by `safety_s`."""

    def __init__(self, plan: FaultsPlan, scenario: Scenario, safety_s: float, seed: int, rng: Random) -> None:
        self._plan, self._scenario, self._safety_s, self._rng = plan, scenario, round(safety_s, 3), rng
        self._occasions = Occasions(scenario, seed, self._safety_s)
        self._drawn: list[Drawn] = []

    def draw(self) -> tuple[Fault, ...]:
        """All of them, in about the order in which they begin."""
        kinds = self._swarm()
        left = _whole(self._plan.count.draw(self._rng)) if kinds else 0
        while left > 0:
            left -= self._add(kinds, left)
        return named([it.fault for it in sorted(self._drawn, key=lambda it: it.begins)])

    def _swarm(self) -> list[type[Fault]]:
        chosen = [kind for kind in self._plan.chosen if fits(kind, self._scenario)]
        some = [kind for kind in chosen if self._rng.random() < self._plan.swarm]
        return some or ([self._rng.choice(chosen)] if chosen else [])

    def _add(self, kinds: list[type[Fault]], left: int) -> int:
        """One more of at most `left`, that can be beside the others; none, if that proves hard. What needs an outage
        brings it along. How many of the `left` that took."""
        careless = self._rng.random() < CARELESS
        for n in range(TRIES):
            kind = self._rng.choice(kinds)
            brings = touches_decisions(kind) and not careless and not self._occasions.decisions(self._drawn)
            if brings and (left < 2 or not self._bring_outage()):
                continue
            for _ in range(PATIENCE):
                it = self._one(kind, careless)
                fits_in = careless or n >= PATIENCE or self._occasions.exist_for(it, [*self._drawn, it])
                if fits_in and self._can_be(it.fault):
                    self._drawn.append(it)
                    return 1 + brings
        return 1

    def _bring_outage(self) -> bool:
        """One more, that opens the best provider; False if that proves hard."""
        outages = [kind for kind in self._plan.chosen if takes_answers(kind)]
        for _ in range(TRIES if outages else 0):
            it = self._one(self._rng.choice(outages), careless=False)
            if self._can_be(it.fault) and self._occasions.opened(it, [*self._drawn, it]) is not None:
                self._drawn.append(it)
                return True
        return False

    def _can_be(self, fault: Fault) -> bool:
        """Whether it can be beside those that are drawn already."""
        others = [it.fault for it in self._drawn]
        return not any(
            joins_twice(fault, other) or may_meet(fault, other, [*others, fault], self._safety_s) for other in others
        )

    def _one(self, kind: type[Fault], careless: bool) -> Drawn:
        """A fault of that kind; drawn again while its parameters contradict each other."""
        for _ in range(TRIES):
            document = {"target": self._target(kind), "inject": kind.name, "at": 0, **self._parameters(kind)}
            try:
                fault = kind.model_validate(document | {"id": f"f{len(self._drawn) + 1}"})
            except ValidationError as error:
                refused = error
            else:
                return self._timed(fault, careless)
        raise ValueError(f"{kind.of}/{kind.name} cannot be drawn as {document}: {refused}") from refused

    def _timed(self, fault: Fault, careless: bool) -> Drawn:
        """The fault, in its time: at one, or after something."""
        lasts_s = 0.0 if fault.instant else self._lasts_s(fault, careless)
        anchor = self._anchor() if self._rng.random() < self._plan.after else None
        if anchor is not None:
            it = anchor.waited_for(fault, _seconds(self._plan.wait.draw(self._rng)), lasts_s, self._safety_s)
            more = self._role(fault, anchor) | self._again(it)
        else:
            begins = self._when(type(fault), lasts_s)
            times = {"at": begins, "for_": lasts_s or None}
            it = Drawn(fault.model_copy(update=times), begins, begins + lasts_s)
            more = self._again(it) or self._sooner(it)
        return Drawn(it.fault.model_copy(update=more), it.begins, self._safety_s if "every" in more else it.ends)

    def _anchor(self) -> Anchor | None:
        """Something to wait for, that should come in time; the events are as likely as one another."""
        possible = [
            anchor
            for anchor in anchors(self._scenario, self._occasions, self._drawn)
            if anchor.event in self._plan.events and anchor.at + ROOM_S <= self._safety_s
        ]
        if not possible:
            return None
        event = self._rng.choice(list(dict.fromkeys(anchor.event for anchor in possible)))
        return self._rng.choice([anchor for anchor in possible if anchor.event == event])

    def _role(self, fault: Fault, anchor: Anchor) -> Document:
        """Often it is put on who did what it waits for."""
        role = ROLES.get(anchor.event)
        if role is None or not isinstance(fault.workers_choice, Some) or self._rng.random() >= self._plan.roles:
            return {}
        return {"workers": Some(text=role, role=role)}

    def _again(self, it: Drawn) -> Document:
        """It comes again and again, punctually or not, if there is room for that."""
        if INSTANCE in type(it.fault).model_fields or self._rng.random() >= self._plan.every:
            return {}
        gap_s, lasts_s = round(_seconds(self._plan.gap.draw(self._rng)), 3), it.fault.for_ or 0.0
        if it.ends + gap_s + lasts_s > self._safety_s:
            return {}
        jitter = {"jitter": round(gap_s / 2, 3)} if self._rng.random() < 0.5 else {}
        return {"every": round(lasts_s + gap_s, 3), "until_": self._safety_s} | jitter

    def _sooner(self, it: Drawn) -> Document:
        """It may end with something that happens meanwhile."""
        if it.fault.instant or it.fault.planned or self._rng.random() >= self._plan.ends:
            return {}
        anchor = self._anchor()
        return {"until_": anchor.moment} if anchor is not None and it.begins < anchor.at < it.ends else {}

    def _target(self, kind: type[Fault]) -> str:
        """The better a provider, the more likely: what nobody asks cannot break."""
        if kind.of != "provider":
            return kind.of
        providers = self._scenario.ordered_providers
        return f"provider/{providers[int(len(providers) * self._rng.random() ** 2)].name}"

    def _lasts_s(self, fault: Fault, careless: bool) -> float:
        """As the plan says; long enough to be met by requests, if the plan allows that."""
        longest_s = self._plan.lasting.numbers[1]
        needed_s = 0.0 if careless else min(self._occasions.lasting_s(fault), longest_s)
        return round(min(max(_seconds(self._plan.lasting.draw(self._rng)), needed_s), self._safety_s - EARLIEST_S), 3)

    def _when(self, kind: type[Fault], lasts_s: float) -> float:
        latest = max(EARLIEST_S, self._safety_s - lasts_s)
        at = self._rng.uniform(EARLIEST_S, latest)
        decided = self._occasions.decisions(self._drawn) if touches_decisions(kind) else []
        if decided:
            at = self._rng.choice(decided) + self._rng.uniform(-lasts_s, 0.0 if lasts_s else NEAR_S[1])
        elif self._drawn and self._rng.random() < FLOCKING:
            other = self._rng.choice(self._drawn)
            at = (other.begins if self._rng.random() < 0.5 else other.ends) + self._rng.uniform(*NEAR_S)
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
            return self._workers(all_=field.default is ALL)
        if name == INSTANCE:
            return self._rng.randint(FIRST_LATE, self._scenario.topology.instances)
        if get_origin(field.annotation) is Literal:
            return self._rng.choice(get_args(field.annotation))
        if parse_share in readers:
            return f"{self._rng.randint(20, 90)}%" if self._rng.random() < PARTIAL else None
        if not field.is_required():
            return None
        return self._plan.amount.draw(self._rng) if parse_duration in readers else _example(kind)[name]

    def _workers(self, *, all_: bool) -> str:
        """Some; often all, unless it is one worker who is told what the others are to hear of."""
        count = len(self._scenario.topology.places)
        if all_ and self._rng.random() < PARTIAL:
            return "all"
        return f"{self._rng.randint(1, max(1, count - 1))} of {count}"


@cache
def _example(kind: type[Fault]) -> Document:
    document: Document = yaml.safe_load(kind.example)
    return document


def _seconds(value: Any) -> float:
    return parse_duration(value)


def _whole(value: Any) -> int:
    if not re.fullmatch(r"\d+", str(value)):
        raise ValueError(f"expected a whole number, not {value!r}")
    return int(value)
