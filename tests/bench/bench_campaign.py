"""How many small seeds a core searches through in a second, beside bare asyncio and bare simpy."""

from __future__ import annotations

import asyncio
import time

from harness.campaign import plan as plans
from harness.campaign.batch import run_batch
from harness.campaign.command import find
from harness.checkers import CHECKERS
from harness.coverage import PATH_IDS
from tests.bench.bench_simulation import HOPS, hops, simpy_timeouts, timed
from tests.bench.figure import Figure

SEEDS = 300


def run() -> list[Figure]:
    """Seeds a second of CPU, everything included: drawing, running, judging, counting."""
    plan = plans.load(find("small"), PATH_IDS, [c.id for c in CHECKERS])
    run_batch(plan, range(5))  # what is imported and compiled once is no part of the figures
    began = time.process_time()
    totals = run_batch(plan, range(1000, 1000 + SEEDS)).totals
    took_s = time.process_time() - began
    return [
        Figure("bare simpy timeouts", HOPS / timed(simpy_timeouts), "/s"),
        Figure("bare asyncio hops, sleep(0)", HOPS / timed(lambda: asyncio.run(hops())), "/s"),
        Figure("small seeds, a core", SEEDS / took_s, "/s", None, "4 workers, 2 providers, 3 faults; aim 100"),
        Figure("requests in a seed", totals.requests / SEEDS, "", None, f"{totals.events / SEEDS:.0f} events"),
        Figure("simulated over real time", totals.simulated_ms / 1000 / took_s, "x"),
    ]
