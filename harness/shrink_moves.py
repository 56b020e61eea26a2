"""Ways to make a scenario smaller or plainer, on the document that its file holds. Pure: each move yields candidates,
the boldest first; whether one may stay is for whoever runs it to say.

What counts as smaller, in this order: fewer faults, fewer workers, fewer providers, less load, a shorter run; then
plainer: faults on all rather than some, default settings, round times.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any

from harness.units import format_duration, parse_duration, parse_rate

Document = dict[str, Any]
Move = Callable[[Document], Iterator[Document]]

_K_OF_N = re.compile(r"(\d+) of (\d+)")
_TIMES = ("at", "for", "every", "jitter", "add", "retry_after")
_PROVIDER, _LOAD = frozenset({"name"}), frozenset({"arrival", "rate", "users"})
TAIL_S = 0.5
"""What a run must at least last after its last fault has begun."""


def fewer_faults(document: Document) -> Iterator[Document]:
    """Half of the faults, then all but one; without those that would wait for one that is not there."""
    faults = document.get("faults", [])
    half = len(faults) // 2
    if half > 1:
        yield _with(document, faults=that_can_come(faults[half:]))
        yield _with(document, faults=that_can_come(faults[:half]))
    for n in range(len(faults)):
        yield _with(document, faults=that_can_come(faults[:n] + faults[n + 1 :]))


def fewer_workers(document: Document) -> Iterator[Document]:
    """One instance, one worker less, …; faults on K of N are put on as many of the new N as there are."""
    topology = {"instances": 1, "workers": 4, **document.get("topology", {})}
    instances, workers = topology["instances"], topology["workers"]
    smaller = [
        (1, workers),
        (1, instances * workers),
        (instances, 1),
        (instances - 1, workers),
        (instances, workers - 1),
    ]
    for i, w in dict.fromkeys(smaller):
        if 1 <= i * w <= instances * workers and i >= 1 and w >= 1 and (i, w) != (instances, workers):
            made = _with(document, topology={**topology, "instances": i, "workers": w})
            yield _with(made, faults=[_on_some_of(fault, i * w) for fault in made.get("faults", [])])


def fewer_providers(document: Document) -> Iterator[Document]:
    """Without one that no fault is put on."""
    hit = {str(fault.get("target", "")).partition("/")[2] for fault in document.get("faults", [])}
    for n, provider in enumerate(document["providers"]):
        if provider["name"] not in hit and len(document["providers"]) > 1:
            yield _with(document, providers=document["providers"][:n] + document["providers"][n + 1 :])


def less_load(document: Document) -> Iterator[Document]:
    """One of several loads, fewer users, half the rate, no ramp, nobody who asks again."""
    loads = document["load"]
    for n, load in enumerate(loads):
        if len(loads) > 1:
            yield _with(document, load=loads[:n] + loads[n + 1 :])
        if load.get("users", 1) > 1:
            yield _with(document, load=_replaced(loads, n, {**load, "users": load["users"] // 2}))
        if "rate" in load and parse_rate(load["rate"]) > 1:
            slower = f"{max(1, round(parse_rate(load['rate']) / 2))}/s"
            if slower != load["rate"]:
                yield _with(document, load=_replaced(loads, n, {**load, "rate": slower}))
        for key in ("to", "retry"):
            if key in load:
                yield _with(document, load=_replaced(loads, n, {k: v for k, v in load.items() if k != key}))


def shorter(document: Document) -> Iterator[Document]:
    """A run that ends earlier, though not before its faults begin."""
    lasts_s = parse_duration(document["duration"])
    least_s = max([parse_duration(f.get("at", 0)) for f in document.get("faults", [])], default=0.0) + TAIL_S
    for share in (0.25, 0.5, 0.75, 0.9):
        ends_s = round(lasts_s * share, 1)
        if least_s <= ends_s < lasts_s:
            loads = [load for load in document["load"] if parse_duration(load.get("at", 0)) < ends_s]
            yield _with(document, duration=format_duration(ends_s), load=loads or document["load"])


def sooner(document: Document) -> Iterator[Document]:
    """All of it earlier: the quiet before the first fault is cut."""
    faults = document.get("faults", [])
    first_s = min([parse_duration(fault["at"]) for fault in faults if "at" in fault], default=0.0)
    for cut_s in (first_s - 1.0, first_s - 0.2, first_s / 2):
        ends_s = parse_duration(document["duration"]) - cut_s
        if cut_s > 0.05 and ends_s > 0:
            moved = [_earlier(fault, cut_s) for fault in faults]
            loads = [_earlier(load, cut_s) for load in document["load"]]
            yield _with(document, faults=moved, load=loads, duration=format_duration(round(ends_s, 3)))


def plainer_faults(document: Document) -> Iterator[Document]:
    """A fault that comes but once, on all, of all requests, with its default parameters; or shorter."""
    faults = document.get("faults", [])
    for n, fault in enumerate(faults):
        if "every" in fault:
            yield _with(document, faults=_replaced(faults, n, _once(fault)))
        for key in fault:
            if key not in ("at", "after", "for", "target", "inject", "id"):
                yield _with(document, faults=_replaced(faults, n, _without(fault, key)))
        if "for" in fault and parse_duration(fault["for"]) > 0.2:
            half = {**fault, "for": format_duration(round(parse_duration(fault["for"]) / 2, 3))}
            yield _with(document, faults=_replaced(faults, n, half))


def default_settings(document: Document) -> Iterator[Document]:
    """Whole sections of settings as they are by default, then single ones."""
    for part in ("redis", "request", "sync", "breaker", "topology"):
        if part in document and part != "topology":
            yield _without(document, part)
        for key in document.get(part, {}):
            if (part, key) not in (("topology", "instances"), ("topology", "workers")):
                yield _with(document, **{part: _without(document[part], key)})
    for part, needed in (("providers", _PROVIDER), ("load", _LOAD)):
        for n, item in enumerate(document[part]):
            for key in item:
                if key not in needed:
                    yield _with(document, **{part: _replaced(document[part], n, _without(item, key))})


def constant_load(document: Document) -> Iterator[Document]:
    """Requests at even intervals."""
    for n, load in enumerate(document["load"]):
        if load.get("arrival") == "poisson":
            yield _with(document, load=_replaced(document["load"], n, {**load, "arrival": "constant"}))


def round_times(document: Document) -> Iterator[Document]:
    """Round times, the roundest first: of the whole run and every fault, then of single ones and of settings."""
    yield from _rounded_all(document)
    for n, fault in enumerate(document.get("faults", [])):
        for key in _TIMES:
            for rounder in _roundings(fault.get(key)):
                yield _with(document, faults=_replaced(document["faults"], n, {**fault, key: rounder}))
    for part in ("breaker", "request", "sync"):
        for key, value in document.get(part, {}).items():
            for rounder in _roundings(value):
                yield _with(document, **{part: {**document[part], key: rounder}})
    for rounder in _roundings(document["duration"]):
        yield _with(document, duration=rounder)
    yield from _rounded_rates(document)


MOVES: tuple[Move, ...] = (
    fewer_faults,
    fewer_workers,
    fewer_providers,
    shorter,
    less_load,
    plainer_faults,
    sooner,
    default_settings,
    constant_load,
    round_times,
)
"""Every move, in the order in which they are tried."""


def _rounded_all(document: Document) -> Iterator[Document]:
    for digits in (0, 1):
        faults = [
            {k: _to(v, digits) if k in _TIMES else v for k, v in fault.items()} for fault in document.get("faults", [])
        ]
        made = _with(document, faults=faults, duration=_to(document["duration"], digits, up=True))
        if made != document:
            yield made


def _rounded_rates(document: Document) -> Iterator[Document]:
    for n, load in enumerate(document["load"]):
        if "rate" in load:
            whole = f"{max(1, round(parse_rate(load['rate'])))}/s"
            if whole != load["rate"]:
                yield _with(document, load=_replaced(document["load"], n, {**load, "rate": whole}))


def _roundings(value: Any) -> list[str]:
    """Rounder times near one."""
    if not isinstance(value, str) or not value.endswith("s") or "/" in value:
        return []
    try:
        seconds = parse_duration(value)
    except ValueError:
        return []
    found = [format_duration(round(seconds, digits)) for digits in (0, 1, 2) if round(seconds, digits) > 0]
    return [text for text in dict.fromkeys(found) if text != value and parse_duration(text) != seconds]


def _to(value: Any, digits: int, *, up: bool = False) -> Any:
    if not isinstance(value, str):
        return value
    seconds = parse_duration(value)
    near = round(seconds + (0.5 * 10**-digits if up else 0.0), digits)
    return format_duration(near) if near > 0 else value


def _on_some_of(fault: Document, count: int) -> Document:
    match = _K_OF_N.fullmatch(str(fault.get("workers", "")))
    if match is None:
        return fault
    return {**fault, "workers": f"{min(int(match[1]), count)} of {count}"}


def _earlier(item: Document, by_s: float) -> Document:
    """A fault or a load whose times are all earlier; `at` of a fault that waits is none."""
    moved = [key for key in ("at", "until") if isinstance(item.get(key), str) and not (key == "at" and "after" in item)]
    return {**item, **{key: format_duration(round(max(0.0, parse_duration(item[key]) - by_s), 3)) for key in moved}}


def _once(fault: Document) -> Document:
    """Without what makes it come again; the time until which one that waits may come stays."""
    gone = ("every", "jitter") if "after" in fault else ("every", "jitter", "until")
    return {key: value for key, value in fault.items() if key not in gone}


def that_can_come(faults: list[Document]) -> list[Document]:
    """Without those that wait for one that is not there, and without ends by such."""
    while True:
        ids = {fault.get("id") for fault in faults}
        lost = [n for n, fault in enumerate(faults) if _meant(fault.get("after")) not in {None, *ids}]
        if not lost:
            return [_without(f, "until") if _meant(f.get("until")) not in {None, *ids} else f for f in faults]
        faults = [fault for n, fault in enumerate(faults) if n not in lost]


def _meant(moment: Any) -> str | None:
    return moment.get("fault") if isinstance(moment, dict) else None


def _replaced(items: list[Any], n: int, item: Any) -> list[Any]:
    return [*items[:n], item, *items[n + 1 :]]


def _with(document: Document, **parts: Any) -> Document:
    return {**copy.deepcopy(document), **parts}


def _without(document: Document, key: str) -> Document:
    return {k: v for k, v in document.items() if k != key}
