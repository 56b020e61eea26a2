"""Drawn providers answer in time."""

from __future__ import annotations

from math import log
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import strategies
from harness.campaign.draw import draw
from harness.campaign.health import SURE, in_time
from harness.campaign.plan import Plan
from harness.scenario import Latency, Scenario
from tests.harness.campaign.plans import TINY, parse

Z99 = NormalDist().inv_cdf(0.99)
ROUNDING = 1e-3


def plan(latency: str, attempt_timeout: str) -> Plan:
    text = TINY.replace("latency: 10ms..30ms", f"latency: {latency}")
    return parse(text + f"request: {{attempt_timeout: {attempt_timeout}}}\n")


def late(latency: Latency, patience_s: float) -> float:
    """By how many standard deviations an answer that is too late is out."""
    if latency.p99 == latency.median:
        return SURE
    return log(patience_s / latency.median) / (log(latency.p99 / latency.median) / Z99)


def patience_s(scenario: Scenario) -> float:
    request, breaker = scenario.request, scenario.breaker
    times = [request.attempt_timeout_s, request.first_token_timeout_s]
    return min(times + ([breaker.slow_call_duration_s] if breaker.slow_call_rate is not None else []))


@given(st.integers(0, 10_000))
def test_hardly_one_request_in_a_thousand_million_is_late(seed: int) -> None:
    scenario = draw(plan("10ms..30ms, tail: 1.5..10.0", "300ms..1s"), seed)

    assert all(late(p.latency, patience_s(scenario)) >= SURE - ROUNDING for p in scenario.providers)


@given(strategies.scenarios())
def test_the_strategies_draw_no_others(scenario: Scenario) -> None:
    assert all(late(p.latency, patience_s(scenario)) >= SURE - ROUNDING for p in scenario.providers)


@given(strategies.scenarios())
def test_what_is_in_time_stays_as_it_is(scenario: Scenario) -> None:
    assert in_time(scenario) == scenario


@pytest.mark.parametrize("median", ["300ms", "2s"])
def test_where_the_median_is_late_there_is_no_tail(median: str) -> None:
    scenario = draw(plan(f"{median}, tail: 4.0", "300ms"), 1)

    assert all(p.latency.p99 == p.latency.median for p in scenario.providers)
