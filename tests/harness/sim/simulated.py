"""Small simulations for tests: an engine, a network with one latency everywhere, and loops on it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from harness.sim.engine import Engine
from harness.sim.loop import SimLoop
from harness.sim.network import Network
from harness.sim.runner import simulate

T = TypeVar("T")
LATENCY_S = 0.001


def network(latency_s: float = LATENCY_S) -> Network:
    """A network in which everything takes as long."""
    return Network(Engine(), lambda _source, _target: lambda: latency_s)


def loop_on(net: Network, host: str = "here", *, callback_cost_s: float = 0.0) -> SimLoop:
    """A loop on a host, whose unobserved exceptions end the simulation."""
    return SimLoop(net.engine, net, host, callback_cost_s=callback_cost_s)


def run_on(loop: SimLoop, main: Coroutine[Any, Any, T], *, horizon_s: float = 3600.0) -> T:
    """The result of `main`; the loop is dead and buried afterwards."""
    try:
        return simulate(loop, main, horizon_s=horizon_s, max_steps=5_000_000)
    finally:
        loop.die()
        loop.bury()


def run(main: Coroutine[Any, Any, T], *, callback_cost_s: float = 0.0) -> T:
    """The result of `main` on a loop of its own."""
    return run_on(loop_on(network(), callback_cost_s=callback_cost_s), main)
