"""The replicator on a store in memory, with faults between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace

import pytest

from flexiai.core.breaker import Permit, Refusal
from flexiai.core.circuit import Cause, Circuit, State
from flexiai.core.outcome import Outcome
from flexiai.errors import SyncError
from flexiai.events import (
    ListenerRestarted,
    NoticeIgnored,
    ProbeLease,
    ProposalFailed,
    ProposalSent,
    RecordApplied,
    RecordRestored,
    SyncDown,
    SyncUp,
    Transition,
)
from flexiai.sync.memory import MemoryBus, MemoryStore
from flexiai.sync.probe_gate import ALONE_MAX_S
from flexiai.types import BreakerConfig, SyncConfig
from tests.flexiai.sync.fleet import QUICK, RULES, Faulty, Worker, agreed, fleet, until

SOON_DUE = RULES.model_copy(update={"reset_timeout_s": 0.05, "max_reset_timeout_s": 0.05})


def scene(play: Callable[[MemoryStore], Coroutine[object, object, None]]) -> None:
    async def staged() -> None:
        await play(MemoryStore(asyncio.get_running_loop().time))

    asyncio.run(staged())


# --- one worker's transition becomes everybody's ----------------------------------------------------------------------


def test_a_transition_reaches_all_and_each_step_is_told() -> None:
    async def play(store: MemoryStore) -> None:
        async with fleet(3, lambda: MemoryBus(store)) as workers:
            first, *others = workers
            first.fails()
            assert first.state is State.OPEN  # at once, whatever the store says
            record = await agreed(workers, State.OPEN)
            assert (record.worker, record.reason) == ("w0", Cause.CONSECUTIVE_FAILURES)
            await until(lambda: bool(first.seen(NoticeIgnored)), "its own notice comes back")
            assert [(e.state, e.base) for e in first.seen(ProposalSent)] == [(State.OPEN, 0)]
            assert [(e.via, e.accepted) for e in first.seen(RecordApplied)] == [("reply", True)]
            for other in others:
                assert [(e.via, e.accepted, e.origin) for e in other.seen(RecordApplied)] == [("notice", False, "w0")]
                assert [(e.frm, e.to, e.cause) for e in other.seen(Transition)] == [
                    (State.CLOSED, State.OPEN, Cause.SYNC)
                ]
                assert 29.0 < other.seen(Transition)[0].open_for_s <= 30.0

    scene(play)


def test_with_every_notice_lost_reading_suffices() -> None:
    async def play(store: MemoryStore) -> None:
        def deaf() -> Faulty:
            bus = Faulty(MemoryBus(store))
            bus.lossy = True
            return bus

        async with fleet(3, deaf) as workers:
            workers[0].fails()
            await agreed(workers, State.OPEN)
            assert [e.via for e in workers[1].seen(RecordApplied)] == ["read"]

    scene(play)


def test_who_comes_late_knows_and_writes_nothing() -> None:
    async def play(store: MemoryStore) -> None:
        async with fleet(1, lambda: MemoryBus(store)) as workers:
            workers[0].fails()
            record = await agreed(workers, State.OPEN)
            late = Worker("late", MemoryBus(store))
            assert await late.replicator.start()
            assert late.state is State.OPEN
            assert late.breaker.circuit == record == store.records["p"]
            assert not late.seen(ProposalSent)
            await late.replicator.aclose()

    scene(play)


def test_an_operators_reset_reaches_all() -> None:
    async def play(store: MemoryStore) -> None:
        async with fleet(3, lambda: MemoryBus(store)) as workers:
            workers[0].fails()
            await agreed(workers, State.OPEN)
            workers[2].reset()
            record = await agreed(workers, State.CLOSED)
            assert record.reason is Cause.RESET

    scene(play)


def test_two_that_trip_at_once_are_one_transition() -> None:
    async def play(store: MemoryStore) -> None:
        async with fleet(4, lambda: MemoryBus(store)) as workers:
            for worker in workers:
                worker.fails()
            await agreed(workers, State.OPEN)
            assert [len(w.seen(RecordApplied)) for w in workers] == [1] * 4

    scene(play)


# --- when the store cannot be reached ---------------------------------------------------------------------------------


def test_start_is_bounded_and_joins_later() -> None:
    async def play(store: MemoryStore) -> None:
        bus = Faulty(MemoryBus(store))
        bus.cut = True
        worker = Worker("w", bus, QUICK.model_copy(update={"join_timeout_s": 0.05}))
        assert not await worker.replicator.start()
        status = worker.replicator.status()
        assert (status.connected, status.subscribed, status.staleness_s) == (False, False, None)
        assert status.last_error == "cut off"
        bus.cut = False
        await until(lambda: bool(worker.seen(SyncUp)), "joined")
        status = worker.replicator.status()
        assert (status.connected, status.subscribed, status.deaf) == (True, True, False)
        assert status.staleness_s is not None
        await worker.replicator.aclose()

    scene(play)


def test_what_a_worker_wanted_to_tell_is_kept_and_told_when_the_store_is_back() -> None:
    async def play(store: MemoryStore) -> None:
        buses = [Faulty(MemoryBus(store)) for _ in range(2)]
        remaining = list(buses)
        async with fleet(2, lambda: remaining.pop(0)) as workers:
            cut = workers[0]
            buses[0].cut = True
            await until(lambda: bool(cut.seen(SyncDown)), "the loss is noticed")
            cut.fails()
            await until(lambda: len(cut.seen(ProposalFailed)) >= 3, "it tries again and again")
            assert cut.state is State.OPEN
            assert workers[1].state is State.CLOSED
            buses[0].cut = False
            record = await agreed(workers, State.OPEN)
            assert record.worker == cut.name
            assert cut.replicator.status().reconnects == 1

    scene(play)


def test_only_the_latest_is_told_however_often_a_worker_changed_its_mind() -> None:
    async def play(store: MemoryStore) -> None:
        bus = Faulty(MemoryBus(store))
        async with fleet(1, lambda: bus) as (worker,):
            bus.cut = True
            for _ in range(50):
                worker.fails()
                worker.reset()
            await until(lambda: len(worker.seen(ProposalFailed)) >= 2, "it tried")
            bus.cut = False
            bus.proposed.clear()
            await agreed([worker], State.CLOSED)
            assert len(bus.proposed) == 1
            assert len(worker.seen(RecordApplied)) == 1

    scene(play)


def test_newer_evidence_wins_after_a_partition() -> None:
    async def play(store: MemoryStore) -> None:
        buses = [Faulty(MemoryBus(store)) for _ in range(2)]
        remaining = list(buses)
        async with fleet(2, lambda: remaining.pop(0)) as (cut, rest):
            buses[0].cut = True
            cut.fails()  # older
            await asyncio.sleep(0.01)
            rest.fails()
            await until(lambda: len(rest.seen(RecordApplied)) == 1, "the others opened")
            rest.reset()  # newer, and forced: CLOSED for the fleet
            await until(lambda: len(rest.seen(RecordApplied)) == 2, "and closed again")
            buses[0].cut = False
            record = await agreed([cut, rest], State.CLOSED)
            assert record.epoch == rest.epoch == rest.seen(RecordApplied)[-1].epoch
            assert cut.seen(Transition)[-1].cause is Cause.SYNC

    scene(play)


def test_a_store_that_lost_everything_is_seeded_again_and_no_epoch_goes_back() -> None:
    async def play(store: MemoryStore) -> None:
        async with fleet(3, lambda: MemoryBus(store)) as workers:
            workers[0].fails()
            await agreed(workers, State.OPEN)
            workers[1].reset()
            record = await agreed(workers, State.CLOSED)
            store.records.clear()
            await until(lambda: store.records.get("p") == record, "written back as it was")
            workers[2].fails()
            assert (await agreed(workers, State.OPEN)).epoch > record.epoch
            assert sum(len(worker.seen(RecordRestored)) for worker in workers) == 1
            for worker in workers:
                epochs = [e.epoch for e in worker.seen(RecordApplied)]
                assert epochs == sorted(epochs)

    scene(play)


def test_an_epoch_that_came_to_mean_two_things_becomes_a_new_one() -> None:
    async def play(store: MemoryStore) -> None:
        async with fleet(2, lambda: MemoryBus(store)) as workers:
            workers[0].fails()
            record = await agreed(workers, State.OPEN)
            store.keep("p", Circuit(epoch=record.epoch, worker="of a store whose clock was set back"), store.now_ms())
            await until(lambda: {w.epoch for w in workers} == {record.epoch + 1}, "settled")
            assert await agreed(workers, State.OPEN) == replace(record, epoch=record.epoch + 1) == store.records["p"]


def test_who_trips_on_an_old_record_at_a_store_that_lost_all_makes_no_epoch_mean_two_things() -> None:
    async def play(store: MemoryStore) -> None:
        buses = [Faulty(MemoryBus(store)) for _ in range(2)]
        remaining = list(buses)
        async with fleet(2, lambda: remaining.pop(0)) as (behind, rest):
            await asyncio.sleep(0.01)
            buses[0].cut = True
            rest.fails()
            await until(lambda: len(rest.seen(RecordApplied)) == 1, "the others opened")
            rest.reset()
            await until(lambda: len(rest.seen(RecordApplied)) == 2, "and closed again")
            buses[1].cut = True
            await until(lambda: bool(rest.seen(SyncDown)), "nobody can write back what is lost")
            store.records.clear()
            behind.fails()
            buses[0].cut = False
            await until(lambda: len(behind.seen(RecordApplied)) == 1, "it opened")
            buses[1].cut = False
            record = await agreed([behind, rest], State.OPEN)
            assert record.worker == behind.name  # the newest evidence there is
            contents = {(e.epoch, e.since_ms) for w in (behind, rest) for e in w.seen(RecordApplied)}
            assert len({epoch for epoch, _ in contents}) == len(contents) == 3

    scene(play)

    scene(play)


# --- a listener that dies ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["bug", "cancelled"])
def test_a_listener_that_dies_is_deaf_in_public_and_comes_back(how: str) -> None:
    async def play(store: MemoryStore) -> None:
        bus = Faulty(MemoryBus(store))
        slow_to_return = QUICK.model_copy(update={"reconnect_min_s": 0.1, "reconnect_max_s": 0.1})
        async with fleet(1, lambda: bus, slow_to_return) as (worker,):
            if how == "bug":
                bus.bug = RuntimeError("unforeseen")
            else:
                task = worker.replicator._ear.task
                assert task is not None
                task.cancel()
            await until(lambda: worker.replicator.status().deaf, "deaf, and says so")
            status = worker.replicator.status()
            assert (status.connected, status.subscribed) == (True, False)  # what it asks is answered
            assert [e.error for e in worker.seen(SyncDown)] == [
                "the listener died: " + ("RuntimeError: unforeseen" if how == "bug" else "it was cancelled")
            ]
            await until(lambda: not worker.replicator.status().deaf, "it hears again")
            assert len(worker.seen(ListenerRestarted)) == 1
            status = worker.replicator.status()
            assert (status.listener_restarts, status.reconnects, status.subscribed) == (1, 1, True)

    scene(play)


def test_who_is_deaf_still_needs_the_right_to_probe() -> None:
    async def play(store: MemoryStore) -> None:
        slow_to_return = QUICK.model_copy(update={"reconnect_min_s": 60.0, "reconnect_max_s": 60.0})
        async with fleet(2, lambda: MemoryBus(store), slow_to_return) as (worker, other):
            other.fails()
            await agreed([worker, other], State.OPEN)
            task = worker.replicator._ear.task
            assert task is not None
            task.cancel()
            await until(lambda: worker.replicator.status().deaf, "deaf")
            await asyncio.sleep(worker.breaker.open_until - worker.now() + ALONE_MAX_S + 1.0)
            assert not worker.replicator.want_probe("p")  # alone it might
            await until(lambda: worker.state is State.HALF_OPEN, "it has won the lease")
            assert [e.action for e in worker.seen(ProbeLease)] == ["won"]

    scene(play)


def test_a_proposer_that_dies_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    async def play(store: MemoryStore) -> None:
        bus = Faulty(MemoryBus(store))
        async with fleet(1, lambda: bus, QUICK.model_copy(update={"reconcile_interval_s": 60.0})) as (worker,):
            real, bus.propose = bus.propose, _raise_once(bus)  # type: ignore[method-assign]  # a bug in one verb
            worker.fails()
            await until(lambda: "begins anew" in caplog.text, "its death is told")
            assert bus.propose == real
            worker.replicator.announce("p")
            await agreed([worker], State.OPEN)

    scene(play)


def _raise_once(bus: Faulty) -> Callable[..., Coroutine[object, object, None]]:
    real = bus.propose

    async def propose(*_: object) -> None:
        bus.propose = real  # type: ignore[method-assign]  # the bug happens once
        raise RuntimeError("unforeseen")

    return propose


# --- the right to probe -----------------------------------------------------------------------------------------------


async def due(workers: list[Worker]) -> None:
    """The first one trips, all hear it, and a probe is due everywhere."""
    workers[0].fails()
    await agreed(workers, State.OPEN)
    await until(lambda: all(probe_due(w) for w in workers), "a probe is due")


def probe_due(worker: Worker) -> bool:
    answer = worker.breaker.admit(worker.now())
    return isinstance(answer, Refusal) and answer.probe_due


def test_one_worker_probes_and_its_success_is_everybodys() -> None:
    async def play(store: MemoryStore) -> None:
        async with fleet(4, lambda: MemoryBus(store), rules=SOON_DUE) as workers:
            await due(workers)
            assert not any(w.replicator.want_probe("p") for w in workers)  # nobody waits, nobody probes by itself
            await until(lambda: sum(len(w.seen(ProbeLease)) for w in workers) >= 4, "all have competed")
            probing = [w for w in workers if w.state is State.HALF_OPEN]
            assert len(probing) == 1
            assert [e.action for w in workers for e in w.seen(ProbeLease)].count("won") == 1
            probing[0].attempt(Outcome.SUCCESS)
            await agreed(workers, State.CLOSED)
            await until(lambda: not store.leases, "the lease is given back")
            assert [e.action for e in probing[0].seen(ProbeLease)] == ["won", "released"]

    scene(play)


def test_a_failed_probe_opens_again_and_gives_the_lease_back_after_telling() -> None:
    async def play(store: MemoryStore) -> None:
        async with fleet(2, lambda: MemoryBus(store), rules=SOON_DUE) as workers:
            await due(workers)
            prober = workers[1]
            prober.replicator.want_probe("p")
            await until(lambda: prober.state is State.HALF_OPEN, "granted")
            prober.attempt(Outcome.FAILURE)
            await until(lambda: not store.leases, "the lease is given back")
            assert store.records["p"].reason is Cause.PROBE_FAILED  # told before
            record = await agreed(workers, State.OPEN)
            assert (record.reason, record.rounds) == (Cause.PROBE_FAILED, 1)

    scene(play)


def test_a_long_probe_keeps_its_lease() -> None:
    async def play(store: MemoryStore) -> None:
        async with fleet(2, lambda: MemoryBus(store), rules=SOON_DUE) as (prober, other):
            await due([prober, other])
            prober.replicator.want_probe("p")
            await until(lambda: prober.state is State.HALF_OPEN, "granted")
            permit = prober.breaker.admit(prober.now())
            assert isinstance(permit, Permit)
            until_then = prober.now() + 2 * QUICK.lease_s
            while prober.now() < until_then:
                other.replicator.want_probe("p")
                await asyncio.sleep(0.02)
            assert prober.state is State.HALF_OPEN
            assert {e.action for e in other.seen(ProbeLease)} == {"denied"}
            prober.ends(permit, Outcome.SUCCESS)
            await agreed([prober, other], State.CLOSED)

    scene(play)


def test_a_dead_holders_lease_goes_to_another() -> None:
    async def play(store: MemoryStore) -> None:
        async with fleet(2, lambda: MemoryBus(store), rules=SOON_DUE) as (dead, other):
            await due([dead, other])
            dead.replicator.want_probe("p")
            await until(lambda: dead.state is State.HALF_OPEN, "granted")
            await dead.dies()

            def other_probes() -> bool:
                return other.state is State.HALF_OPEN or other.replicator.want_probe("p")

            await until(other_probes, "the other one holds the lease")

    scene(play)


def test_an_idle_holder_gives_way_only_to_one_who_wants() -> None:
    async def play(store: MemoryStore) -> None:
        async with fleet(2, lambda: MemoryBus(store), rules=SOON_DUE) as (holder, other):
            await due([holder, other])
            holder.replicator.want_probe("p")
            await until(lambda: holder.state is State.HALF_OPEN, "granted")
            await asyncio.sleep(2 * QUICK.lease_s)
            assert holder.state is State.HALF_OPEN  # few requests: the next one probes, whenever it comes

            def other_probes() -> bool:
                return other.state is State.HALF_OPEN or other.replicator.want_probe("p")

            await until(other_probes, "who wants it has it")
            assert holder.state is State.OPEN
            assert holder.seen(Transition)[-1].cause is Cause.PROBE_ABANDONED
            assert [e.action for e in holder.seen(ProbeLease)] == ["won", "released"]

    scene(play)


def test_a_round_goes_on_at_the_next_holder() -> None:
    async def play(store: MemoryStore) -> None:
        three = SOON_DUE.model_copy(update={"half_open_max_calls": 3})
        async with fleet(3, lambda: MemoryBus(store), rules=three) as workers:
            await due(workers)
            for holder in workers:  # each has one request to probe with, and then the next one wants the right
                await until(lambda h=holder: h.state is State.HALF_OPEN or h.replicator.want_probe("p"), "granted")
                holder.attempt(Outcome.SUCCESS)
            record = await agreed(workers, State.CLOSED)
            assert (record.reason, record.worker) == (Cause.PROBE_SUCCEEDED, "w2")

    scene(play)


def test_a_late_release_does_not_free_the_next_acquisition() -> None:
    async def play(store: MemoryStore) -> None:
        bus = Faulty(MemoryBus(store))
        async with fleet(1, lambda: bus, rules=SOON_DUE) as (worker,):
            real, late = bus.release, []

            async def delayed(*words: object) -> None:
                late.append(words)

            await due([worker])
            bus.release = delayed  # type: ignore[assignment]  # a network that holds it back
            await until(lambda: worker.state is State.HALF_OPEN or worker.replicator.want_probe("p"), "granted")
            worker.attempt(Outcome.FAILURE)
            await until(lambda: worker.state is State.HALF_OPEN or worker.replicator.want_probe("p"), "granted again")
            await real(*late[0])  # type: ignore[arg-type]  # the words of the first release
            assert store.lease("p") is not None
            worker.attempt(Outcome.SUCCESS)
            await agreed([worker], State.CLOSED)

    scene(play)


def test_a_holder_whose_lease_is_lost_stops_probing() -> None:
    async def play(store: MemoryStore) -> None:
        async with fleet(1, lambda: MemoryBus(store), rules=SOON_DUE) as (holder,):
            await due([holder])
            holder.replicator.want_probe("p")
            await until(lambda: holder.state is State.HALF_OPEN, "granted")
            permit = holder.breaker.admit(holder.now())
            assert isinstance(permit, Permit)
            store.leases.clear()
            await until(lambda: holder.state is State.OPEN, "it stopped")
            assert [e.action for e in holder.seen(ProbeLease)] == ["won", "lost"]
            holder.ends(permit, Outcome.SUCCESS)
            assert holder.state is State.OPEN  # the result of a probe that nobody allowed counts for nothing

    scene(play)


def test_who_wins_the_lease_after_the_others_result_does_not_probe() -> None:
    async def play(store: MemoryStore) -> None:
        bus = Faulty(MemoryBus(store))
        bus.lossy = True
        never = QUICK.model_copy(update={"reconcile_interval_s": 60.0, "health_interval_s": 60.0})
        async with fleet(1, lambda: bus, never, SOON_DUE) as (worker,):
            await due([worker])
            async with fleet(1, lambda: MemoryBus(store)) as (other,):
                other.reset()
                await until(lambda: store.records["p"].state is State.CLOSED, "closed by another")
            assert probe_due(worker)  # it has not heard
            worker.replicator.want_probe("p")
            await until(lambda: [e.action for e in worker.seen(ProbeLease)] == ["won", "released"], "won in vain")
            assert worker.state is State.CLOSED
            assert State.HALF_OPEN not in {e.to for e in worker.seen(Transition)}

    scene(play)


def test_without_the_store_each_probes_by_itself_after_its_own_jitter() -> None:
    async def play(store: MemoryStore) -> None:
        bus = Faulty(MemoryBus(store))
        bus.cut = True
        rules = BreakerConfig(failure_threshold=1, reset_timeout_s=1.0, reset_jitter=0.0)
        worker = Worker("w", bus, QUICK.model_copy(update={"join_timeout_s": 0.05}), rules)
        await worker.replicator.start()
        worker.fails(1)
        opened_until = worker.breaker.open_until
        await until(lambda: probe_due(worker), "a probe is due")
        await until(lambda: worker.replicator.want_probe("p"), "allowed to itself")
        assert opened_until <= worker.now()
        assert [e.action for e in worker.seen(ProbeLease)] == ["alone"]
        assert 0.0 < worker.replicator._gates["p"]._alone_wait_s <= 0.2
        worker.breaker.grant_probe(worker.now())
        worker.attempt(Outcome.SUCCESS)
        bus.cut = False
        await agreed([worker], State.CLOSED)
        await worker.replicator.aclose()

    scene(play)


def test_who_has_heard_a_notice_since_a_command_was_lost_is_not_alone() -> None:
    async def play(store: MemoryStore) -> None:
        never = QUICK.model_copy(update={"reconcile_interval_s": 60.0, "health_interval_s": 60.0})
        bus = Faulty(MemoryBus(store))
        async with (
            fleet(1, lambda: bus, never, SOON_DUE) as (worker,),
            fleet(1, lambda: MemoryBus(store), never) as (other,),
        ):
            real = bus.propose
            bus.propose = _lost  # type: ignore[assignment]  # commands are lost, notices are not
            worker.fails()
            await until(lambda: not worker.replicator.status().connected, "its word is lost")
            other.fails()
            await until(lambda: bool(worker.seen(RecordApplied)), "it hears of the other's")
            assert worker.replicator.status().connected
            bus.propose = real  # type: ignore[method-assign]

    scene(play)


async def _lost(*_: object) -> None:
    raise SyncError("lost on the way")


@pytest.mark.parametrize("taken", [True, False])
def test_a_probe_begun_alone_needs_the_lease_when_the_store_is_back(taken: bool) -> None:
    async def play(store: MemoryStore) -> None:
        bus = Faulty(MemoryBus(store))
        async with fleet(1, lambda: bus, rules=SOON_DUE) as (worker,):
            await due([worker])
            bus.cut = True
            await until(lambda: worker.replicator.want_probe("p"), "alone")
            worker.breaker.grant_probe(worker.now())
            if taken:
                await MemoryBus(store).acquire("p", "another:1", 60.0)
            bus.cut = False
            action = "denied" if taken else "won"
            await until(lambda: worker.seen(ProbeLease)[-1].action == action, action)
            await until(lambda: worker.state is (State.OPEN if taken else State.HALF_OPEN), "by right")

    scene(play)


def test_closing_gives_the_lease_back_and_ends_every_task() -> None:
    async def play(store: MemoryStore) -> None:
        before = asyncio.all_tasks()
        async with fleet(1, lambda: MemoryBus(store), rules=SOON_DUE) as (worker,):
            await due([worker])
            worker.replicator.want_probe("p")
            await until(lambda: worker.state is State.HALF_OPEN, "granted")
            assert store.leases
        assert not store.leases
        assert not store.listeners
        assert asyncio.all_tasks() == before

    scene(play)


def test_the_words_on_a_requests_path_return_at_once_with_the_store_cut_off() -> None:
    async def play(store: MemoryStore) -> None:
        bus = Faulty(MemoryBus(store))
        async with fleet(1, lambda: bus, SyncConfig()) as (worker,):
            bus.cut = True
            worker.fails()
            ticks = asyncio.get_running_loop().time()
            for _ in range(1000):
                worker.replicator.announce("p")
                worker.replicator.counted("p", failed=True)
                worker.replicator.want_probe("p")
                worker.replicator.status()
            assert asyncio.get_running_loop().time() - ticks < 1.0
            assert len(asyncio.all_tasks()) < 12  # and nothing piled up

    scene(play)
