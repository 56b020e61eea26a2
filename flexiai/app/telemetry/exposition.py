"""The numbers of an instance as Prometheus reads them (its text format, version 0.0.4)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from flexiai.app.telemetry.catalogue import FAMILIES, Family
from flexiai.app.telemetry.instance import Kept, Numbers, summed
from flexiai.app.telemetry.series import Series
from flexiai.app.telemetry.slots import Reading

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_Totals = Mapping[str, Mapping[tuple[str, ...], Numbers]]


def exposition(alive: Iterable[Reading], kept: Kept, now: float) -> str:
    """All families: what `alive` workers have, and what ended ones had, at `now` on the host's monotonic clock."""
    totals = _totals(list(alive), kept, now)
    return "".join(line for family in FAMILIES for line in _family(family, totals[family.name]))


def totals_of(family: Family, alive: Iterable[Reading], kept: Kept) -> dict[tuple[str, ...], float]:
    """A counter's series and their sums over an instance."""
    return {labels: numbers[0] for labels, numbers in _totals(list(alive), kept, 0.0)[family.name].items()}


def _totals(alive: list[Reading], kept: Kept, now: float) -> _Totals:
    totals: dict[str, dict[tuple[str, ...], Numbers]] = defaultdict(dict)
    known = {family.name: family for family in FAMILIES}
    for series, numbers in kept.series:
        if series.family in known:
            totals[series.family][series.labels] = numbers
    for reading in alive:
        for series, numbers in reading:
            family = known.get(series.family)
            if family is not None and (numbers[0] or not family.sparse):
                _join(family, totals[family.name], *_of_worker(family, series, numbers, reading.head.pid, now))
    return totals


def _of_worker(
    family: Family, series: Series, numbers: Numbers, pid: int, now: float
) -> tuple[tuple[str, ...], Numbers]:
    """A worker's series as the instance tells it: the values of its labels, and its numbers (none: it has none)."""
    if family.across == "worker":
        return (*series.labels, str(pid)), numbers
    if family.across == "age":
        return (*series.labels, str(pid)), (max(0.0, now - numbers[0]),) if numbers[0] > 0 else ()
    return series.labels, numbers


def _join(family: Family, into: dict[tuple[str, ...], Numbers], labels: tuple[str, ...], numbers: Numbers) -> None:
    if labels in into and numbers:
        into[labels] = max(into[labels], numbers) if family.across == "max" else summed(into[labels], numbers)
    elif numbers:
        into[labels] = numbers


def _family(family: Family, series: Mapping[tuple[str, ...], Numbers]) -> Iterator[str]:
    yield f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n"
    names = (*family.labels, "pid") if family.across in ("worker", "age") else family.labels
    for labels, numbers in series.items():
        told = [f'{name}="{_escaped(value)}"' for name, value in zip(names, labels, strict=True)]
        if family.kind == "histogram":
            yield from _histogram(family, told, numbers)
        elif numbers[0] or not family.sparse:
            yield _line(family.name, told, numbers[0])


def _histogram(family: Family, labels: list[str], numbers: Numbers) -> Iterator[str]:
    if len(numbers) != len(family.buckets) + 2:
        return  # another version's
    so_far = 0.0
    for bound, number in zip((*(f"{b:g}" for b in family.buckets), "+Inf"), numbers, strict=False):
        so_far += number
        yield _line(f"{family.name}_bucket", [*labels, f'le="{bound}"'], so_far)
    yield _line(f"{family.name}_sum", labels, numbers[-1])
    yield _line(f"{family.name}_count", labels, so_far)


def _line(name: str, labels: list[str], value: float) -> str:
    return f"{name}{{{','.join(labels)}}} {_number(value)}\n" if labels else f"{name} {_number(value)}\n"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
