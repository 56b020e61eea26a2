"""How traffic comes back to a provider that has closed: by degrees, because a wall of it may knock it over again.

Rules
-----
* From `ramp_from` at first, the admitted share of the requests grows to all of them in the ramp's time: by equal steps
  (`linear`) or by equal factors (`exponential`).
* Without chance: each request adds the share to a credit, and each whole credit admits one. Workers begin with
  different credits, by their names and the record: else each of many lets its first request through, or none does.
"""

from __future__ import annotations

import math
import zlib
from typing import Literal, Protocol

Shape = Literal["linear", "exponential"]


class RampRules(Protocol):
    """The settings of a ramp; `flexiai.types.BreakerConfig` explains each."""

    @property
    def ramp_s(self) -> float: ...
    @property
    def ramp_from(self) -> float: ...
    @property
    def ramp_shape(self) -> Shape: ...


class Ramp:
    """One breaker's way back. `until`: when all traffic is back, on the worker's clock (-inf: it is)."""

    __slots__ = ("_credit", "_rules", "_whole_s", "until")

    def __init__(self, rules: RampRules) -> None:
        self._rules = rules
        self._whole_s = 0.0
        self._credit = 0.0
        self.until = -math.inf

    def begin(self, now: float, left_s: float, whole_s: float, credit: float) -> None:
        """Of a ramp of `whole_s` seconds there are `left_s` left; `credit`, from [0, 1), is what it begins with."""
        self.until = now + left_s if left_s > 0 else -math.inf
        self._whole_s = max(left_s, whole_s)
        self._credit = credit

    def end(self) -> None:
        """All traffic is back."""
        self.until = -math.inf

    def share(self, now: float) -> float:
        """The share of requests that is admitted at `now`."""
        if now >= self.until:
            return 1.0
        left = min(1.0, (self.until - now) / self._whole_s)
        first = self._rules.ramp_from
        return float(first**left) if self._rules.ramp_shape == "exponential" else 1 - left * (1 - first)

    def admits(self, now: float) -> bool:
        """Whether the request that asks at `now` is among those admitted."""
        self._credit += self.share(now)
        if self._credit < 1:
            return False
        self._credit = min(self._credit - 1, 1.0)
        return True


def first_credit(worker: str, epoch: int) -> float:
    """A worker's credit at the beginning of a ramp, from [0, 1): its own, and another for each record."""
    return zlib.crc32(f"{worker}/{epoch}".encode()) / 2**32
