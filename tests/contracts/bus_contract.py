"""The exam that every Bus sits: memory, Redis, and the simulated Redis.

`CONTRACT` is a sequence of coroutine functions. Each takes `make`, which gives another client of the same, at first
empty, fleet's store; whoever runs the exam closes the clients. Leases expire in the running loop's time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from flexiai.core.circuit import Cause, Circuit, Mode, Proposal, State, reseed
from flexiai.core.evidence import Report, Terms
from flexiai.errors import SyncError
from flexiai.sync.bus import Bus, Hold, Round, Streak, Subscription, Told

Make = Callable[[], Bus]
Rule = Callable[[Make], Awaitable[None]]

SOON_S = 5.0  # bound of waits for what must happen
NOTHING = Round()
TERMS = Terms(threshold=3, window_ms=60_000)
OPENED = Proposal(
    base=0,
    state=State.OPEN,
    reason=Cause.CONSECUTIVE_FAILURES,
    worker='a"\\/é:1',  # to be quoted, and not ASCII
    seen_at=0.0,
    open_for_ms=30_000,
    failure_count=5,
    rounds=2,
)
CLOSED = replace(OPENED, state=State.CLOSED, reason=Cause.PROBE_SUCCEEDED, open_for_ms=0, failure_count=0, rounds=0)
FORCED_OPEN = replace(
    OPENED, reason=Cause.FORCED_OPEN, forced=True, mode=Mode.OPEN, held_for_ms=30_000, note='a "deploy"\\/é'
)
DRAINED = replace(CLOSED, reason=Cause.START, forced=True, mode=Mode.DRAIN, held_for_ms=60_000, note="a deploy")


def reported(worker: str, *failed_ms: int) -> Report:
    """A worker's report of failures so many milliseconds ago."""
    return Report(0, worker, failed_ms, None, open_for_ms=30_000)


async def nothing_is_known_at_first(make: Make) -> None:
    assert await make().read() == {}


async def an_accepted_proposal_is_what_all_read(make: Make) -> None:
    verdict = await make().propose("p", OPENED, 0.0)
    circuit = verdict.told.circuit
    assert verdict.accepted
    assert circuit.epoch > 0
    assert (circuit.state, circuit.reason) == (State.OPEN, Cause.CONSECUTIVE_FAILURES)
    assert (circuit.worker, circuit.open_for_ms, circuit.failure_count, circuit.rounds) == (OPENED.worker, 30_000, 5, 2)
    read = await make().read()
    assert list(read) == ["p"]
    assert read["p"].circuit == circuit


async def what_is_left_counts_from_the_evidence(make: Make) -> None:
    bus = make()
    fresh = await bus.propose("fresh", OPENED, 0.0)
    aged = await bus.propose("aged", OPENED, 10.0)
    overdue = await bus.propose("overdue", OPENED, 40.0)
    closed = await bus.propose("closed", CLOSED, 0.0)
    assert fresh.told.left_s == 30.0
    assert aged.told.left_s == 20.0
    assert overdue.told.left_s == 0.0
    assert closed.told.left_s == 0.0
    assert 20.0 - SOON_S < (await bus.read())["aged"].left_s <= 20.0


async def a_late_proposal_of_the_same_state_learns_what_stands(make: Make) -> None:
    first, second = make(), make()
    stands = await first.propose("p", OPENED, 0.0)
    verdict = await second.propose("p", replace(OPENED, worker="b", open_for_ms=60_000), 0.0)
    assert not verdict.accepted
    assert verdict.told.circuit == stands.told.circuit


async def a_late_proposal_wins_only_by_newer_evidence(make: Make) -> None:
    bus = make()
    first = await bus.propose("p", OPENED, 100.0)
    assert not (await bus.propose("p", CLOSED, 200.0)).accepted
    second = await bus.propose("p", CLOSED, 50.0)
    assert not (await bus.propose("p", OPENED, 80.0)).accepted
    third = await bus.propose("p", OPENED, 20.0)
    assert first.told.circuit.epoch < second.told.circuit.epoch < third.told.circuit.epoch


