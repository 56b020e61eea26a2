"""What can be wrong with the times of faults, and in which order those come that wait for one another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.faults import OF_FAULTS, OF_WORKERS, Fault, Moment, overlap
from harness.scenario import Scenario
from harness.units import format_duration

Loc = tuple[int | str, ...]


def times_wrong(fault: Fault, duration: float) -> Iterator[tuple[Loc, str]]:
    """What is wrong with one fault's own times: (at which key, what)."""
    if fault.after is None and fault.at >= duration:
        yield ("at",), f"happens at {format_duration(fault.at)}, after the run's end at {duration:g}s"
    yield from _instant_wrong(fault) if fault.instant else _lasting_wrong(fault)
    if isinstance(fault.until_, float) and fault.until_ <= fault.at:
        yield ("until",), "expected a time after 'at'"
    elif isinstance(fault.until_, float) and fault.at + (fault.for_ or 0.0) > fault.until_:
        yield ("until",), "it never begins: it would not be over by then"
    if fault.every is not None and fault.jitter + (fault.for_ or 0.0) >= fault.every:
        yield (
            ("every",),
            "expected more than 'for' and 'jitter' take: each time must be over before the next",
        )


def _instant_wrong(fault: Fault) -> Iterator[tuple[Loc, str]]:
    if fault.for_ is not None:
        yield ("for",), f"'{fault.name}' happens at one moment; 'for' means nothing to it"
    ends_waiting = fault.after is not None and isinstance(fault.until_, float)
    if fault.until_ is not None and fault.every is None and not ends_waiting:
        yield ("until",), f"'{fault.name}' happens at one moment; 'until' means nothing to it without 'every'"


def _lasting_wrong(fault: Fault) -> Iterator[tuple[Loc, str]]:
    if fault.every is not None and fault.for_ is None:
        yield ("every",), "expected 'for' too: how long it lasts each time"
    elif fault.needs_for and fault.for_ is None and fault.until_ is None:
        yield ("inject",), f"'{fault.name}' needs a time to end: expected 'for', such as for: 5s"
    elif fault.planned and (fault.for_ is None or isinstance(fault.until_, Moment)):
        yield ("inject",), f"'{fault.name}' must know how long it lasts: expected 'for', and no event that ends it"
    if isinstance(fault.until_, float) and fault.for_ is not None and fault.every is None and fault.after is None:
        yield ("until",), "expected 'for' or 'until', not both"


def anchors_wrong(scenario: Scenario) -> Iterator[tuple[int, Loc, str]]:
    """What is wrong with what faults wait for: (which fault, at which key, what)."""
    known: dict[str, Fault] = {}
    for index, fault in enumerate(scenario.faults):
        if fault.id is not None and fault.id in known:
            yield index, ("id",), f"the id '{fault.id}' is given twice"
        if fault.id is not None:
            known[fault.id] = fault
    for index, fault in enumerate(scenario.faults):
        for key, moment in (("after", fault.after), ("until", fault.until_)):
            if isinstance(moment, Moment):
                yield from ((index, (key,), what) for what in _moment_wrong(scenario, moment, known))
        if _waits_for_itself(fault, known):
            yield index, ("after",), "it waits for itself and never comes"


def _moment_wrong(scenario: Scenario, moment: Moment, known: dict[str, Fault]) -> Iterator[str]:
    if moment.event in OF_FAULTS:
        there = ", ".join(known) or "none has an id"
        if moment.fault not in known:
            yield f"'{moment.event}' needs the id of a fault: expected fault: one of {there}"
        elif moment.event == "healed" and known[moment.fault].instant:
            yield f"'{moment.fault}' happens at one moment and is never healed; expected event: injected"
        return
    if moment.fault is not None:
        yield f"'{moment.event}' is of no fault"
    names = [p.name for p in scenario.providers]
    if moment.event in OF_WORKERS and moment.provider is not None:
        yield f"'{moment.event}' is of no provider"
    elif moment.provider is not None and moment.provider not in names:
        yield f"there is no provider '{moment.provider}'; expected one of {', '.join(names)}"


def _waits_for_itself(fault: Fault, known: dict[str, Fault]) -> bool:
    seen: set[str] = set()
    one: Fault | None = fault
    while one is not None and one.after is not None and one.after.fault is not None:
        if one.after.fault in seen or one.after.fault == fault.id:
            return True
        seen.add(one.after.fault)
        one = known.get(one.after.fault)
    return False


def may_meet(a: Fault, b: Fault, faults: Sequence[Fault], duration: float) -> bool:
    """Whether two of a scenario's faults cannot both be at once and yet may come to it."""
    return overlap(a, b, duration) and not follows(a, b, faults) and not follows(b, a, faults)


def follows(later: Fault, earlier: Fault, faults: Sequence[Fault]) -> bool:
    """Whether `later` can begin only when `earlier`, which comes once, is over."""
    if earlier.id is None or earlier.every is not None:
        return False
    known = {f.id: f for f in faults if f.id is not None}
    one: Fault | None = later
    for _ in faults:
        if one is None or one.after is None or one.after.fault is None:
            return False
        if one.after.fault == earlier.id:
            return one.after.event == "healed" or earlier.instant
        one = known.get(one.after.fault)
    return False
