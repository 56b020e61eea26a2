"""Hypothesis strategies for faults, made of the typed vocabulary itself: a kind that is new there is drawn here.

Rules
-----
* A parameter is drawn as the plan says; else by its type, within its own bounds, or left at its default.
* Times lie on a grid, so that faults often begin where another begins or ends.
* Of those that cannot both be the first stays.
* Some wait for what those before them bring about, and do not begin unless they will be over in time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic.fields import FieldInfo

from harness.campaign.anchors import ROOM_S, Anchor, anchors, named
from harness.campaign.draw import EARLIEST_S, FIRST_LATE, INSTANCE, Document, fits
from harness.campaign.occasions import Drawn, Occasions
from harness.campaign.plan import Plan
from harness.campaign.spread import Spread
from harness.fault_times import may_meet
from harness.faults import COMMON, Fault, Place, Some, joins_twice
from harness.scenario import Scenario, Topology
from harness.units import format_duration, parse_duration, parse_share

GRID_S = 0.05
ANCHORS = 30
STEPS = 100
"""Of a spread of durations, rates, shares or numbers, so many values are drawn, from end to end."""

_BETWEEN: dict[type, Callable[[Any], tuple[float | None, float | None]]] = {
    Ge: lambda b: (b.ge, None),
    Gt: lambda b: (b.gt, None),
    Le: lambda b: (None, b.le),
    Lt: lambda b: (None, b.lt),
}


def values(spread: Spread) -> SearchStrategy[Any]:
    """The values of a spread, as a scenario file has them; the first of a list, or the lowest, is the simplest."""
    if spread.choices:
        return st.sampled_from(spread.choices)
    if spread.kind == "count":
        return st.integers(int(spread.low), int(spread.high))
    return st.integers(0, STEPS).map(lambda step: spread.at(_step_of(spread, step)))


def _step_of(spread: Spread, step: int) -> float:
    """Durations and rates in steps of equal factors, all else in equal steps."""
    low, high, part = spread.low, spread.high, step / STEPS
    if step in (0, STEPS):
        return high if step else low
    return low * (high / low) ** part if spread.kind in ("duration", "rate") and low > 0 else low + (high - low) * part


class Faults:
    """The faults that a plan allows. What is drawn of a kind is made once for all scenarios of one topology."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._drawn: dict[tuple[type[Fault], Topology], SearchStrategy[Document]] = {}
        self._times = st.fixed_dictionaries(
            {
                "provider": st.integers(0, 2),
                "step": st.integers(0, STEPS),
                "lasts": values(plan.faults.lasting),
                "waits": st.none() | st.none() | st.none() | st.tuples(st.integers(0, ANCHORS), st.integers(0, 10)),
                "again": st.none() | st.none() | st.none() | st.tuples(st.integers(2, 10), st.booleans()),
            }
        )

    def of(self, world: Scenario, until_s: float) -> SearchStrategy[tuple[Fault, ...]]:
        """Faults for a scenario, in time order, all over by `until_s`, that can be beside each other."""
        kinds = [kind for kind in self.plan.faults.chosen if fits(kind, world)]
        least, most = (int(n) if kinds else 0 for n in self.plan.faults.count.numbers)
        one = st.sampled_from(kinds or [Fault]).flatmap(lambda kind: self._one(kind, world, until_s))
        slots = [one] * least + [st.none() | one] * (most - least)  # not a list: a slot is emptied by a single choice
        return st.tuples(*slots).map(partial(_together, world, until_s))

    def one(self, kind: type[Fault], world: Scenario, until_s: float) -> SearchStrategy[Fault]:
        """A fault of a kind that fits a scenario's fleet, over by `until_s`."""
        return self._one(kind, world, until_s).map(lambda made: made.fault)

    def _one(self, kind: type[Fault], world: Scenario, until_s: float) -> SearchStrategy[_Made]:
        key = kind, world.topology
        if key not in self._drawn:
            parameters = self._parameters(kind, world.topology)
            self._drawn[key] = st.tuples(self._times, parameters).map(lambda both: both[0] | {"parameters": both[1]})
        return self._drawn[key].map(partial(_made, kind, world, until_s))

    def _parameters(self, kind: type[Fault], topology: Topology) -> SearchStrategy[Document]:
        told = self.plan.faults.parameters.get(f"{kind.of}/{kind.name}", {})
        own = {name: field for name, field in kind.model_fields.items() if name not in COMMON}
        drawn = {
            field.alias or name: values(told[name]) if name in told else self._parameter(name, field, topology)
            for name, field in own.items()
        }
        return st.fixed_dictionaries(drawn).map(_sensible)

    def _parameter(self, name: str, field: FieldInfo, topology: Topology) -> SearchStrategy[Any]:
        if name == INSTANCE:
            return st.integers(FIRST_LATE, topology.instances)
        drawn = self._of_type(field.annotation, field.metadata, topology.places)
        return drawn if field.is_required() else st.none() | drawn

    def _of_type(self, annotation: Any, metadata: Sequence[Any], places: Sequence[Place]) -> SearchStrategy[Any]:
        """Values of a parameter's type, within its own bounds."""
        readers = [getattr(m, "func", None) for m in metadata]
        if annotation is Some:
            return _workers(places)
        if get_origin(annotation) is Literal:
            return st.sampled_from(get_args(annotation))
        if parse_share in readers:
            return st.integers(1, 19).map(lambda twentieth: f"{5 * twentieth}%")
        if parse_duration in readers:
            return values(self.plan.faults.amount)
        if annotation in (bool, int, float):
            return st.booleans() if annotation is bool else _number(annotation, metadata)
        some = next(one for one in get_args(annotation) if one is not type(None))  # of `X | None`
        return self._of_type(get_args(some)[0], get_args(some)[1:], places)


