"""Counting, and deciding by the counts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flexiai.core.circuit import Cause
from flexiai.core.health import Health, asked_for_s, open_time_s
from flexiai.core.outcome import Outcome
from flexiai.core.window import STEPS, Window
from flexiai.types import BreakerConfig

STEPS_OF_TIME = st.lists(st.floats(0, 30), max_size=60)


@given(gaps=STEPS_OF_TIME, span=st.floats(0.1, 20))
def test_a_window_counts_the_last_span_less_at_most_one_step(gaps: list[float], span: float) -> None:
    window, now, times = Window(span), 0.0, []
    for gap in gaps:
        now += gap
        window.add(now)
        times.append(now)
        step = span / STEPS
        surely = sum(now - t < span - step * 1.001 for t in times)
        at_most = sum(now - t <= span * 1.001 for t in times)
        assert surely <= window.total(now) <= at_most


@given(gap=st.floats(20.1, 1e9))
def test_a_window_forgets_everything_after_its_span(gap: float) -> None:
    window = Window(20)
    window.add(5.0)
    assert window.total(5.0 + gap) == 0


def test_a_window_takes_time_that_goes_backwards_as_now() -> None:
    window = Window(10)
    window.add(100.0)
    window.add(50.0)
    assert window.total(100.0) == 2


@given(calls=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60))
def test_the_verdict_is_that_of_plain_arithmetic(calls: list[tuple[bool, bool]]) -> None:
    rules = BreakerConfig(
        failure_threshold=4, failure_rate=0.4, min_calls=8, slow_call_rate=0.6, slow_call_duration_s=1
    )
    health, failed, slow, row = Health(rules), 0, 0, 0
    for number, (fails, drags) in enumerate(calls, 1):
        health.note(0.0, fails, 1.0 if drags else 0.5)
        failed, slow, row = failed + fails, slow + drags, row + 1 if fails else 0
        expected = None
        if row >= 4:
            expected = Cause.CONSECUTIVE_FAILURES
        elif number >= 8 and failed / number >= 0.4:
            expected = Cause.FAILURE_RATE
        elif number >= 8 and slow / number >= 0.6:
            expected = Cause.SLOW_RATE
        assert health.verdict(0.0) is expected


def test_rates_that_are_off_never_open() -> None:
    health = Health(BreakerConfig(failure_threshold=1000, failure_rate=None, slow_call_rate=None, min_calls=1))
    for _ in range(100):
        health.note(0.0, True, 1000.0)
    assert health.verdict(0.0) is None


@given(rounds=st.integers(0, 100_000), jitter=st.floats(0, 1, exclude_max=True))
def test_an_open_time_is_spread_around_its_growth_and_never_beyond_the_maximum(rounds: int, jitter: float) -> None:
    rules = BreakerConfig(reset_timeout_s=10, reset_growth=3, reset_jitter=0.2, max_reset_timeout_s=200)
    grown = min(200.0, 10.0 * 3 ** min(rounds, 10))
    open_for_s = open_time_s(rules, rounds, jitter)
    assert grown * 0.8 - 1e-9 <= open_for_s <= min(200.0, grown * 1.2)


@given(outcome=st.sampled_from(Outcome), asked=st.floats(-10, 1e9))
def test_only_a_providers_own_failure_may_ask_to_be_left_alone(outcome: Outcome, asked: float) -> None:
    heeded = asked_for_s(BreakerConfig(max_retry_after_s=60), outcome, asked)
    if outcome in (Outcome.RATE_LIMITED, Outcome.FAILURE):
        assert heeded == min(60.0, max(0.0, asked))
    else:
        assert heeded == 0.0
