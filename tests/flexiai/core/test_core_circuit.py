"""Facts merge to one, whatever their order; a store accepts by epoch, and by age of evidence."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from flexiai.core.circuit import Cause, Circuit, Mode, Proposal, State, decide, merge

FACTS = st.builds(
    Circuit,
    epoch=st.integers(0, 4),
    state=st.sampled_from([State.CLOSED, State.OPEN]),
    reason=st.sampled_from(Cause),
    worker=st.sampled_from(["a", "b"]),
    since_ms=st.integers(0, 5),
    open_for_ms=st.integers(0, 5),
    failure_count=st.integers(0, 2),
    rounds=st.integers(0, 2),
    mode=st.sampled_from(Mode),
    held_at_ms=st.integers(0, 12),
    held_for_ms=st.integers(0, 5),
    note=st.sampled_from(["", "a", "b"]),
)
PROPOSALS = st.builds(
    Proposal,
    base=st.integers(0, 4),
    state=st.sampled_from([State.CLOSED, State.OPEN]),
    reason=st.sampled_from(Cause),
    worker=st.sampled_from(["a", "b"]),
    seen_at=st.just(0.0),
    open_for_ms=st.integers(0, 5),
    forced=st.booleans(),
    mode=st.sampled_from(Mode),
    held_for_ms=st.integers(0, 5),
    note=st.sampled_from(["", "a", "b"]),
)
AGES = st.integers(0, 10)


@given(a=FACTS, b=FACTS)
def test_merge_is_commutative(a: Circuit, b: Circuit) -> None:
    assert merge(a, b) == merge(b, a)


@given(a=FACTS, b=FACTS, c=FACTS)
def test_merge_is_associative(a: Circuit, b: Circuit, c: Circuit) -> None:
    assert merge(merge(a, b), c) == merge(a, merge(b, c))


@given(a=FACTS, b=FACTS)
def test_merge_is_idempotent_and_never_goes_back(a: Circuit, b: Circuit) -> None:
    both = merge(a, b)
    assert merge(a, a) == a
    assert merge(both, a) == merge(both, b) == both
    assert both.epoch == max(a.epoch, b.epoch)


@given(a=FACTS, b=FACTS)
def test_of_one_epoch_the_stricter_hold_wins_and_then_open(a: Circuit, b: Circuit) -> None:
    b = replace(b, epoch=a.epoch)
    if Mode.OPEN in (a.mode, b.mode):
        assert merge(a, b).mode is Mode.OPEN
    b = replace(b, mode=a.mode)
    if State.OPEN in (a.state, b.state):
        assert merge(a, b).state is State.OPEN


@given(stored=FACTS, proposal=PROPOSALS, age_ms=AGES)
def test_what_is_accepted_is_the_proposal_on_a_newer_epoch(stored: Circuit, proposal: Proposal, age_ms: int) -> None:
    accepted = decide(stored, proposal, age_ms, 10)
    if accepted is not None and not _late_drain(stored, proposal):
        assert accepted.epoch == max(stored.epoch + 1, proposal.base + 1, 10)
        assert (accepted.state, accepted.reason, accepted.worker) == (proposal.state, proposal.reason, proposal.worker)
        assert accepted.since_ms == 10 - age_ms


@given(stored=FACTS, late=PROPOSALS, proposal=PROPOSALS, age_ms=AGES, told_ms=st.integers(6, 9))
def test_what_a_replaced_store_accepts_late_does_not_outdo_its_heir(
    stored: Circuit, late: Proposal, proposal: Proposal, age_ms: int, told_ms: int
) -> None:
    by_heir = decide(stored, proposal, age_ms, 10)
    by_replaced = decide(stored, late, age_ms, 11, way_ms=11 - told_ms)
    if by_heir and by_replaced:
        assert merge(by_heir, by_replaced) == by_heir


@given(stored=FACTS, proposal=PROPOSALS, age_ms=AGES)
def test_of_a_late_drain_only_the_hold_is_accepted(stored: Circuit, proposal: Proposal, age_ms: int) -> None:
    drain = replace(proposal, forced=True, mode=Mode.DRAIN)
    if not _late_drain(stored, drain):
        return
    accepted = decide(stored, drain, age_ms, 10)
    assert accepted is not None
    assert (accepted.epoch, accepted.worker) == (max(stored.epoch + 1, 10), drain.worker)
    assert (accepted.mode, accepted.held_at_ms, accepted.held_for_ms) == (Mode.DRAIN, 10 - age_ms, drain.held_for_ms)
    if _held_open(stored):
        assert accepted.left_ms(10) == 0
        accepted = replace(accepted, open_for_ms=stored.open_for_ms)
    kept = ("state", "reason", "since_ms", "open_for_ms", "failure_count", "rounds")
    assert [getattr(accepted, name) for name in kept] == [getattr(stored, name) for name in kept]


def _late_drain(stored: Circuit, proposal: Proposal) -> bool:
    return proposal.forced and proposal.mode is Mode.DRAIN and proposal.base < stored.epoch


@given(stored=FACTS, proposal=PROPOSALS, age_ms=AGES)
def test_on_the_stored_epoch_or_by_an_operators_word_it_is_accepted(
    stored: Circuit, proposal: Proposal, age_ms: int
) -> None:
    if proposal.forced or (proposal.base >= stored.epoch and not _held_open(stored)):
        assert decide(stored, proposal, age_ms, 10) is not None


@given(stored=FACTS, proposal=PROPOSALS, age_ms=AGES)
def test_a_late_proposal_needs_another_state_and_newer_evidence_and_open_wins_a_tie(
    stored: Circuit, proposal: Proposal, age_ms: int
) -> None:
    proposal = replace(proposal, forced=False)
    if proposal.base >= stored.epoch or _held_open(stored):
        return
    seen_ms = 10 - age_ms
    newer = seen_ms > stored.since_ms or (seen_ms == stored.since_ms and proposal.state is State.OPEN)
    assert (decide(stored, proposal, age_ms, 10) is not None) == (proposal.state is not stored.state and newer)


@given(stored=FACTS, a=PROPOSALS, b=PROPOSALS)
def test_two_workers_that_trip_at_once_cause_one_transition(stored: Circuit, a: Proposal, b: Proposal) -> None:
    a, b = (replace(p, base=stored.epoch, state=State.OPEN, forced=False) for p in (a, b))
    stored = replace(stored, mode=Mode.NORMAL)
    first = decide(stored, a, 0, 10)
    assert first is not None
    assert decide(first, b, 0, 10) is None


@given(fact=FACTS, now_ms=st.integers(0, 20))
def test_what_is_left_ends_and_is_neither_negative_nor_longer_than_it_was_opened_for(
    fact: Circuit, now_ms: int
) -> None:
    assert fact.left_ms(now_ms) == min(fact.open_for_ms, max(0, fact.since_ms + fact.open_for_ms - now_ms))
    held_ms = (
        0 if fact.mode is Mode.NORMAL else min(fact.held_for_ms, max(0, fact.held_at_ms + fact.held_for_ms - now_ms))
    )
    assert fact.held_left_ms(now_ms) == held_ms


@given(stored=FACTS, proposal=PROPOSALS, age_ms=AGES)
def test_what_is_held_open_yields_to_operators_alone(stored: Circuit, proposal: Proposal, age_ms: int) -> None:
    proposal = replace(proposal, forced=False)
    if _held_open(stored):
        assert decide(stored, proposal, age_ms, 10) is None


@given(stored=FACTS, proposal=PROPOSALS, age_ms=AGES)
def test_a_hold_outlives_a_workers_word_and_is_replaced_by_an_operators(
    stored: Circuit, proposal: Proposal, age_ms: int
) -> None:
    after = decide(stored, proposal, age_ms, 10)
    if after is None:
        return
    held = (after.mode, after.held_at_ms, after.held_for_ms, after.note)
    if proposal.forced or proposal.base > stored.epoch:
        assert (after.mode, after.note) == (proposal.mode, proposal.note)
    elif stored.held_left_ms(10):
        assert held == (stored.mode, stored.held_at_ms, stored.held_for_ms, stored.note)
    else:
        assert held == (Mode.NORMAL, 0, 0, "")


def _held_open(stored: Circuit) -> bool:
    return stored.mode is Mode.OPEN and stored.held_left_ms(10) > 0
