"""All chance of a simulation: named streams from one seed; more draws in one place move nothing in another."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log
from random import Random

from harness.scenario import Latency

Sampler = Callable[[], float]
"""Draws a duration in seconds."""

_P99 = 2.3263478740408408  # the standard normal distribution's 99th percentile


class Chance:
    """The streams of one seed. The same name gives the same stream, begun anew."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def stream(self, name: str) -> Random:
        """The stream of that name."""
        return Random(f"{self.seed}/{name}")

    def latency(self, latency: Latency, name: str) -> Sampler:
        """Draws of a log-normal latency from the stream of that name."""
        return sampler(latency, self.stream(name))


def sampler(latency: Latency, rng: Random) -> Sampler:
    """Draws of a log-normal latency by its median and 99th percentile; of equal ones: that constant."""
    median, sigma = latency.median, log(latency.p99 / latency.median) / _P99
    if sigma == 0:
        return lambda: median
    gauss = rng.gauss
    return lambda: median * exp(gauss(0.0, sigma))
