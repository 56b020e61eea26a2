"""Which instance gets the next request."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from harness.scenario import Topology


class Balancer:
    """Spreads requests over instances, by what it has itself under way at each. Instances count from 1."""

    def __init__(self, topology: Topology, rng: Random, serves: Callable[[int], bool] = lambda _: True) -> None:
        """`serves`: whether an instance is there for it."""
        self._serves = serves
        self._how = topology.balancer
        self._open = [0] * topology.instances
        self._rng = rng
        self._turn = 0

    def pick(self) -> int:
        """The instance for the next request, which is under way there until `free`."""
        index = self._index()
        self._open[index] += 1
        return index + 1

    def free(self, instance: int) -> None:
        """A request to that instance has ended."""
        self._open[instance - 1] -= 1

    def _index(self) -> int:
        there = [index for index in range(len(self._open)) if self._serves(index + 1)]
        if self._how == "random":
            return self._rng.choice(there)
        self._turn += 1
        if self._how == "round_robin":
            return there[self._turn % len(there)]
        least = min(self._open[index] for index in there)
        ties = [index for index in there if self._open[index] == least]
        return ties[self._turn % len(ties)]
