"""An operator's word: forced open, drained, reset; how long it holds, over what it wins, and what survives it."""

from __future__ import annotations

import pytest

from flexiai.core.breaker import Breaker, Permit, Refusal
from flexiai.core.circuit import Cause, Circuit, Mode, Proposal, State, decide
from flexiai.core.outcome import Outcome
from flexiai.types import BreakerConfig

RULES = BreakerConfig(failure_threshold=1, reset_timeout_s=10, reset_jitter=0)


def breaker_of(worker: str = "w") -> Breaker:
    return Breaker("p", RULES, worker)


def call(breaker: Breaker, outcome: Outcome, now: float, **how: float) -> None:
    permit = breaker.admit(now, last_resort=True)
    assert isinstance(permit, Permit)
    breaker.record(permit, outcome, now, **how)


def pending(breaker: Breaker) -> Proposal:
    assert breaker.proposal is not None
    return breaker.proposal


def record_of(proposal: Proposal, epoch: int = 1) -> Circuit:
    accepted = decide(Circuit(epoch=epoch - 1), proposal, 0, 0)
    assert accepted is not None
    return accepted


def test_what_is_forced_open_is_neither_asked_nor_probed_until_its_time_is_over() -> None:
    breaker = breaker_of()
    change = breaker.force_open(0.0, 30.0, "deploy")
    assert change is not None
    assert (change.frm, change.to, change.cause) == (State.CLOSED, State.OPEN, Cause.FORCED_OPEN)
    for last_resort in (False, True):
        answer = breaker.admit(29.9, last_resort=last_resort)
        assert isinstance(answer, Refusal)
        assert not answer.probe_due
    assert breaker.grant_probe(29.9) is None
    assert (breaker.held(29.9), breaker.note, breaker.reporter) == (Mode.OPEN, "deploy", "w")
    assert breaker.held(30.0) is Mode.NORMAL
    assert breaker.grant_probe(30.0) is not None


def test_a_call_under_way_when_it_was_forced_open_does_not_count() -> None:
    breaker = breaker_of()
    permit = breaker.admit(0.0)
    assert isinstance(permit, Permit)
    breaker.force_open(1.0, 30.0)
    assert not breaker.record(permit, Outcome.SUCCESS, 2.0).counted
    assert breaker.state is State.OPEN


def test_forcing_open_what_is_open_takes_the_operators_time() -> None:
    breaker = breaker_of()
    call(breaker, Outcome.MISCONFIGURED, 0.0)
    assert breaker.force_open(1.0, 5.0) is None
    assert (breaker.open_until, breaker.reason) == (6.0, Cause.FORCED_OPEN)


def test_a_longer_retry_after_outlives_a_forced_open() -> None:
    breaker = breaker_of()
    call(breaker, Outcome.RATE_LIMITED, 0.0, retry_after_s=60.0)
    breaker.force_open(1.0, 5.0)
    assert breaker.open_until == 60.0


def test_a_drained_provider_is_asked_as_the_last_resort_alone_and_calls_under_way_go_on() -> None:
    breaker = breaker_of()
    under_way = breaker.admit(0.0)
    assert isinstance(under_way, Permit)
    breaker.drain(0.0, 30.0, "deploy")
    answer = breaker.admit(1.0)
    assert isinstance(answer, Refusal)
    assert (answer.state, answer.why) == (State.CLOSED, "drain")
    assert isinstance(breaker.admit(1.0, last_resort=True), Permit)
    assert breaker.record(under_way, Outcome.SUCCESS, 2.0).counted
    assert isinstance(breaker.admit(30.0), Permit)


def test_a_drained_provider_opens_as_ever_and_is_probed_as_the_last_resort_alone() -> None:
    breaker = breaker_of()
    breaker.drain(0.0, 60.0, "deploy")
    call(breaker, Outcome.FAILURE, 1.0)
    assert breaker.state is State.OPEN
    spared, due = breaker.admit(11.0), breaker.admit(11.0, last_resort=True)
    assert isinstance(spared, Refusal)
    assert isinstance(due, Refusal)
    assert (spared.why, spared.probe_due, due.probe_due) == ("drain", False, True)


def test_what_happens_before_the_fleet_has_heard_of_a_hold_takes_it_along() -> None:
    breaker = breaker_of()
    breaker.drain(0.0, 60.0, "deploy")
    call(breaker, Outcome.FAILURE, 20.0)
    told = pending(breaker)
    assert told.forced
    assert (told.state, told.mode, told.held_for_ms, told.note) == (State.OPEN, Mode.DRAIN, 40_000, "deploy")


