"""The order of providers, and when to come back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flexiai.core.breaker import Breaker, Permit
from flexiai.core.outcome import Outcome
from flexiai.core.routing import in_order, soonest_s
from flexiai.types import BreakerConfig, ProviderConfig


@given(priorities=st.lists(st.integers(0, 5), max_size=12))
def test_providers_come_by_priority_and_then_as_declared(priorities: list[int]) -> None:
    declared = [ProviderConfig(name=f"p{i}", model="m", priority=p) for i, p in enumerate(priorities)]
    ranks = [(p.priority, declared.index(p)) for p in in_order(declared)]
    assert ranks == sorted(ranks)
    assert len(ranks) == len(declared)


def _breaker(open_for_s: float | None) -> Breaker:
    breaker = Breaker("p", BreakerConfig(), "w")
    if open_for_s is not None:
        permit = breaker.admit(0.0)
        assert isinstance(permit, Permit)
        breaker.record(permit, Outcome.RATE_LIMITED, 0.0, retry_after_s=open_for_s)
    return breaker


@given(waits=st.lists(st.none() | st.floats(1, 200), min_size=1, max_size=5), now=st.floats(0, 300))
def test_the_soonest_wait_is_that_of_the_first_provider_that_may_be_asked(
    waits: list[float | None], now: float
) -> None:
    expected = min(0.0 if wait is None else max(0.0, wait - now) for wait in waits)
    assert soonest_s([_breaker(wait) for wait in waits], now) == expected
