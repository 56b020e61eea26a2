"""Healthy providers answer in time. Else a drawn latency's tail would open a breaker without a fault, rarely and
rightly, and every search would sooner or later report it.

A log-normal latency of median m and 99th percentile p exceeds m·(p/m)^(z/z99) with the probability with which a
standard normal exceeds z. `in_time` takes p down until that, at z = SURE, is the shortest time that an answer may take.
"""

from __future__ import annotations

from statistics import NormalDist

from harness.scenario import Latency, ProviderSpec, Scenario
from harness.units import format_duration

SURE = 6.0
"""One request in a thousand million."""
_Z99 = NormalDist().inv_cdf(0.99)


def in_time(scenario: Scenario) -> Scenario:
    """The scenario with latencies that outlast no patience, and are slow by no measure, unless a fault adds to them."""
    within_s = _patience_s(scenario)
    return scenario.model_copy(update={"providers": tuple(_tamed(p, within_s) for p in scenario.providers)})


def _patience_s(scenario: Scenario) -> float:
    request, breaker = scenario.request, scenario.breaker
    slow_s = breaker.slow_call_duration_s if breaker.slow_call_rate is not None else request.attempt_timeout_s
    return min(request.attempt_timeout_s, request.first_token_timeout_s, slow_s)


def _tamed(provider: ProviderSpec, within_s: float) -> ProviderSpec:
    latency = provider.latency
    widest = max(1.0, within_s / latency.median) ** (_Z99 / SURE)
    p99_s = min(latency.p99, latency.median * widest)
    tamed = Latency(median=format_duration(latency.median), p99=format_duration(max(latency.median, round(p99_s, 6))))
    return provider.model_copy(update={"latency": tamed})
