"""Traffic comes back by degrees, without chance, and all workers are on the same ramp."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexiai.core.breaker import Breaker, Permit, Refusal
from flexiai.core.circuit import Cause, Circuit, State
from flexiai.core.outcome import Outcome
from flexiai.core.ramp import Ramp, first_credit
from flexiai.types import BreakerConfig

RULES = BreakerConfig(failure_threshold=1, reset_timeout_s=10, reset_jitter=0, ramp_s=10, ramp_from=0.1)
SHAPES = st.sampled_from(["linear", "exponential"])


def closed_by_a_probe(rules: BreakerConfig = RULES) -> Breaker:
    """Opened at 0 s, closed at 10 s."""
    breaker = Breaker("p", rules, "w")
    ends(breaker, Outcome.FAILURE, 0.0)
    breaker.grant_probe(breaker.open_until)
    ends(breaker, Outcome.SUCCESS, breaker.open_until)
    assert breaker.state is State.CLOSED
    return breaker


def ends(breaker: Breaker, outcome: Outcome, now: float) -> None:
    permit = breaker.admit(now, last_resort=True)
    assert isinstance(permit, Permit)
    breaker.record(permit, outcome, now)


def admitted(breaker: Breaker, times: list[float]) -> int:
    return sum(isinstance(breaker.admit(t), Permit) for t in times)


@given(shape=SHAPES, first=st.floats(0.01, 1), whole_s=st.floats(0.1, 60), parts=st.lists(st.floats(0, 1.5)))
def test_the_share_grows_from_the_first_to_all(shape: str, first: float, whole_s: float, parts: list[float]) -> None:
    ramp = Ramp(BreakerConfig(ramp_s=whole_s, ramp_from=first, ramp_shape=shape))
    assert ramp.share(0.0) == 1.0
    ramp.begin(100.0, whole_s, whole_s, 0.0)
    shares = [ramp.share(100.0 + part * whole_s) for part in [0.0, *sorted(parts), 1.01]]
    assert shares == sorted(shares)
    assert shares[0] == pytest.approx(first)
    assert shares[-1] == 1.0


@given(shape=SHAPES, credit=st.floats(0, 1, exclude_max=True), gaps=st.lists(st.floats(0.001, 0.5), max_size=80))
def test_as_many_are_admitted_as_the_shares_add_up_to(shape: str, credit: float, gaps: list[float]) -> None:
    ramp = Ramp(BreakerConfig(ramp_s=10, ramp_from=0.1, ramp_shape=shape))
    ramp.begin(0.0, 10.0, 10.0, credit)
    now = due = passed = 0.0
    for gap in gaps:
        now += gap
        due += ramp.share(now)
        passed += ramp.admits(now)
        assert abs(credit + due - passed) <= 1 + 1e-6


def test_the_first_requests_of_a_fleet_are_spread() -> None:
    credits = [first_credit(f"web-1:{n}", 7) for n in range(1000)]
    assert all(0 <= c < 1 for c in credits)
    assert sum(c + 0.1 >= 1 for c in credits) == pytest.approx(100, abs=40)


def test_a_tenth_passes_at_first_and_all_at_the_end() -> None:
    breaker = closed_by_a_probe()
    assert admitted(breaker, [10.0 + n / 1000 for n in range(100)]) == pytest.approx(10, abs=1)
    assert admitted(breaker, [15.0 + n / 1000 for n in range(100)]) == pytest.approx(55, abs=2)
    assert admitted(breaker, [20.0 + n / 1000 for n in range(100)]) == 100


def test_who_is_spared_is_asked_as_the_last_resort() -> None:
    breaker = closed_by_a_probe()
    refusal = next(r for r in (breaker.admit(10.0) for _ in range(9)) if isinstance(r, Refusal))
    assert (refusal.state, refusal.spared, refusal.why) == (State.CLOSED, "ramp", "ramp")
    assert isinstance(breaker.admit(10.0, last_resort=True), Permit)


def test_without_a_ramp_all_traffic_is_back_at_once() -> None:
    breaker = closed_by_a_probe(RULES.model_copy(update={"ramp_s": 0.0}))
    assert admitted(breaker, [10.0] * 50) == 50
    assert breaker.proposal is not None
    assert breaker.proposal.open_for_ms == 0


def test_an_operators_reset_leaves_no_ramp() -> None:
    breaker = closed_by_a_probe()
    breaker.reset(10.5)
    assert breaker.share(10.5) == 1.0
    assert admitted(breaker, [10.5] * 50) == 50


def test_the_fleet_is_on_the_same_ramp_and_who_joins_late_joins_it_where_it_is() -> None:
    told = closed_by_a_probe().proposal
    assert told is not None
    record = Circuit(5, told.state, told.reason, told.worker, open_for_ms=told.open_for_ms)
    other, late = Breaker("p", RULES, "x"), Breaker("p", RULES, "y")
    other.adopt(Circuit(4, State.OPEN, open_for_ms=10_000), 0.0, 10.0)
    other.adopt(record, 1000.0, 10.0)
    late.adopt(record, 2000.0, 4.0, age_s=6.0)
    assert other.share(1006.0) == late.share(2000.0) == pytest.approx(0.64)
    assert late.share(2004.0) == 1.0
    assert late.state is State.CLOSED


def test_opening_on_the_ramp_counts_as_a_failed_round_and_after_it_does_not() -> None:
    during, after = closed_by_a_probe(), closed_by_a_probe()
    ends(during, Outcome.FAILURE, 12.0)
    ends(after, Outcome.FAILURE, 21.0)
    assert (during.reason, during.rounds, during.open_until) == (Cause.CONSECUTIVE_FAILURES, 1, 32.0)
    assert (after.reason, after.rounds, after.open_until) == (Cause.CONSECUTIVE_FAILURES, 0, 31.0)
