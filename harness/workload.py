"""When and how requests are sent: the same plan in both worlds, for one scenario and seed. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from random import Random

from harness.history import RequestDone
from harness.scenario import ClosedLoad, OpenLoad, Scenario

Plan = Iterator[tuple[float, str]]
"""(time, request id), in time order."""


def arrivals(scenario: Scenario, seed: int) -> Plan:
    """Every open-load request. Ids are `r<load>-<number>`."""
    return heapq.merge(*(arrivals_of(scenario, i, seed) for i in range(len(scenario.load))))


def arrivals_of(scenario: Scenario, index: int, seed: int) -> Plan:
    """The requests of one load, if it is an open one."""
    load = scenario.load[index]
    if not isinstance(load, OpenLoad):
        return iter(())
    return _open(load, index, scenario.duration, Random(f"{seed}/load/{index}"))


def closed_loads(scenario: Scenario) -> Iterator[tuple[int, ClosedLoad]]:
    """The closed loads with their index; a user's requests are named `r<load>-<user>-<number>`."""
    return ((i, load) for i, load in enumerate(scenario.load) if isinstance(load, ClosedLoad))


def window(load: OpenLoad | ClosedLoad, duration: float) -> tuple[float, float]:
    """From when to when a load sends, in seconds since the run began."""
    return load.at, min(duration, load.at + load.for_) if load.for_ is not None else duration


@dataclass(frozen=True, slots=True)
class Manner:
    """How one request is asked. `leaves_after_s`: when its sender leaves, counted from its sending (None: it stays)."""

    stream: bool = False
    leaves_after_s: float | None = None


PLAIN = Manner()


class Manners:
    """How each request of a scenario is asked, by its id alone: closed loads send in no order known beforehand.

    One that is sent again keeps its name, with the number of the repetition behind a dot: r0-7, r0-7.1, r0-7.2.
    """

    def __init__(self, scenario: Scenario, seed: int) -> None:
        best = scenario.ordered_providers[0]
        self._seed = seed
        self._loads = scenario.load
        self._answer_s = best.latency.median
        self._stream_s = best.latency.median + (best.tokens - 1) * best.token_interval

    def of(self, request: str) -> Manner:
        """How the request of that id (`r<load>-…`) is asked."""
        load = self._load(request)
        if not load.stream and not load.cancel:
            return PLAIN
        rng = Random(f"{self._seed}/manner/{request}")
        stream, leaves, when = rng.random() < load.stream, rng.random() < load.cancel, rng.random()
        usual_s = self._stream_s if stream else self._answer_s
        return Manner(stream, when * usual_s if leaves else None)

    def again(self, done: RequestDone) -> tuple[float, str] | None:
        """After how many seconds, and as what, its sender sends a request once more that has ended so (None: never)."""
        name, _, number = done.request.partition(".")
        load, repeated = self._load(name), int(number or 0)
        if done.result not in ("fail", "info") or repeated >= load.retry:
            return None
        wait_s = done.retry_after_s or load.backoff * 2**repeated  # at once is nobody's advice
        return wait_s, f"{name}.{repeated + 1}"

    def _load(self, request: str) -> OpenLoad | ClosedLoad:
        return self._loads[int(request[1 : request.index("-")])]


def _open(load: OpenLoad, index: int, duration: float, rng: Random) -> Plan:
    times = _even(load, duration, rng) if load.to is None else _ramp(load, load.to, duration, rng)
    return ((t, f"r{index}-{number}") for number, t in enumerate(times, 1))


def _even(load: OpenLoad, duration: float, rng: Random) -> Iterator[float]:
    t, end = window(load, duration)
    while load.rate > 0:
        t += rng.expovariate(load.rate) if load.arrival == "poisson" else 1 / load.rate
        if t >= end:
            return
        yield t


def _ramp(load: OpenLoad, to: float, duration: float, rng: Random) -> Iterator[float]:
    """The times at which the integral of the rate has grown by another 1, or by another exponential draw of mean 1:
    then a Poisson process whose rate changes (by inversion: Cinlar, Introduction to Stochastic Processes, 1975).
    """
    begin, end = window(load, duration)
    slope, grown = (to - load.rate) / (end - begin), 0.0
    whole = (load.rate + to) / 2 * (end - begin)
    while True:
        grown += rng.expovariate(1.0) if load.arrival == "poisson" else 1.0
        if grown >= whole:
            return
        # load.rate * x + slope * x^2 / 2 = grown, solved without a difference of near equals
        yield begin + 2 * grown / (load.rate + sqrt(max(0.0, load.rate**2 + 2 * slope * grown)))