async def an_operators_word_is_always_accepted(make: Make) -> None:
    bus = make()
    await bus.propose("p", OPENED, 0.0)
    verdict = await bus.propose("p", replace(CLOSED, reason=Cause.RESET, forced=True), 1000.0)
    assert verdict.accepted
    assert verdict.told.circuit.reason is Cause.RESET


async def what_is_held_open_yields_to_operators_alone(make: Make) -> None:
    bus, other = make(), make()
    held = await bus.propose("p", FORCED_OPEN, 1.0)
    circuit = held.told.circuit
    assert (circuit.mode, circuit.held_at_ms, circuit.held_for_ms) == (Mode.OPEN, circuit.since_ms, 30_000)
    assert (circuit.note, held.told.held_s, held.told.age_s) == (FORCED_OPEN.note, 29.0, 1.0)
    for base in (0, 1):
        verdict = await other.propose("p", replace(CLOSED, base=base), 0.0)
        assert not verdict.accepted
        assert verdict.told.circuit == circuit
    reset = await other.propose("p", replace(CLOSED, reason=Cause.RESET, forced=True, note="mended"), 0.0)
    assert (reset.told.circuit.mode, reset.told.circuit.note, reset.told.held_s) == (Mode.NORMAL, "mended", 0.0)


async def a_hold_that_is_over_is_no_obstacle_and_leaves_nothing(make: Make) -> None:
    bus = make()
    await bus.propose("p", FORCED_OPEN, 31.0)
    verdict = await bus.propose("p", replace(CLOSED, base=1), 0.0)
    assert verdict.accepted
    assert (verdict.told.circuit.mode, verdict.told.circuit.note) == (Mode.NORMAL, "")


async def a_drain_goes_on_under_whatever_workers_find(make: Make) -> None:
    bus, other = make(), make()
    drained = (await bus.propose("p", DRAINED, 0.0)).told.circuit
    opened = await other.propose("p", replace(OPENED, base=1), 0.0)
    assert opened.accepted
    now = opened.told.circuit
    assert (now.state, now.mode, now.note) == (State.OPEN, Mode.DRAIN, "a deploy")
    assert (now.held_at_ms, now.held_for_ms) == (drained.held_at_ms, 60_000)
    assert 60.0 - SOON_S < (await make().read())["p"].held_s <= 60.0


async def a_drain_on_an_old_record_leaves_the_state_as_it_is(make: Make) -> None:
    bus, other = make(), make()
    opened = (await bus.propose("p", OPENED, 10.0)).told.circuit
    late = (await other.propose("p", replace(DRAINED, worker="b"), 0.0)).told
    assert (late.circuit.state, late.circuit.reason, late.circuit.rounds) == (State.OPEN, OPENED.reason, 2)
    assert (late.circuit.since_ms, late.circuit.open_for_ms) == (opened.since_ms, 30_000)
    assert (late.circuit.mode, late.circuit.worker, late.circuit.note) == (Mode.DRAIN, "b", "a deploy")
    assert 60.0 - SOON_S < late.held_s <= 60.0
    assert 20.0 - SOON_S < late.left_s <= 20.0
    assert late.circuit.epoch > opened.epoch
    known = (await other.propose("p", replace(DRAINED, base=late.circuit.epoch), 0.0)).told.circuit
    assert known.state is State.CLOSED


async def a_late_drain_makes_what_was_forced_open_due(make: Make) -> None:
    bus = make()
    await bus.propose("p", FORCED_OPEN, 1.0)
    late = (await make().propose("p", DRAINED, 0.0)).told
    assert (late.circuit.state, late.circuit.mode, late.left_s) == (State.OPEN, Mode.DRAIN, 0.0)


