"""How long a provider thinks: log-normal, by its median and 99th percentile."""

from __future__ import annotations

import math
from random import Random
from statistics import NormalDist

_Z99 = NormalDist().inv_cdf(0.99)


class LogNormal:
    """Draws latencies in seconds. `p99` equal to `median` makes them constant; a median of 0, none at all."""

    def __init__(self, median: float, p99: float, rng: Random) -> None:
        if not 0 <= median <= p99:
            raise ValueError("expected 0 <= latency-median <= latency-p99")
        self._median = median
        self._sigma = math.log(p99 / median) / _Z99 if median > 0 else 0.0
        self._rng = rng

    def draw(self) -> float:
        """The next latency."""
        return self._median * math.exp(self._sigma * self._rng.gauss(0, 1))