@dataclass(frozen=True, slots=True)
class _Made:
    """A fault, at a time. `waits`: what it waits for instead, of all that those before it bring about, and so many
    steps more; None: nothing."""

    fault: Fault
    waits: tuple[int, int] | None


def _made(kind: type[Fault], world: Scenario, until_s: float, drawn: Document) -> _Made:
    """The fault, with times that lie between the scenario's begin and `until_s`."""
    names = [provider.name for provider in world.ordered_providers]
    target = f"provider/{names[drawn['provider'] % len(names)]}" if kind.of == "provider" else kind.of
    room = int(round((until_s - EARLIEST_S) / GRID_S, 6))
    lasts = 0 if kind.instant else min(room, max(1, round(parse_duration(drawn["lasts"]) / GRID_S)))
    begins = drawn["step"] % (room - lasts + 1)
    document = {"target": target, "inject": kind.name, "at": _on_grid(begins), **drawn["parameters"]}
    if not kind.instant:
        document["for"] = format_duration(round(lasts * GRID_S, 3))
    if drawn["again"] is not None and INSTANCE not in kind.model_fields:
        document |= _again(begins, lasts, room, *drawn["again"])
    return _Made(kind.model_validate(document), drawn["waits"])


def _again(begins: int, lasts: int, room: int, gap: int, late: bool) -> Document:
    """It comes again `gap` steps after it was over, punctually or up to half a step late; if there is room."""
    every = lasts + gap
    if begins + every + lasts > room:
        return {}
    times = {"every": format_duration(round(every * GRID_S, 3)), "until": _on_grid(room)}
    return times | ({"jitter": format_duration(GRID_S / 2)} if late else {})


def _on_grid(step: int) -> str:
    return format_duration(round(EARLIEST_S + step * GRID_S, 3))


def _together(world: Scenario, until_s: float, drawn: Sequence[_Made | None]) -> tuple[Fault, ...]:
    """Those that can be beside the ones before them, in about the order in which they begin."""
    occasions = Occasions(world, 0, until_s)  # of some seed: the run's own is not known yet
    kept: list[Drawn] = []
    for number, made in enumerate(drawn, 1):
        if made is None:
            continue
        possible = [anchor for anchor in anchors(world, occasions, kept) if anchor.at + ROOM_S <= until_s]
        it = _in_time(made, f"f{number}", possible, until_s)
        others = [other.fault for other in kept]
        if not any(
            may_meet(it.fault, other, [*others, it.fault], world.duration) or joins_twice(it.fault, other)
            for other in others
        ):
            kept.append(it)
    return named(it.fault for it in sorted(kept, key=lambda it: it.begins))


def _in_time(made: _Made, name: str, possible: Sequence[Anchor], until_s: float) -> Drawn:
    """At its time or, if it is to wait and there is something to wait for, after that."""
    fault = made.fault.model_copy(update={"id": name})
    if made.waits is None or not possible or fault.every is not None:
        return Drawn(fault, fault.at, fault.until(until_s))
    which, steps = made.waits
    return possible[which % len(possible)].waited_for(fault, steps * GRID_S, fault.for_ or 0.0, until_s)


def _sensible(drawn: Document) -> Document:
    """Without what is left at its default, and with a 99th percentile that is no less than the median."""
    given = {name: value for name, value in drawn.items() if value is not None}
    if "p99" in given and parse_duration(given["p99"]) < parse_duration(given["median"]):
        given["p99"] = given["median"]
    return given


def _number(number: type, metadata: Sequence[Any]) -> SearchStrategy[Any]:
    """Where the type sets no upper end: up to three more, or to three hundred times as much."""
    ends = [_BETWEEN[type(m)](m) for m in metadata if type(m) in _BETWEEN]
    low = next((a for a, _ in ends if a is not None), 0)
    high = next((b for _, b in ends if b is not None), low + 3 if low < 10 else 300 * low)
    if number is int:
        return st.integers(int(low), int(high))
    return st.integers(1, STEPS).map(lambda step: round(low + (high - low) * step / (STEPS + 1), 3))


def _workers(places: Sequence[Place]) -> SearchStrategy[str]:
    """One by its place, some, all, or one by its role."""
    some = [f"{k} of {len(places)}" for k in range(1, len(places) + 1)]
    return st.sampled_from([*(f"{i}.{w}" for i, w in places), *some, "all", "opener", "probe_holder"])