async def a_hold_that_the_store_has_lost_comes_back_with_who_knew_it(make: Make) -> None:
    knows = replace(OPENED, base=7, mode=Mode.DRAIN, held_for_ms=20_000, note="a deploy")
    told = (await make().propose("p", knows, 0.0)).told
    assert (told.circuit.mode, told.circuit.note, told.held_s) == (Mode.DRAIN, "a deploy", 20.0)


async def a_worker_that_missed_a_reset_does_not_bring_the_hold_back(make: Make) -> None:
    bus = make()
    await bus.propose("p", replace(CLOSED, reason=Cause.RESET, forced=True), 10.0)
    late = replace(OPENED, mode=Mode.DRAIN, held_for_ms=20_000, note="a deploy")
    told = (await bus.propose("p", late, 0.0)).told
    assert (told.circuit.state, told.circuit.mode, told.circuit.note) == (State.OPEN, Mode.NORMAL, "")


async def two_at_once_are_one_transition(make: Make) -> None:
    buses = [make() for _ in range(4)]
    verdicts = await asyncio.gather(
        *(b.propose("p", replace(OPENED, worker=f"w{i}"), 0.0) for i, b in enumerate(buses))
    )
    assert sum(v.accepted for v in verdicts) == 1
    assert len({v.told.circuit for v in verdicts}) == 1


async def a_proposal_from_beyond_what_the_store_knows_goes_on_from_there(make: Make) -> None:
    beyond = 2**52
    assert (await make().propose("p", replace(OPENED, base=beyond), 0.0)).told.circuit.epoch == beyond + 1


async def a_store_that_has_lost_its_records_gives_no_epoch_twice(make: Make) -> None:
    bus = make()
    opened = await bus.propose("p", OPENED, 0.0)
    closed = await bus.propose("p", replace(CLOSED, base=opened.told.circuit.epoch), 0.0)
    await asyncio.sleep(0.01)
    # "q" is as "p" would be after a loss: nothing is held, and a worker that knows the first record alone trips
    again = await bus.propose("q", replace(OPENED, base=opened.told.circuit.epoch), 0.0)
    assert again.told.circuit.epoch > closed.told.circuit.epoch


async def subscribers_hear_each_transition_and_nothing_else(make: Make) -> None:
    bus, other = make(), make()
    async with bus.subscribe(("p", "q")) as subscription:
        accepted = [
            await other.propose("p", OPENED, 1.0),
            await other.propose("q", OPENED, 0.0),
            await other.propose("p", replace(CLOSED, base=1), 0.0),
        ]
        await other.propose("unheard-of", OPENED, 0.0)
        await other.propose("p", replace(CLOSED, base=1), 1.0)  # not accepted: no transition
        heard = [await _next(subscription) for _ in range(3)]
        assert heard == [v.told for v in accepted]
        assert await subscription.next(0.05) is None


async def a_ping_gives_the_notices_that_came_meanwhile(make: Make) -> None:
    bus, other = make(), make()
    async with bus.subscribe(("p",)) as subscription:
        assert await subscription.ping(SOON_S) == []
        verdict = await other.propose("p", OPENED, 0.0)
        assert await subscription.ping(SOON_S) == [verdict.told]
        assert await subscription.ping(SOON_S) == []


async def the_fleets_failures_open_and_the_beginning_of_a_streak_is_told(make: Make) -> None:
    bus, other = make(), make()
    async with bus.subscribe(("p",)) as subscription:
        first = await other.report("p", reported("é:1", 20), TERMS)
        assert (first.accepted, first.failures, first.told.circuit) == (False, 1, Circuit())
        heard = await subscription.next(SOON_S)
        assert isinstance(heard, Streak)
        assert (heard.provider, heard.epoch, heard.failures, heard.workers) == ("p", 0, 1, 1)
        assert 0.02 <= heard.since_s < SOON_S
        assert not (await bus.report("p", reported("é:1", 30), TERMS)).accepted  # the same one, told again
        opened = await bus.report("p", reported("w 2", 20, 10), TERMS)
        circuit = opened.told.circuit
        assert (opened.accepted, opened.failures, circuit.state, circuit.worker) == (True, 3, State.OPEN, "w 2")
        assert (circuit.reason, circuit.failure_count) == (Cause.CONSECUTIVE_FAILURES, 3)
        assert (await _next(subscription)).circuit == circuit
    again = await bus.report("p", reported("w 3", 1), TERMS)
    assert (again.accepted, again.failures, again.told.circuit) == (False, 0, circuit)


