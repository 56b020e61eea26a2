"""What a breaker does, fact by fact; `test_core_breaker_machine` tries their order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexiai.core.breaker import Breaker, Permit, Refusal
from flexiai.core.circuit import Cause, Circuit, State
from flexiai.core.health import open_time_s
from flexiai.core.outcome import Outcome
from flexiai.types import BreakerConfig

RULES = BreakerConfig(failure_threshold=3, reset_timeout_s=10, reset_jitter=0.1, max_reset_timeout_s=60)


def admitted(breaker: Breaker, now: float) -> Permit:
    answer = breaker.admit(now)
    assert isinstance(answer, Permit)
    return answer


def call(breaker: Breaker, outcome: Outcome, now: float, **how: float) -> None:
    breaker.record(admitted(breaker, now), outcome, now, **how)


def opened(rules: BreakerConfig = RULES) -> Breaker:
    breaker = Breaker("p", rules, "w")
    for _ in range(rules.failure_threshold):
        call(breaker, Outcome.FAILURE, 0.0)
    assert breaker.state is State.OPEN
    return breaker


def probing(rules: BreakerConfig = RULES) -> Breaker:
    breaker = opened(rules)
    breaker.grant_probe(breaker.open_until)
    assert breaker.state is State.HALF_OPEN
    return breaker


def test_a_success_ends_a_run_of_failures() -> None:
    breaker = Breaker("p", RULES, "w")
    for outcome in (Outcome.FAILURE, Outcome.FAILURE, Outcome.SUCCESS, Outcome.FAILURE, Outcome.FAILURE):
        call(breaker, outcome, 0.0)
    assert breaker.state is State.CLOSED
    assert breaker.failure_count == 2


def test_it_refuses_until_its_time_is_over_and_then_says_that_a_probe_is_due() -> None:
    breaker = opened()
    assert breaker.admit(9.9) == Refusal("p", State.OPEN, probe_due=False, retry_at=10.0)
    assert breaker.admit(10.0) == Refusal("p", State.OPEN, probe_due=True, retry_at=10.0)


def test_a_round_of_probes_is_never_larger_than_its_bound() -> None:
    breaker = probing(BreakerConfig(failure_threshold=1, half_open_max_calls=2, reset_timeout_s=10))
    call(breaker, Outcome.SUCCESS, 10.0)
    last = admitted(breaker, 10.0)
    assert isinstance(breaker.admit(10.0), Refusal)
    breaker.record(last, Outcome.SUCCESS, 10.0)
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize("outcome", [Outcome.NEUTRAL, Outcome.SUCCESS])
def test_a_probe_gives_its_slot_back(outcome: Outcome) -> None:
    breaker = probing(BreakerConfig(failure_threshold=1, half_open_max_calls=2, reset_timeout_s=10))
    permit = admitted(breaker, 10.0)
    assert breaker.probes_in_flight == 1
    breaker.record(permit, outcome, 10.0)
    assert breaker.probes_in_flight == 0


def test_a_neutral_probe_decides_nothing_and_the_next_request_probes() -> None:
    breaker = probing()
    call(breaker, Outcome.NEUTRAL, 10.0)
    assert breaker.state is State.HALF_OPEN
    call(breaker, Outcome.SUCCESS, 10.0)
    assert breaker.state is State.CLOSED


def test_a_late_failure_does_not_count_against_the_recovered_provider() -> None:
    breaker = Breaker("p", BreakerConfig(failure_threshold=1, reset_timeout_s=10), "w")
    slow = admitted(breaker, 0.0)
    call(breaker, Outcome.FAILURE, 0.0)
    breaker.grant_probe(10.0)
    call(breaker, Outcome.SUCCESS, 10.0)
    recorded = breaker.record(slow, Outcome.FAILURE, 11.0, took_s=11.0)
    assert (recorded.counted, recorded.transition, breaker.state) == (False, None, State.CLOSED)


def test_a_late_success_does_not_close_a_re_opened_circuit() -> None:
    breaker = probing(BreakerConfig(failure_threshold=1, half_open_max_calls=2, reset_timeout_s=10))
    slow = admitted(breaker, 10.0)
    call(breaker, Outcome.FAILURE, 10.0)
    assert not breaker.record(slow, Outcome.SUCCESS, 11.0).counted
    assert breaker.state is State.OPEN


@pytest.mark.parametrize("outcome", [Outcome.RATE_LIMITED, Outcome.FAILURE])
def test_retry_after_opens_at_once_for_exactly_that_long(outcome: Outcome) -> None:
    breaker = Breaker("p", RULES, "w")
    call(breaker, outcome, 5.0, retry_after_s=7.5, jitter=0.9)
    assert (breaker.state, breaker.reason, breaker.open_until) == (State.OPEN, Cause.RETRY_AFTER, 12.5)


def test_an_absurd_retry_after_is_capped() -> None:
    breaker = Breaker("p", RULES, "w")
    call(breaker, Outcome.RATE_LIMITED, 0.0, retry_after_s=86_400.0)
    assert breaker.open_until == RULES.max_retry_after_s


def test_a_shorter_retry_after_does_not_overwrite_a_longer_one() -> None:
    breaker = Breaker("p", RULES, "w")
    late = [admitted(breaker, 0.0) for _ in range(2)]
    call(breaker, Outcome.RATE_LIMITED, 0.0, retry_after_s=20.0)
    breaker.record(late[0], Outcome.RATE_LIMITED, 1.0, retry_after_s=2.0)
    assert breaker.open_until == 20.0
    breaker.record(late[1], Outcome.RATE_LIMITED, 1.0, retry_after_s=40.0)
    assert breaker.open_until == 41.0
    assert breaker.proposal is not None
    assert breaker.proposal.open_for_ms == 40_000


def test_a_burst_of_like_retry_afters_is_told_to_the_fleet_once() -> None:
    breaker = Breaker("p", RULES, "w")
    late = admitted(breaker, 0.0)
    call(breaker, Outcome.RATE_LIMITED, 0.0, retry_after_s=20.0)
    told = breaker.proposal
    breaker.record(late, Outcome.RATE_LIMITED, 0.5, retry_after_s=20.0)
    assert breaker.open_until == 20.5
    assert breaker.proposal is told


def test_a_worker_asked_for_longer_keeps_to_it_and_tells_the_fleet() -> None:
    breaker = Breaker("p", RULES, "w")
    call(breaker, Outcome.RATE_LIMITED, 0.0, retry_after_s=30.0)
    breaker.adopt(Circuit(epoch=1, state=State.OPEN, reason=Cause.RETRY_AFTER, worker="x"), 0.1, 5.0)
    assert breaker.open_until == 30.0
    assert breaker.proposal is not None
    assert breaker.proposal.base == 1


def test_refused_credentials_open_at_once_with_their_own_reason() -> None:
    breaker = Breaker("p", RULES, "w")
    call(breaker, Outcome.MISCONFIGURED, 0.0)
    assert (breaker.state, breaker.reason) == (State.OPEN, Cause.MISCONFIGURED)
    assert breaker.open_until == RULES.misconfigured_for_s


def test_each_failed_round_of_probes_doubles_the_open_time_up_to_its_maximum() -> None:
    breaker = opened()
    spans = []
    for _ in range(5):
        now = breaker.open_until
        breaker.grant_probe(now)
        call(breaker, Outcome.FAILURE, now)
        spans.append(breaker.open_until - now)
    assert spans == pytest.approx([20, 40, 60, 60, 60])
    assert breaker.proposal is not None
    assert breaker.proposal.rounds == 5


def test_an_abandoned_probe_is_due_again_at_once() -> None:
    breaker = probing()
    admitted(breaker, 10.0)
    change = breaker.revoke_probe(12.0)
    assert change is not None
    assert change.cause is Cause.PROBE_ABANDONED
    assert breaker.probes_in_flight == 0
    assert breaker.admit(12.0) == Refusal("p", State.OPEN, probe_due=True, retry_at=12.0)


def test_hearing_the_same_fact_again_only_shortens_the_wait() -> None:
    breaker = Breaker("p", RULES, "w")
    fact = Circuit(epoch=1, state=State.OPEN, worker="x", open_for_ms=10_000)
    breaker.adopt(fact, 0.0, 10.0)
    breaker.adopt(fact, 1.0, 8.0)
    assert breaker.open_until == 9.0
    breaker.adopt(fact, 2.0, 10.0)
    assert breaker.open_until == 9.0


def test_a_reset_is_told_to_the_fleet_even_if_nothing_was_open() -> None:
    breaker = Breaker("p", RULES, "w")
    assert breaker.reset(1.0) is None
    assert breaker.proposal is not None
    assert breaker.proposal.forced


def test_successes_are_counted_over_all_lives() -> None:
    breaker = Breaker("p", RULES, "w")
    for _ in range(3):
        call(breaker, Outcome.SUCCESS, 0.0)
    breaker.reset(0.0)
    assert breaker.success_count == 3


def test_a_reset_that_the_fleet_has_not_yet_heard_survives_whatever_is_heard_meanwhile():
    for state, reason in ((State.CLOSED, Cause.PROBE_SUCCEEDED), (State.OPEN, Cause.CONSECUTIVE_FAILURES)):
        breaker = Breaker("p", BreakerConfig(), "w")
        breaker.reset(1.0)
        breaker.adopt(Circuit(epoch=3, state=state, reason=reason, worker="other"), 2.0, 5.0)
        assert breaker.proposal is not None
        assert breaker.proposal.forced
        assert breaker.state is State.CLOSED


def test_a_fact_from_the_stores_future_holds_no_longer_than_it_was_opened_for():
    assert Circuit(epoch=1, state=State.OPEN, since_ms=3_600_000, open_for_ms=5_000).left_ms(0) == 5_000


@given(asked_s=st.floats(0, 1000), rounds=st.integers(0, 6), jitter=st.floats(0, 1, exclude_max=True))
def test_a_failed_probe_waits_for_its_grown_time_or_for_what_it_was_asked_if_that_is_longer(
    asked_s: float, rounds: int, jitter: float
) -> None:
    breaker = opened()
    for _ in range(rounds):
        breaker.grant_probe(breaker.open_until)
        call(breaker, Outcome.FAILURE, breaker.open_until)
    now = breaker.open_until
    breaker.grant_probe(now)
    call(breaker, Outcome.RATE_LIMITED, now, retry_after_s=asked_s, jitter=jitter)
    grown_s = open_time_s(RULES, rounds + 1, jitter)
    assert breaker.open_until - now == pytest.approx(max(grown_s, min(asked_s, RULES.max_retry_after_s)))


def test_a_probe_that_succeeds_too_late_reopens_what_slow_calls_open() -> None:
    slow = BreakerConfig(failure_threshold=1, reset_timeout_s=10, slow_call_rate=0.5, slow_call_duration_s=2)
    breaker = probing(slow)
    call(breaker, Outcome.SUCCESS, 12.0, took_s=2.0)
    assert (breaker.state, breaker.reason, breaker.rounds) == (State.OPEN, Cause.PROBE_FAILED, 1)
    breaker = probing(slow)
    call(breaker, Outcome.SUCCESS, 12.0, took_s=1.9)
    assert breaker.state is State.CLOSED


def test_where_slow_calls_open_nothing_a_late_probe_closes() -> None:
    breaker = probing(BreakerConfig(failure_threshold=1, reset_timeout_s=10, slow_call_duration_s=2))
    call(breaker, Outcome.SUCCESS, 20.0, took_s=9.0)
    assert breaker.state is State.CLOSED