def test_draining_what_was_forced_open_makes_a_probe_due() -> None:
    breaker = breaker_of()
    breaker.force_open(0.0, 60.0)
    breaker.drain(1.0, 60.0)
    due = breaker.admit(1.0, last_resort=True)
    assert isinstance(due, Refusal)
    assert due.probe_due
    told = pending(breaker)
    assert told.seen_at + told.open_for_ms / 1000 == 1.0


def test_a_drain_tells_the_state_as_it_was_found_and_holds_from_now() -> None:
    breaker = breaker_of()
    call(breaker, Outcome.FAILURE, 5.0)
    breaker.drain(8.0, 60.0)
    told = pending(breaker)
    assert (told.state, told.reason, told.seen_at) == (State.OPEN, Cause.CONSECUTIVE_FAILURES, 5.0)
    assert (told.open_for_ms, told.held_for_ms) == (10_000, 63_000)


@pytest.mark.parametrize("answered", [True, False])
def test_a_worker_whose_drain_came_late_follows_the_state_that_the_store_has_kept(answered: bool) -> None:
    breaker = breaker_of("a")
    breaker.drain(8.0, 60.0, "deploy")
    drain = pending(breaker)
    opened = Circuit(7, State.OPEN, Cause.FAILURE_RATE, "b", since_ms=5000, open_for_ms=10_000, rounds=1)
    kept = decide(opened, drain, 0, 8000)
    assert kept is not None
    if answered:
        breaker.settle(drain, True, kept, 8.0, 7.0, held_s=60.0)
    else:  # the answer is lost, and a notice or a read says what became of it
        breaker.adopt(kept, 8.0, 7.0, held_s=60.0)
    assert (breaker.state, breaker.open_until, breaker.rounds) == (State.OPEN, 15.0, 1)
    assert (breaker.held(67.0), breaker.held(68.0), breaker.note) == (Mode.DRAIN, Mode.NORMAL, "deploy")
    assert breaker.proposal is None


def test_a_reset_ends_any_hold() -> None:
    breaker = breaker_of()
    breaker.force_open(0.0, 60.0, "deploy")
    breaker.reset(1.0, "done")
    assert (breaker.state, breaker.held(1.0), breaker.note) == (State.CLOSED, Mode.NORMAL, "done")
    assert isinstance(breaker.admit(1.0), Permit)
    told = pending(breaker)
    assert (told.forced, told.mode, told.note) == (True, Mode.NORMAL, "done")


@pytest.mark.parametrize("heard_while", ["closed", "open", "half_open"])
def test_another_worker_follows_a_forced_open_whatever_it_thinks_itself(heard_while: str) -> None:
    operator, other = breaker_of("a"), breaker_of("b")
    operator.force_open(0.0, 30.0, "deploy")
    if heard_while != "closed":
        call(other, Outcome.FAILURE, 0.0)
    if heard_while == "half_open":
        other.grant_probe(10.0)
    other.adopt(record_of(pending(operator)), 10.0, 20.0, held_s=20.0)
    assert (other.state, other.open_until, other.held(29.0)) == (State.OPEN, 30.0, Mode.OPEN)
    assert (other.note, other.reporter, other.reason) == ("deploy", "a", Cause.FORCED_OPEN)
    assert other.proposal is None


@pytest.mark.parametrize("mode", ["open", "drain"])
def test_a_hold_that_was_told_late_ends_when_a_later_reading_says(mode: str) -> None:
    operator, other = breaker_of("a"), breaker_of("b")
    operator.force_open(0.0, 30.0) if mode == "open" else operator.drain(0.0, 30.0)
    record = record_of(pending(operator))
    other.adopt(record, 3.0, 30.0, held_s=30.0)  # its notice was held back for as long
    assert other.held(31.0) is Mode(mode)
    other.adopt(record, 10.0, 20.0, held_s=20.0)
    assert (other.held(29.0), other.held(30.0)) == (Mode(mode), Mode.NORMAL)
    other.adopt(record, 11.0, 20.0, held_s=20.0)  # a reading that was late itself
    assert other.held(30.0) is Mode.NORMAL
    admitted = other.admit(30.0)
    assert isinstance(admitted, Refusal if mode == "open" else Permit)