async def a_success_ends_the_streak(make: Make) -> None:
    bus = make()
    await bus.report("p", reported("a", 500, 400), TERMS)
    assert (await bus.report("p", replace(reported("b"), ok_ms=0), TERMS)).failures == 0
    assert not (await bus.report("p", reported("c", 450), TERMS)).accepted


async def evidence_is_forgotten(make: Make) -> None:
    bus = make()
    brief = replace(TERMS, window_ms=100)
    await bus.report("p", reported("a", 0), brief)
    await asyncio.sleep(0.15)
    assert (await bus.report("p", reported("b", 0), brief)).failures == 1


async def with_a_quorum_an_opening_is_a_vote_until_so_many_have_voted(make: Make) -> None:
    bus = make()
    vote = replace(OPENED, quorum=2)
    for _ in range(2):
        first = await bus.propose("p", vote, 0.0)
        assert (first.accepted, first.noted, first.told.circuit) == (False, True, Circuit())
    withdrawn = await bus.propose("p", replace(vote, state=State.CLOSED), 0.0)
    assert (withdrawn.accepted, withdrawn.noted) == (False, False)
    assert (await bus.propose("p", replace(vote, worker="b"), 0.0)).noted
    second = await bus.propose("p", vote, 0.0)
    assert (second.accepted, second.told.circuit.worker) == (True, vote.worker)


async def votes_and_failures_in_a_row_make_a_quorum_together(make: Make) -> None:
    bus = make()
    terms = replace(TERMS, quorum=2)
    assert not (await bus.report("p", reported("a", 30, 20, 10), terms)).accepted
    assert (await bus.propose("p", replace(OPENED, worker="b", quorum=2), 0.0)).noted
    assert (await bus.report("p", reported("a", 30, 20, 10), terms)).accepted


async def what_was_told_before_subscribing_is_not_told_again(make: Make) -> None:
    bus = make()
    await bus.propose("p", OPENED, 0.0)
    async with bus.subscribe(("p",)) as subscription:
        assert await subscription.ping(SOON_S) == []


async def a_lost_record_is_written_back_as_it_was_and_told(make: Make) -> None:
    known = Circuit(7, State.OPEN, Cause.FAILURE_RATE, "w", 1_700_000_000_000, 5_000, 3, 1)
    bus = make()
    async with bus.subscribe(("p",)) as subscription:
        verdict = await bus.restore("p", known)
        assert verdict.accepted
        assert (await _next(subscription)).circuit == verdict.told.circuit == known
    again = await make().restore("p", known)
    assert not again.accepted
    assert again.told.circuit == known


async def an_older_record_is_not_written_back(make: Make) -> None:
    bus = make()
    stands = await bus.propose("p", replace(OPENED, base=8), 0.0)
    verdict = await bus.restore("p", Circuit(8, State.CLOSED))
    assert not verdict.accepted
    assert verdict.told.circuit == stands.told.circuit


async def one_epoch_with_two_contents_becomes_a_new_epoch(make: Make) -> None:
    bus = make()
    stored = Circuit(5, State.CLOSED, Cause.PROBE_SUCCEEDED, "a", 1_700_000_000_000)
    await bus.restore("p", stored)
    known = Circuit(5, State.OPEN, Cause.FAILURE_RATE, "b", 1_600_000_000_000, 5_000)
    verdict = await bus.restore("p", known)
    assert verdict.accepted
    assert verdict.told.circuit == reseed(stored, known) == replace(known, epoch=6)
    milder = await bus.restore("p", replace(stored, epoch=6))
    assert milder.told.circuit == replace(known, epoch=7)


