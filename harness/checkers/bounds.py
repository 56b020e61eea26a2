"""How long things may take: every bound the liveness checks use, derived from the scenario's own settings.

All are upper bounds on a machine that is not overloaded; each contains `SLACK_S`, and checks look at the bound only
when what they wait for has not happened yet.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.scenario import OpenLoad, ProviderSpec, Scenario

SLACK_S = 0.5
"""For scheduling, journals and slow machines."""

JITTER = 1.5
"""Intervals and backoffs are drawn with jitter; none exceeds its setting by more than this factor."""

PROMPT_S, TRIPS = 0.25, 6
"""What is done at once takes so long on a slow machine, and a few ways to Redis and back besides."""

ALONE_SHARE, ALONE_MOST_S = 0.2, 5.0
"""Without the store a worker probes up to this share of the open time later (failover.md: spread by jitter)."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds.

    prompt     until a worker has the store's answer, or a notice, where nothing stands between
    propagate  from a transition until every connected worker has it, with its notice lost: one reconcile
    notice     until a worker knows that its subscription is dead
    rejoin     from the end of a Redis fault until a worker is subscribed and has read again
    settle     rejoin, then propagate
    lease      until the probe lease of a worker that died is free again
    demand     until enough requests for a round of probes have come to whoever may probe
    answer     until the answers of a round of probes have come (they are under way together)
    """

    prompt: float
    propagate: float
    notice: float
    rejoin: float
    settle: float
    lease: float
    demand: float
    answer: float

    @classmethod
    def of(cls, scenario: Scenario) -> Bounds:
        """The bounds that a scenario's settings imply."""
        sync, breaker = scenario.sync, scenario.breaker
        streams = any(load.stream for load in scenario.load)
        propagate = JITTER * sync.reconcile_interval_s + 2 * sync.operation_timeout_s + SLACK_S
        notice = JITTER * sync.health_interval_s + sync.pong_timeout_s + sync.operation_timeout_s
        rejoin = notice + JITTER * sync.reconnect_max_s + 3 * sync.operation_timeout_s + SLACK_S
        return cls(
            prompt=PROMPT_S + TRIPS * scenario.redis.latency.p99,
            propagate=propagate,
            notice=notice,
            rejoin=rejoin,
            settle=rejoin + propagate,
            lease=sync.lease_s + sync.probe_idle_s,
            demand=_demand(breaker.half_open_max_calls) * _gap_s(scenario) * _tries(scenario),
            answer=2 * max(_answer_s(p, streams) for p in scenario.providers),
        )

    def recovery(self, open_for_s: float) -> float:
        """From the moment a probe of a healed provider is due until every worker may use it again."""
        alone = min(ALONE_SHARE * open_for_s, ALONE_MOST_S)
        return alone + self.lease + self.demand + self.answer + self.propagate


UNLUCKY = 1e-6
"""How improbable the luck must be before a fair run exceeds a bound."""


def _demand(probes: int) -> float:
    """How many mean gaps (between two requests of one worker) it may take until so many requests have come to whoever
    has the right to probe.

    Of N workers that share Poisson arrivals at random, one gets a Poisson stream of an N-th of the rate, and so does
    "whoever holds the lease", if that changes (thinning: Kingman, Poisson Processes, 1993, section 2.3): the number of
    requests until the holder's first is geometric with mean N. The wait for the k-th is longer than x mean gaps with
    probability P(Poisson(x) < k) = e^-x (1 + x + ... + x^(k-1) / (k-1)!) (the Erlang distribution). This is the x at
    which that is UNLUCKY: 13.8 for one, 16.7 for two. Balancers that take turns spread requests more evenly.
    A probe that succeeded counts whoever made it, so that nothing begins anew.
    """
    low, high = 0.0, 100.0 + 10.0 * probes
    while high - low > 1e-6:
        middle = (low + high) / 2
        fewer = math.exp(-middle) * sum(middle**n / math.factorial(n) for n in range(probes))
        low, high = (middle, high) if fewer > UNLUCKY else (low, middle)
    return high


def _answer_s(provider: ProviderSpec, streams: bool) -> float:
    """How long an answer takes, were it a stream if any is: a probe's outcome comes at its end."""
    return provider.latency.p99 + provider.tokens * provider.token_interval * streams


def _tries(scenario: Scenario) -> float:
    """How many probes it takes until the sender of one stays: a caller that leaves says nothing of the provider."""
    stays = 1 - max(load.cancel for load in scenario.load)
    return 1 / stays if stays > 0 else math.inf


def _gap_s(scenario: Scenario) -> float:
    """Mean seconds between two requests of one worker, were they spread evenly; by the loads that never cease, if there
    are such."""
    steady = [load for load in scenario.load if load.at == 0.0 and load.for_ is None] or scenario.load
    rates = [load.least if isinstance(load, OpenLoad) else load.users / load.pace for load in steady]
    most = max(rates)
    return len(scenario.topology.places) / most if most > 0 else scenario.duration
