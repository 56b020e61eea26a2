"""How fast the simulation is, beside bare asyncio and bare simpy of the same run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import simpy
import yaml

from harness.history import RequestDone
from harness.run import run as drive
from harness.scenario import Scenario
from harness.sim.world import SimWorld
from tests.bench.figure import Figure
from tests.harness.sim.simulated import run as simulate

HOPS = 100_000
REQUESTS = 30_000
PRIMARY_OUTAGE = Path(__file__).parents[2] / "scenarios" / "primary-outage.yaml"


def run() -> list[Figure]:
    """All figures of the simulation."""
    outage: dict[str, Any] = yaml.safe_load(PRIMARY_OUTAGE.read_text())
    _scenario(outage)  # what is imported and compiled once is no part of the figures
    wall_s, _ = min(_scenario(outage) for _ in range(3))
    busy_s, answered = _scenario(_healthy(outage, rate="1000/s", duration="20s", instances=3, workers=4))
    many_s, _ = _scenario(_healthy(outage, rate="100/s", duration="10s", instances=100, workers=10))
    return [
        Figure("bare simpy timeouts", HOPS / timed(simpy_timeouts), "/s"),
        Figure("bare asyncio hops, sleep(0)", HOPS / timed(lambda: asyncio.run(hops())), "/s"),
        Figure("simulated hops, sleep(0)", HOPS / timed(lambda: simulate(hops())), "/s"),
        Figure("simulated timers, sleep(1 ms)", HOPS / timed(lambda: simulate(_timers())), "/s"),
        Figure("simulated bare requests", REQUESTS / timed(lambda: simulate(_requests())), "/s", None, "task+timeout"),
        Figure("simulated requests through the whole client", answered / busy_s, "/s", None, "aim 10,000 a core"),
        Figure("primary-outage, 60 s, 12 workers", wall_s, "s", "<= 1"),
        Figure("primary-outage, simulated over real time", outage_s(outage) / wall_s, "x", None, "aim 200"),
        Figure("1,000 workers, 10 s, 100 requests/s", many_s, "s"),
    ]


def outage_s(outage: dict[str, Any]) -> float:
    """How long a scenario lasts."""
    return Scenario.model_validate(outage).duration


def _scenario(raw: dict[str, Any]) -> tuple[float, int]:
    scenario = Scenario.model_validate(raw)
    began = time.perf_counter()
    outcome = drive(SimWorld(scenario, 1), scenario, 1, lambda *_: None)
    took_s = time.perf_counter() - began
    if outcome.error is not None:
        raise RuntimeError(outcome.error)
    return took_s, sum(1 for _ in outcome.history.all(RequestDone))


def _healthy(outage: dict[str, Any], *, rate: str, duration: str, instances: int, workers: int) -> dict[str, Any]:
    return {
        **outage,
        "duration": duration,
        "topology": {"instances": instances, "workers": workers},
        "load": [{"arrival": "poisson", "rate": rate}],
        "faults": [],
    }


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def simpy_timeouts() -> None:
    env = simpy.Environment()

    def process() -> Iterator[simpy.Event]:
        for _ in range(HOPS):
            yield env.timeout(0.001)

    env.process(process())
    env.run()


async def hops() -> None:
    for _ in range(HOPS):
        await asyncio.sleep(0)


async def _timers() -> None:
    for _ in range(HOPS):
        await asyncio.sleep(0.001)


async def _requests() -> None:
    events: list[int] = []

    async def request(number: int) -> None:
        events.extend((number, number))
        async with asyncio.timeout(30):
            await asyncio.sleep(0.12)
        events.extend((number, number))

    async with asyncio.TaskGroup() as group:
        for number in range(REQUESTS):
            group.create_task(request(number))
            await asyncio.sleep(0.001)