async def a_lease_has_one_holder(make: Make) -> None:
    buses = [make() for _ in range(4)]
    won = await asyncio.gather(*(b.acquire("p", f"t{i}:1", 60.0) for i, b in enumerate(buses)))
    assert sorted(won, key=str) == [None, None, None, NOTHING]
    assert await buses[0].acquire("q", "t0:1", 60.0) == NOTHING


async def only_the_holder_renews_and_releases(make: Make) -> None:
    bus = make()
    assert not await bus.renew("p", "mine:1", 60.0, NOTHING)
    assert await bus.acquire("p", "mine:1", 60.0)
    assert await bus.acquire("p", "mine:1", 60.0)  # its answer was lost: it is ours all the same
    assert await bus.renew("p", "mine:1", 60.0, NOTHING)
    assert not await bus.renew("p", "yours:1", 60.0, NOTHING)
    await bus.release("p", "yours:1", 60.0, NOTHING)
    assert await bus.acquire("p", "yours:1", 60.0) is None
    await bus.release("p", "mine:1", 60.0, NOTHING)
    assert await bus.acquire("p", "yours:1", 60.0)


async def a_late_release_does_not_free_a_newer_acquisition(make: Make) -> None:
    bus = make()
    assert await bus.acquire("p", "mine:1", 60.0)
    assert await bus.acquire("p", "mine:2", 60.0)  # the first release is still on its way
    await bus.release("p", "mine:1", 60.0, NOTHING)
    assert await bus.acquire("p", "yours:1", 60.0) is None
    assert not await bus.renew("p", "mine:1", 60.0, NOTHING)
    assert await bus.renew("p", "mine:2", 60.0, NOTHING)


async def a_round_goes_to_the_next_holder(make: Make) -> None:
    bus = make()
    assert await bus.acquire("p", "mine:1", 60.0) == NOTHING
    assert await bus.renew("p", "mine:1", 60.0, Round(7, 1))
    await bus.release("p", "mine:1", 60.0, Round(7, 2))
    assert await bus.acquire("p", "yours:1", 60.0) == Round(7, 2)
    await bus.release("p", "yours:1", 60.0, Round(7, 3))
    assert await bus.acquire("p", "mine:2", 60.0) == Round(7, 3)
    await bus.release("p", "mine:2", 60.0, NOTHING)  # it is over
    assert await bus.acquire("p", "yours:2", 60.0) == NOTHING


async def a_round_that_nobody_goes_on_with_is_forgotten(make: Make) -> None:
    bus = make()
    await bus.acquire("p", "mine:1", 60.0)
    await bus.release("p", "mine:1", 0.1, Round(7, 1))
    await bus.acquire("later", "x:1", 0.2)
    await _taken(bus, "later", "y:1")  # by then the round is gone, too
    assert await bus.acquire("p", "yours:1", 60.0) == NOTHING


async def a_dead_holders_lease_expires(make: Make) -> None:
    bus = make()
    assert await bus.acquire("p", "dead:1", 0.2)
    await _taken(bus, "p", "next:1")
    assert not await bus.renew("p", "dead:1", 60.0, NOTHING)


async def a_renewed_lease_lives_longer(make: Make) -> None:
    bus = make()
    assert await bus.acquire("p", "mine:1", 0.2)
    assert await bus.renew("p", "mine:1", 60.0, NOTHING)
    await bus.acquire("gone", "x:1", 0.25)
    await _taken(bus, "gone", "y:1")  # by then the unrenewed lease would be gone, too
    assert await bus.acquire("p", "yours:1", 60.0) is None


