"""When requests are sent: the same plan in both worlds, for one scenario and seed. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from random import Random

from harness.scenario import ClosedLoad, OpenLoad, Scenario


def arrivals(scenario: Scenario, seed: int) -> Iterator[tuple[float, str]]:
    """(time, request id) of every open-load request, in time order. Ids are `r<load>-<number>`."""
    plans = [
        _open(load, i, scenario.duration, Random(f"{seed}/load/{i}"))
        for i, load in enumerate(scenario.load)
        if isinstance(load, OpenLoad)
    ]
    return heapq.merge(*plans)


def closed_loads(scenario: Scenario) -> Iterator[tuple[int, ClosedLoad]]:
    """The closed loads with their index; a user's requests are named `r<load>-<user>-<number>`."""
    return ((i, load) for i, load in enumerate(scenario.load) if isinstance(load, ClosedLoad))


def window(load: OpenLoad | ClosedLoad, duration: float) -> tuple[float, float]:
    """From when to when a load sends, in seconds since the run began."""
    return load.at, min(duration, load.at + load.for_) if load.for_ is not None else duration


def _open(load: OpenLoad, index: int, duration: float, rng: Random) -> Iterator[tuple[float, str]]:
    t, end = window(load, duration)
    number = 0
    while load.rate > 0:
        t += rng.expovariate(load.rate) if load.arrival == "poisson" else 1 / load.rate
        if t >= end:
            return
        number += 1
        yield t, f"r{index}-{number}"
