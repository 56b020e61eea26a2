"""Campaign plans for tests: small ones, that find what there is to find in a second."""

from __future__ import annotations

from harness.campaign import plan
from harness.campaign.plan import Plan
from harness.checkers import CHECKERS
from harness.coverage import PATH_IDS

TINY = """\
name: tiny
description: Two workers, an outage or two.
seeds: 60
twice: 10%
safety: 1s..2s
liveness: 1s..2s
settled: 0%
topology: {instances: 1, workers: 2}
providers: {count: 2, latency: 10ms..30ms}
load: {rate: 4/s..8/s, closed: 0%}
breaker: {failure_threshold: 1..2, reset_timeout: 300ms..500ms, max_reset_timeout: 500ms}
sync: {reconcile_interval: 1s..2s, health_interval: 1s..2s, join_timeout: 200ms}
faults:
  count: 1..2
  for: 300ms..1s
  kinds: [provider/error, provider/refuse, redis/kill, worker/kill]
"""


def parse(text: str = TINY) -> Plan:
    """The plan in a text."""
    return plan.parse(text, "test.yaml", PATH_IDS, [c.id for c in CHECKERS])
