"""The agenda: what is due when, in the order of time, and what waits for something to happen."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flexiai.core.circuit import Cause, State
from flexiai.events import AttemptStarted, RecordApplied, Transition
from harness.agenda import Agenda, Step
from harness.history import FaultHealed, FaultInjected, WorkerDown, WorkerUp
from tests.harness.histories import scenario

LATENCY: dict[str, Any] = {"target": "redis", "inject": "latency", "add": "1ms"}
KILL: dict[str, Any] = {"target": "worker", "inject": "kill"}


def agenda(*faults: dict[str, Any], seed: int = 1) -> Agenda:
    return Agenda(scenario(*faults), seed)


def taken(what: Agenda, until: float = 60.0) -> list[tuple[float, bool, int, int]]:
    """Everything that becomes due, if nothing happens meanwhile."""
    steps = iter(lambda: what.take(until), None)
    return [(s.at, s.begins, s.fault, s.time) for s in steps]


def change(worker: str, frm: State, to: State, cause: Cause, provider: str = "a") -> Transition:
    return Transition(t=0, worker=worker, provider=provider, frm=frm, to=to, cause=cause, epoch=0)


OPENED = change("w2", State.CLOSED, State.OPEN, Cause.CONSECUTIVE_FAILURES)
PROBING = change("w3", State.OPEN, State.HALF_OPEN, Cause.PROBE_GRANTED)


def test_a_fault_that_comes_every_5_s_is_put_and_healed_each_time_until_it_is_over():
    steps = taken(agenda({**LATENCY, "at": "1s", "every": "5s", "for": "2s", "until": "12s"}))
    assert steps == [
        (1, True, 0, 0),
        (3, False, 0, 0),
        (6, True, 0, 1),
        (8, False, 0, 1),
    ]


def test_what_waits_does_not_begin_unless_it_will_be_over_in_time():
    fault = {**LATENCY, "after": {"event": "opened"}, "at": "500ms", "for": "2s", "until": "12s"}
    in_time, too_late = agenda(fault), agenda(fault)
    assert in_time.hear(OPENED, 9.5)
    assert taken(in_time) == [(10, True, 0, 0), (12, False, 0, 0)]
    assert not too_late.hear(OPENED, 9.6)
    assert taken(too_late) == []


def test_what_ends_with_an_event_is_over_at_its_time_if_that_does_not_come():
    fault = {**LATENCY, "at": "1s", "for": "5s", "until": {"event": "worker_down"}}
    what = agenda(fault)
    assert what.take(1.0) is not None
    assert what.hear(WorkerDown(t=0, worker="w1", how="killed"), 4.0)
    assert taken(what) == [(4.0, False, 0, 0)]
    assert taken(agenda(fault)) == [(1, True, 0, 0), (6, False, 0, 0)]


@given(st.integers(0, 1000))
def test_jitter_delays_each_time_within_its_bound_and_is_drawn_by_the_seed(seed):
    fault = {**LATENCY, "at": "1s", "every": "5s", "for": "2s", "jitter": "2s"}
    begins = [at for at, begins, *_ in taken(agenda(fault, seed=seed)) if begins]
    assert len(begins) == 12
    assert all(1 + 5 * n <= at <= 3 + 5 * n for n, at in enumerate(begins))
    assert begins == [at for at, begins, *_ in taken(agenda(fault, seed=seed)) if begins]


def test_a_fault_waits_for_what_it_comes_after():
    what = agenda({**KILL, "after": {"event": "opened", "provider": "a"}, "at": "500ms", "workers": "opener"})
    assert what.next_at is None
    assert not what.hear(change("w1", State.CLOSED, State.OPEN, Cause.SYNC), 9.0)
    assert not what.hear(change("w1", State.CLOSED, State.OPEN, Cause.CONSECUTIVE_FAILURES, "b"), 9.5)
    assert what.hear(OPENED, 10.0)
    assert taken(what) == [(10.5, True, 0, 0)]
    assert not what.hear(OPENED, 11.0)


def test_what_the_store_opened_is_opened_once_by_the_worker_whose_failure_did_it():
    what = agenda({**KILL, "after": {"event": "opened", "nth": 2}, "workers": "opener"})
    fields: dict[str, Any] = {"provider": "a", "reason": Cause.CONSECUTIVE_FAILURES, "via": "notice", "since_ms": 1}
    told = RecordApplied(t=0, worker="w1", origin="w3", epoch=1, state=State.OPEN, **fields)
    shut = RecordApplied(t=0, worker="w1", origin="w2", epoch=2, state=State.CLOSED, **fields)
    what.hear(WorkerUp(t=-1, worker="w3", instance=1, slot=3), -1.0)
    assert not any(what.hear(entry, 1.0) for entry in (told, OPENED, told, shut))
    assert what.hear(told, 2.0)
    assert what.places(Step(2.0, True, 0, 0, "w3")) == ((1, 3),)


def test_the_second_time_is_not_the_first():
    what = agenda({**KILL, "after": {"event": "probed", "nth": 2}})
    probe = AttemptStarted(t=0, worker="w1", request="r", attempt=1, provider="a", probe=True)
    assert not what.hear(probe, 1.0)
    assert what.hear(probe, 2.0)


def test_a_fault_that_waits_for_its_end_is_healed_when_that_happens_or_with_the_run():
    fault = {**LATENCY, "at": "1s", "until": {"event": "worker_down"}}
    what = agenda(fault)
    assert what.take(1.0) is not None
    assert what.hear(WorkerDown(t=0, worker="w1", how="killed"), 4.0)
    assert taken(what) == [(4.0, False, 0, 0)]
    assert taken(agenda(fault)) == [(1, True, 0, 0), (60, False, 0, 0)]


def test_faults_are_anchored_to_one_another():
    what = agenda(
        {**LATENCY, "id": "slow", "at": "1s", "for": "2s"},
        {**KILL, "after": {"event": "healed", "fault": "slow"}, "at": "1s"},
    )
    assert [s.at for s in (what.take(3.0), what.take(3.0)) if s is not None] == [1, 3]
    assert not what.hear(FaultInjected(t=1, fault=0, target="redis", inject="latency"), 1.0)
    assert what.hear(FaultHealed(t=3, fault=0), 3.0)
    assert taken(what) == [(4.0, True, 1, 0)]


def test_roles_are_those_of_the_moment_in_which_the_fault_begins():
    what = agenda({**KILL, "at": "5s", "workers": "opener"}, {**KILL, "at": "5s", "workers": "probe_holder"})
    for slot in (1, 2, 3):
        what.hear(WorkerUp(t=-1, worker=f"w{slot}", instance=1, slot=slot), -1.0)
    nobody = what.places(Step(5.0, True, 1, 0))
    what.hear(OPENED, 1.0)
    what.hear(PROBING, 2.0)
    assert nobody == ()
    assert what.places(Step(5.0, True, 0, 0)) == ((1, 2),)
    assert what.places(Step(5.0, True, 1, 0)) == ((1, 3),)
    what.hear(change("w3", State.HALF_OPEN, State.CLOSED, Cause.PROBE_SUCCEEDED), 3.0)
    assert what.places(Step(5.0, True, 1, 0)) == ()


def test_a_fault_that_comes_again_draws_its_workers_anew():
    what = agenda({**KILL, "at": "5s", "every": "1s", "workers": "1 of 3"})
    assert len({what.places(Step(5.0 + n, True, 0, n)) for n in range(12)}) == 3
