"""How many small seeds a core searches through in a second, beside bare asyncio and bare simpy."""

from __future__ import annotations

import time

from harness.campaign import plan as plans
from harness.campaign.batch import run_batch
from harness.checkers import CHECKERS
from harness.coverage import PATH_IDS
from tests.bench.figure import Figure

SEEDS = 300
SMALL = """\
name: small-seeds
description: Four workers, two providers, Redis, three faults, about twenty requests; all checkers.
twice: 1%
safety: 2s..4s
liveness: 3s..5s
settled: 0%
topology: {instances: 2, workers: 2}
providers: {count: 2, latency: 10ms..80ms}
load: {rate: 2.5/s..4/s, closed: 0%}
breaker: {failure_threshold: 1..3, reset_timeout: 300ms..1s, max_reset_timeout: 500ms..2s}
request: {attempt_timeout: 300ms..1s, deadline: 1s..3s}
sync:
  reconcile_interval: 1s..2s
  health_interval: 1s..2s
  pong_timeout: 200ms..500ms
  operation_timeout: 200ms..500ms
  join_timeout: 200ms..500ms
  lease: 500ms..2s
faults:
  count: 3
  for: 300ms..2s
  parameters: {provider/latency: {add: 100ms..1s}, redis/latency: {add: 5ms..300ms}}
"""


def run() -> list[Figure]:
    """Seeds a second of CPU, everything included: drawing, running, judging, counting."""
    plan = plans.parse(SMALL, "small-seeds", PATH_IDS, [c.id for c in CHECKERS])
    run_batch(plan, range(5))  # what is imported and compiled once is no part of the figures
    began = time.process_time()
    totals = run_batch(plan, range(1000, 1000 + SEEDS)).totals
    took_s = time.process_time() - began
    return [
        Figure("small seeds, a core", SEEDS / took_s, "/s", ">= 100", "4 workers, 2 providers, 3 faults"),
        Figure("requests in a seed", totals.requests / SEEDS, "", None, f"{totals.events / SEEDS:.0f} events"),
        Figure("simulated over real time", totals.simulated_ms / 1000 / took_s, "x"),
    ]
