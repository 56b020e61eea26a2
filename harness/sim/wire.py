"""What lies between two hosts: a path per direction, and the disturbances that shape what travels on it.

Rules
-----
* Every segment takes its path's latency, and never overtakes an earlier one of its connection.
* A disturbance covers the paths between two groups of hosts, one way or both, and gives one verdict:
  `delay` takes longer; `throttle` lets so many bytes through in a second; `hold` keeps the segments and lets them go,
  in order, when it is healed (as retransmission would); `drop` loses them, and the connection with them: it is reset
  when it is next used after the heal; `refuse` lets no new connection come about.
* A disturbance counts the segments it touched: the evidence that it did something.
* What is already on the wire when a disturbance begins arrives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from harness.sim.chance import Sampler
from harness.sim.engine import Call, Engine

Effect = Literal["delay", "throttle", "hold", "drop", "refuse"]
SEGMENT_BYTES = 65_536


class Disturbance:
    """Something wrong between two groups of hosts. `affected`: segments it touched so far.

    add   how much longer a segment takes (delay); rate: bytes per second (throttle)
    """

    def __init__(
        self,
        near: frozenset[str],
        far: frozenset[str],
        effect: Effect,
        *,
        add_s: float = 0.0,
        add: Sampler | None = None,
        rate: float = 0.0,
        one_way: bool = False,
    ) -> None:
        self.near, self.far, self.effect, self.one_way = near, far, effect, one_way
        self.add: Sampler = add or (lambda: add_s)
        self.rate = rate
        self.affected = 0

    def covers(self, source: str, target: str) -> bool:
        """Whether it shapes what goes from `source` to `target`."""
        there = source in self.near and target in self.far
        return there or (not self.one_way and source in self.far and target in self.near)


class Lane:
    """One direction of one connection: keeps its segments in order. `lost`: a segment of it was dropped."""

    __slots__ = ("last", "lost")

    def __init__(self) -> None:
        self.last = 0.0
        self.lost = False


Held = tuple[Lane, int, Callable[..., object], tuple[object, ...]]


class Path:
    """The way from one host to another. `bandwidth`: bytes per second, None without limit."""

    __slots__ = ("_disturbances", "_engine", "_free_at", "_held", "_rate", "bandwidth", "latency", "source", "target")

    def __init__(
        self, engine: Engine, source: str, target: str, latency: Sampler, bandwidth: float | None = None
    ) -> None:
        self._engine = engine
        self.source, self.target = source, target
        self.latency = latency
        self.bandwidth = bandwidth
        self._free_at = 0.0
        self._disturbances: tuple[Disturbance, ...] = ()
        self._rate = bandwidth  # now, with what throttles it
        self._held: list[Held] = []

    def disturb(self, disturbances: tuple[Disturbance, ...]) -> None:
        """The disturbances now in effect here; what no longer has to wait goes on."""
        self._disturbances = disturbances
        rates = [d.rate for d in disturbances if d.effect == "throttle"]
        self._rate = min(rates if self.bandwidth is None else [*rates, self.bandwidth], default=None)
        if self._held and not any(d.effect == "hold" for d in disturbances):
            held, self._held = self._held, []
            for lane, size, fn, args in held:
                self._go(lane, size, 0.0, fn, args)

    def carry(self, lane: Lane, size: int, fn: Callable[..., object], *args: object) -> None:
        """Bring a segment of `size` bytes to the other side: `fn(*args)` is called when it arrives, if it does."""
        if not self._disturbances:
            self._go(lane, size, 0.0, fn, args)
            return
        for disturbance in self._disturbances:
            disturbance.affected += 1
        effects = [d.effect for d in self._disturbances]
        if "drop" in effects:
            lane.lost = True
        elif "hold" in effects:
            self._held.append((lane, size, fn, args))
        else:
            self._go(lane, size, sum(d.add() for d in self._disturbances), fn, args)

    def _go(self, lane: Lane, size: int, add_s: float, fn: Callable[..., object], args: tuple[object, ...]) -> None:
        start = self._engine._now
        if self._rate is not None:
            start = self._free_at = max(start, self._free_at) + size / self._rate
        arrival = start + self.latency() + add_s
        lane.last = max(lane.last, arrival)
        self._engine.put(lane.last, Call(fn, args))