def test_a_private_opening_while_a_drain_waits_makes_no_ramp_of_its_open_time() -> None:
    breaker = Breaker("p", RULES, "w", 2)
    breaker.drain(0.0, 60.0, "deploy")
    for at in range(RULES.failure_threshold):
        call(breaker, Outcome.FAILURE, float(at))
    assert (breaker.state, breaker.private) == (State.OPEN, True)
    said = pending(breaker)
    assert (said.forced, said.mode, said.state, said.open_for_ms) == (True, Mode.DRAIN, State.CLOSED, 0)


def test_another_worker_drains_whatever_it_wants_to_tell_itself() -> None:
    operator, other = breaker_of("a"), breaker_of("b")
    operator.drain(0.0, 30.0, "deploy")
    call(other, Outcome.FAILURE, 0.0)
    other.adopt(record_of(pending(operator)), 1.0, 0.0, held_s=29.0)
    assert other.held(1.0) is Mode.DRAIN
    assert other.state is State.OPEN  # its own finding is with the store, which will judge


def test_of_two_operators_the_one_whom_the_store_hears_last_wins() -> None:
    first, second = breaker_of("a"), breaker_of("b")
    first.reset(0.0, "works")
    second.force_open(0.0, 30.0, "does not")
    reset, forced = pending(first), pending(second)
    second.adopt(record_of(reset, 1), 0.1, 0.0)
    assert second.proposal is forced
    record = decide(record_of(reset, 1), forced, 0, 0)
    assert record is not None
    second.settle(forced, True, record, 0.2, 29.8, held_s=29.8)
    first.settle(reset, True, record_of(reset, 1), 0.2, 0.0)
    first.adopt(record, 0.3, 29.7, held_s=29.7)
    assert {first.state, second.state} == {State.OPEN}
    assert {first.held(1.0), second.held(1.0)} == {Mode.OPEN}


def test_an_operators_word_that_was_overtaken_gives_way_once_it_is_answered() -> None:
    breaker = breaker_of("a")
    breaker.force_open(0.0, 30.0, "no")
    mine = pending(breaker)
    later = Circuit(9, State.CLOSED, Cause.RESET, "b", note="yes")
    breaker.adopt(later, 0.1, 0.0)
    assert breaker.state is State.OPEN
    breaker.settle(mine, True, record_of(mine, 5), 0.2, 29.8, held_s=29.8)
    assert (breaker.state, breaker.held(0.2), breaker.note) == (State.CLOSED, Mode.NORMAL, "yes")


def test_the_fleets_closed_does_not_end_a_retry_after_of_our_own() -> None:
    breaker = breaker_of()
    call(breaker, Outcome.RATE_LIMITED, 0.0, retry_after_s=60.0)
    breaker.settle(pending(breaker), True, Circuit(1, State.OPEN, Cause.RETRY_AFTER, "w", 0, 60_000), 0.1, 60.0)
    breaker.adopt(Circuit(2, State.CLOSED, Cause.PROBE_SUCCEEDED, "x"), 6.0, 0.0)
    assert (breaker.state, breaker.open_until) == (State.OPEN, 60.0)
    told = pending(breaker)
    assert (told.base, told.state, told.reason, told.open_for_ms) == (2, State.OPEN, Cause.RETRY_AFTER, 54_000)


def test_the_last_tenth_of_a_retry_after_is_not_worth_an_argument_and_a_reset_ends_all_of_it() -> None:
    for reason, now in ((Cause.PROBE_SUCCEEDED, 55.0), (Cause.RESET, 6.0)):
        breaker = breaker_of()
        call(breaker, Outcome.RATE_LIMITED, 0.0, retry_after_s=60.0)
        breaker.settle(pending(breaker), True, Circuit(1, State.OPEN, Cause.RETRY_AFTER, "w", 0, 60_000), 0.1, 60.0)
        breaker.adopt(Circuit(2, State.CLOSED, reason, "x"), now, 0.0)
        assert (breaker.state, breaker.proposal) == (State.CLOSED, None)


def test_a_hold_that_the_store_counts_from_later_holds_for_longer() -> None:
    breaker = breaker_of()
    breaker.force_open(0.0, 10.0)
    mine = pending(breaker)
    breaker.settle(mine, True, record_of(mine), 9.0, 3.0, held_s=3.0)  # bytes were held on the way: it seemed younger
    assert (breaker.held_until, breaker.open_until) == (12.0, 12.0)
    assert breaker.grant_probe(11.0) is None