async def a_holder_learns_with_a_renewal_that_another_wants_the_lease(make: Make) -> None:
    bus = make()
    assert await bus.renew("p", "mine:1", 60.0, NOTHING) is Hold.GONE
    assert await bus.acquire("p", "mine:1", 60.0)
    assert await bus.renew("p", "mine:1", 60.0, NOTHING) is Hold.OURS
    assert await bus.renew("p", "yours:1", 60.0, NOTHING) is Hold.GONE
    assert await bus.acquire("p", "yours:1", 60.0) is None
    assert await bus.renew("p", "mine:1", 60.0, NOTHING) is Hold.WANTED  # kept whoever wants it
    assert await bus.renew("p", "mine:1", 60.0, Round(7, 1)) is Hold.WANTED
    await bus.release("p", "mine:1", 60.0, Round(7, 1))
    assert await bus.acquire("p", "yours:1", 60.0)
    assert await bus.renew("p", "yours:1", 60.0, NOTHING) is Hold.OURS  # that wish has been fulfilled


async def a_closed_bus_says_so_or_starts_anew(make: Make) -> None:
    bus = make()
    await bus.read()
    await bus.aclose()
    await bus.aclose()
    with contextlib.suppress(SyncError):
        assert await bus.read() == {}


async def _taken(bus: Bus, provider: str, token: str) -> None:
    """Wait until the lease is to be had."""
    async with asyncio.timeout(SOON_S):
        while await bus.acquire(provider, token, 60.0) is None:
            await asyncio.sleep(0.02)


async def _next(subscription: Subscription) -> Told:
    told = await subscription.next(SOON_S)
    assert isinstance(told, Told), f"not a record's notice: {told}"
    return told


async def _outcome(rule: Rule, make: Make) -> None:
    made: list[Bus] = []

    def remembered() -> Bus:
        made.append(make())
        return made[-1]

    try:
        await rule(remembered)
    finally:
        for bus in made:
            await bus.aclose()


def sit(rule: Rule, make: Make) -> Awaitable[None]:
    """Run one rule, and close its clients after it."""
    return _outcome(rule, make)


CONTRACT: tuple[Rule, ...] = (
    nothing_is_known_at_first,
    an_accepted_proposal_is_what_all_read,
    what_is_left_counts_from_the_evidence,
    a_late_proposal_of_the_same_state_learns_what_stands,
    a_late_proposal_wins_only_by_newer_evidence,
    an_operators_word_is_always_accepted,
    what_is_held_open_yields_to_operators_alone,
    a_hold_that_is_over_is_no_obstacle_and_leaves_nothing,
    a_drain_goes_on_under_whatever_workers_find,
    a_drain_on_an_old_record_leaves_the_state_as_it_is,
    a_late_drain_makes_what_was_forced_open_due,
    a_hold_that_the_store_has_lost_comes_back_with_who_knew_it,
    a_worker_that_missed_a_reset_does_not_bring_the_hold_back,
    two_at_once_are_one_transition,
    a_proposal_from_beyond_what_the_store_knows_goes_on_from_there,
    a_store_that_has_lost_its_records_gives_no_epoch_twice,
    subscribers_hear_each_transition_and_nothing_else,
    a_ping_gives_the_notices_that_came_meanwhile,
    the_fleets_failures_open_and_the_beginning_of_a_streak_is_told,
    a_success_ends_the_streak,
    evidence_is_forgotten,
    with_a_quorum_an_opening_is_a_vote_until_so_many_have_voted,
    votes_and_failures_in_a_row_make_a_quorum_together,
    what_was_told_before_subscribing_is_not_told_again,
    a_lost_record_is_written_back_as_it_was_and_told,
    an_older_record_is_not_written_back,
    one_epoch_with_two_contents_becomes_a_new_epoch,
    a_lease_has_one_holder,
    only_the_holder_renews_and_releases,
    a_late_release_does_not_free_a_newer_acquisition,
    a_round_goes_to_the_next_holder,
    a_round_that_nobody_goes_on_with_is_forgotten,
    a_dead_holders_lease_expires,
    a_renewed_lease_lives_longer,
    a_holder_learns_with_a_renewal_that_another_wants_the_lease,
    a_closed_bus_says_so_or_starts_anew,
)

each_rule = pytest.mark.parametrize("rule", CONTRACT, ids=lambda rule: rule.__name__)
