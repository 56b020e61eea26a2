"""What takes time in the simulated world besides what a scenario says: assumed, of the right order, not calibrated."""

from __future__ import annotations

from dataclasses import dataclass

from harness.scenario import Latency

EDGE = Latency.model_validate({"median": "500us", "p99": "3ms"})


@dataclass(frozen=True, slots=True)
class Costs:
    """Times in seconds.

    callback_s  CPU of one callback of a worker's event loop
    edge        a request's way from the load to a worker, and the answer's way back
    stagger_s   between the starts of two workers
    respawn_s   from a worker's end to its replacement's beginning: at least, at most
    """

    callback_s: float = 20e-6
    edge: Latency = EDGE
    stagger_s: float = 0.001
    respawn_s: tuple[float, float] = (0.6, 1.2)
