"""The simulated world: every fault leaves evidence, every request one end, and the same seed the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from flexiai.core.circuit import State
from flexiai.events import RecordApplied, WorkerReady, WorkerStarted
from harness.checkers import CHECKERS, Case
from harness.faults import KINDS
from harness.history import (
    FaultEffect,
    FaultInjected,
    History,
    ProviderServed,
    RedisDown,
    RedisSample,
    RedisUp,
    RequestDone,
    RequestSent,
    RunEnded,
    WorkerDown,
    WorkerPaused,
    WorkerResumed,
    WorkerTrouble,
    WorkerUp,
)
from harness.run import run
from harness.scenario import Scenario
from harness.sim.world import SimWorld


def scenario(*faults: dict[str, Any], **fields: Any) -> Scenario:
    """A small one: two instances of two workers, 40 requests a second for 8 s."""
    return Scenario.model_validate(
        {
            "name": "small",
            "description": "For a test.",
            "duration": "8s",
            "topology": {"instances": 2, "workers": 2},
            "providers": [
                {"name": "openai", "priority": 1, "latency": {"median": "50ms", "p99": "200ms"}},
                {"name": "anthropic", "priority": 2, "latency": {"median": "80ms", "p99": "300ms"}},
            ],
            "breaker": {"failure_threshold": 3, "reset_timeout": "1s"},
            "request": {"attempt_timeout": "1s"},
            "load": [{"arrival": "poisson", "rate": "40/s"}],
            "faults": list(faults),
            **fields,
        }
    )


def simulated(what: Scenario, seed: int = 1) -> History:
    """The history of a run that did not break."""
    outcome = run(SimWorld(what, seed), what, seed, lambda *_: None)
    assert outcome.error is None
    return outcome.history


OUTAGE = {"at": "2s", "for": "3s", "target": "provider/openai", "inject": "error", "status": 503}
FAULTS: list[dict[str, Any]] = [
    OUTAGE,
    {**OUTAGE, "inject": "rate_limit", "status": None, "retry_after": "1s"},
    {**OUTAGE, "inject": "rate_limit", "status": None, "retry_after": "1s", "date": True},
    {**OUTAGE, "inject": "capacity", "most": 1},
    {**OUTAGE, "inject": "reset", "status": None},
    {**OUTAGE, "inject": "hang", "status": None},
    {**OUTAGE, "inject": "refuse", "status": None},
    {**OUTAGE, "inject": "latency", "status": None, "add": "300ms"},
    {**OUTAGE, "inject": "latency", "status": None, "add": "300ms", "spread": "200ms", "grows": True},
    {**OUTAGE, "inject": "cut", "status": None, "after_tokens": 2},
    {**OUTAGE, "inject": "malformed", "status": None},
    {**OUTAGE, "inject": "error_body", "status": None},
    {**OUTAGE, "inject": "partition", "status": None, "workers": "1 of 4"},
    {"at": "2s", "for": "3s", "target": "redis", "inject": "kill"},
    {"at": "2s", "for": "3s", "target": "redis", "inject": "pause"},
    {"at": "2s", "for": "3s", "target": "redis", "inject": "partition", "workers": "2 of 4"},
    {"at": "2s", "for": "3s", "target": "redis", "inject": "partition", "direction": "to_redis"},
    {"at": "2s", "for": "3s", "target": "redis", "inject": "partition", "direction": "from_redis", "bytes": "dropped"},
    {"at": "2s", "for": "3s", "target": "redis", "inject": "latency", "add": "50ms"},
    {"at": "2s", "for": "3s", "target": "redis", "inject": "latency", "add": "50ms", "spread": "20ms"},
    {"at": "2s", "for": "3s", "target": "redis", "inject": "latency", "add": "50ms", "workers": "2 of 4"},
    {"at": "2s", "for": "1s", "target": "redis", "inject": "restart"},
    {"at": "2s", "target": "redis", "inject": "reset", "workers": "2 of 4"},
    {"at": "2s", "for": "3s", "target": "redis", "inject": "refuse", "workers": "2 of 4"},
    {"at": "2s", "target": "redis", "inject": "subscribers_killed"},
    {"at": "2s", "target": "redis", "inject": "overflow"},
    {"at": "2s", "for": "3s", "target": "redis", "inject": "loading"},
    {"at": "2s", "for": "3s", "target": "redis", "inject": "noauth"},
    {"at": "2s", "target": "worker", "inject": "kill", "workers": "1 of 4"},
    {"at": "2s", "target": "worker", "inject": "restart", "workers": "2 of 4"},
    {"at": "2s", "for": "3s", "target": "worker", "inject": "pause", "workers": "1 of 4"},
    {"at": "1s", "for": "4s", "target": "worker", "inject": "rolling_restart"},
    {"at": "2s", "for": "3s", "target": "worker", "inject": "crash_loop", "workers": "1 of 4"},
    {"at": "2s", "for": "500ms", "target": "worker", "inject": "block", "workers": "1 of 4"},
    {"at": "2s", "for": "3s", "target": "worker", "inject": "throttle", "share": "30%", "workers": "2 of 4"},
    {"at": "2s", "target": "worker", "inject": "deaf", "workers": "1 of 4"},
    {"at": "2s", "target": "worker", "inject": "late_join", "instance": 2},
    {"at": "2s", "for": "3s", "target": "network", "inject": "partition", "workers": "1 of 4"},
    {"at": "2s", "for": "4s", "target": "network", "inject": "swizzle", "workers": "3 of 4"},
    {"at": "2s", "for": "3s", "target": "network", "inject": "latency", "median": "20ms", "p99": "100ms"},
    {"at": "2s", "for": "3s", "target": "network", "inject": "bandwidth", "bytes_per_s": 2000},
    {"at": "2s", "for": "3s", "target": "clock", "inject": "offset", "by": "3s", "workers": "2 of 4"},
    {"at": "2s", "target": "clock", "inject": "jump", "by": "30s", "way": "behind", "workers": "1 of 4"},
    {"at": "2s", "for": "3s", "target": "clock", "inject": "drift", "rate": 1.5, "workers": "2 of 4"},
    {"at": "2s", "for": "3s", "target": "provider/openai", "inject": "operator_open"},
    {"at": "2s", "until": {"event": "opened", "nth": 99}, "target": "provider/openai", "inject": "operator_open"},
    {"at": "2s", "for": "3s", "target": "provider/openai", "inject": "operator_drain", "workers": "2.1"},
    {"at": "2s", "target": "provider/openai", "inject": "operator_reset", "workers": "2 of 4"},
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f"{f['target']}-{f['inject']}".replace("/", "-"))
def test_every_fault_leaves_evidence_and_every_request_one_end(fault: dict[str, Any]) -> None:
    history = simulated(scenario({key: value for key, value in fault.items() if value is not None}))
    effects = list(history.all(FaultEffect))
    assert effects
    assert effects[-1].count > 0
    assert list(history.all(WorkerTrouble)) == []
    sent = Counter(e.request for e in history.all(RequestSent))
    done = Counter(e.request for e in history.all(RequestDone))
    assert sent == done
    assert set(sent.values()) == {1}
    assert all(e.complete for e in history.all(RunEnded))


TALK = [{"arrival": "poisson", "rate": "40/s", "stream": "60%", "cancel": "10%"}]
TALKATIVE: list[dict[str, Any]] = [
    {**OUTAGE, "inject": "stall", "status": None, "add": "300ms"},
    {**OUTAGE, "inject": "stall", "status": None, "add": "5s", "after_tokens": 2},
    {**OUTAGE, "inject": "cut", "status": None, "after_tokens": 2},
    {**OUTAGE, "inject": "malformed", "status": None, "after_tokens": 2},
    {**OUTAGE, "inject": "error_body", "status": None, "after_tokens": 0},
    {**OUTAGE, "inject": "refuse", "status": None},
    {**OUTAGE, "inject": "capacity", "most": 1},
    {**OUTAGE, "inject": "reset", "status": None},
    {**OUTAGE, "inject": "hang", "status": None},
    {**OUTAGE, "inject": "partition", "status": None, "workers": "1 of 4"},
    {"at": "2s", "target": "worker", "inject": "kill", "workers": "1 of 4"},
    {"at": "2s", "target": "worker", "inject": "restart", "workers": "2 of 4"},
    {"at": "2s", "for": "3s", "target": "worker", "inject": "pause", "workers": "1 of 4"},
    {"at": "1s", "for": "4s", "target": "worker", "inject": "rolling_restart"},
    {"at": "2s", "for": "3s", "target": "worker", "inject": "crash_loop", "workers": "1 of 4"},
    {"at": "2s", "for": "500ms", "target": "worker", "inject": "block", "workers": "1 of 4"},
    {"at": "2s", "for": "3s", "target": "worker", "inject": "throttle", "share": "30%", "workers": "2 of 4"},
    {"at": "2s", "target": "worker", "inject": "deaf", "workers": "1 of 4"},
    {"at": "2s", "target": "worker", "inject": "late_join", "instance": 2},
    {"at": "2s", "for": "3s", "target": "network", "inject": "partition", "workers": "1 of 4"},
    {"at": "2s", "for": "4s", "target": "network", "inject": "swizzle", "workers": "3 of 4"},
    {"at": "2s", "for": "3s", "target": "network", "inject": "latency", "median": "20ms", "p99": "100ms"},
    {"at": "2s", "for": "3s", "target": "network", "inject": "bandwidth", "bytes_per_s": 2000},
    {"at": "2s", "for": "3s", "target": "clock", "inject": "offset", "by": "3s", "workers": "2 of 4"},
    {"at": "2s", "target": "clock", "inject": "jump", "by": "30s", "way": "behind", "workers": "1 of 4"},
    {"at": "2s", "for": "3s", "target": "clock", "inject": "drift", "rate": 1.5, "workers": "2 of 4"},
]


@pytest.mark.parametrize("fault", TALKATIVE, ids=lambda f: f"{f['inject']}-{f.get('after_tokens', 'any')}")
def test_streams_and_callers_who_leave_come_through_every_fault(fault: dict[str, Any]) -> None:
    what = scenario(
        {key: value for key, value in fault.items() if value is not None},
        load=TALK,
        request={"first_token_timeout": "1s", "between_tokens_timeout": "1s", "attempt_timeout": "1s"},
    )
    history = simulated(what)
    assert [e.count > 0 for e in history.all(FaultEffect)][-1]
    assert list(history.all(WorkerTrouble)) == []
    ends = Counter(e.result for e in history.all(RequestDone))
    assert ends["ok"] > 200
    assert ends["left"] > 0
    assert Counter(e.request for e in history.all(RequestSent)) == Counter(e.request for e in history.all(RequestDone))
    findings = [checker.check(Case(what, 1, history)) for checker in CHECKERS]
    assert [f.summary for f in findings if f.verdict == "fail" or f.why == "crashed"] == []
    assert history.sha256() == simulated(what).sha256()


def test_a_worker_told_to_end_again_or_while_it_starts_ends_in_good_order() -> None:
    restart = {"target": "worker", "inject": "restart", "workers": "all"}
    often = [{"at": f"{at}ms", **restart} for at in range(1000, 4000, 60)]
    frozen = {"at": "500ms", "for": "700ms", "target": "worker", "inject": "pause", "workers": "1 of 4"}
    history = simulated(scenario(frozen, *often))
    assert list(history.all(WorkerTrouble)) == []
    assert {e.how for e in history.all(WorkerDown)} == {"terminated"}


NEEDS_NEWS: list[dict[str, Any]] = [
    {"at": "1s", "for": "5s", "target": "redis", "inject": "drop_messages", "workers": "2 of 4"},
    {"at": "1s", "for": "5s", "target": "redis", "inject": "drop_messages", "share": "50%"},
    {"at": "1s", "for": "3s", "target": "redis", "inject": "readonly"},
    {"at": "1s", "for": "3s", "target": "redis", "inject": "oom"},
    {"at": "1s", "for": "3s", "target": "redis", "inject": "failover"},
    {"at": "4s", "for": "1s", "target": "redis", "inject": "restart", "data": "persisted"},
]


@pytest.mark.parametrize("fault", NEEDS_NEWS, ids=lambda f: f"{f['inject']}-{f.get('share', 'all')}")
def test_faults_that_need_an_outages_news_leave_evidence_with_one_and_none_without(fault: dict[str, Any]) -> None:
    with_news = simulated(scenario(fault, OUTAGE))
    assert [e.count > 0 for e in with_news.all(FaultEffect) if e.fault == 0] == [True]
    assert list(with_news.all(WorkerTrouble)) == []
    if fault["inject"] != "restart":
        assert [e for e in simulated(scenario(fault)).all(FaultEffect) if e.fault == 0] == []


def test_a_fault_after_an_event_is_put_on_the_worker_that_it_happened_to() -> None:
    opened = {"event": "opened", "provider": "openai"}
    history = simulated(scenario(OUTAGE, {"after": opened, "target": "worker", "inject": "kill", "workers": "opener"}))
    first = next(e for e in history.all(RecordApplied) if e.state is State.OPEN)
    [killed] = [e for e in history.all(FaultInjected) if e.fault == 1]
    assert killed.on == (first.origin,)
    assert 0 <= killed.t - first.t < 0.001


def test_a_fault_that_comes_again_leaves_evidence_each_time() -> None:
    reset = {"at": "1s", "every": "2s", "jitter": "500ms", "target": "redis", "inject": "reset", "workers": "1 of 4"}
    effects = list(simulated(scenario(reset)).all(FaultEffect))
    assert [e.time for e in effects] == [0, 1, 2, 3]
    assert all(e.count > 0 for e in effects)


def test_a_promoted_replica_holds_what_it_had_heard_and_epochs_never_go_back() -> None:
    history = simulated(scenario(OUTAGE, {"at": "1s", "for": "3s", "target": "redis", "inject": "failover"}))
    epochs: dict[tuple[str, str], int] = {}
    for e in history.all(RecordApplied):
        assert e.epoch >= epochs.get((e.worker, e.provider), 0)
        epochs[e.worker, e.provider] = e.epoch
    assert len({epoch for (_, provider), epoch in epochs.items() if provider == "openai"}) == 1


def test_a_flush_loses_the_keys_that_an_outage_wrote() -> None:
    history = simulated(scenario(OUTAGE, {"at": "3s", "target": "redis", "inject": "flush"}))
    assert [e.count for e in history.all(FaultEffect) if e.fault == 1] == [1]


def test_every_fault_that_can_be_simulated_is_shown_here_to_leave_evidence() -> None:
    shown = {(fault["target"].partition("/")[0], fault["inject"]) for fault in (*FAULTS, *TALKATIVE, *NEEDS_NEWS)}
    shown.add(("redis", "flush"))  # below
    assert shown == {(kind.of, kind.name) for kind in KINDS if "sim" in kind.worlds}


def test_without_faults_nothing_has_an_effect() -> None:
    history = simulated(scenario())
    assert [*history.all(FaultInjected), *history.all(FaultEffect)] == []
    assert {e.result for e in history.all(RequestDone)} == {"ok"}
    ends = (WorkerDown, WorkerPaused, RedisDown)
    assert [e for kind in ends for e in history.all(kind) if e.t < 8.0] == []


def test_a_fault_that_changed_nothing_leaves_no_evidence() -> None:
    quiet = scenario(OUTAGE, load=[{"arrival": "constant", "rate": "1/s", "at": "6s"}])
    assert list(simulated(quiet).all(FaultEffect)) == []


def test_workers_are_up_and_ready_before_the_run_begins() -> None:
    history = simulated(scenario())
    assert {(e.instance, e.slot) for e in history.all(WorkerUp)} == {(1, 1), (1, 2), (2, 1), (2, 2)}
    assert all(e.t < 0 and e.synced for e in history.all(WorkerReady))
    assert {(e.worker, e.pid) for e in history.all(WorkerStarted)} == {(f"sim:{n}", n) for n in range(101, 105)}
    assert Counter(e.how for e in history.all(WorkerDown)) == {"terminated": 4}
    assert len(list(history.all(RedisSample))) == 2


def test_every_answer_is_in_the_providers_ledger() -> None:
    history = simulated(scenario())
    answered = {e.request: e.provider for e in history.all(RequestDone)}
    assert {e.request: e.provider for e in history.all(ProviderServed) if e.result == "ok"} == answered


def test_a_killed_workers_requests_end_as_nobody_can_know_and_another_takes_its_place() -> None:
    slow = [{"name": "openai", "latency": "500ms"}]
    kill = {"at": "4s", "target": "worker", "inject": "kill", "workers": "1.1"}
    history = simulated(scenario(kill, providers=slow))
    [killed] = [e for e in history.all(WorkerDown) if e.how == "killed"]
    assert killed.t == 4.0
    lost = [e for e in history.all(RequestDone) if e.result == "info"]
    assert lost
    assert {e.request for e in lost} == {e.request for e in history.all(ProviderServed) if e.result == "gone"}
    [successor] = [e for e in history.all(WorkerUp) if e.generation == 1]
    assert (successor.instance, successor.slot) == (1, 1)
    assert 4.5 < successor.t < 5.5
    assert [e for e in history.all(RequestDone) if e.result == "fail"] == []


def test_a_restarted_worker_loses_no_request() -> None:
    history = simulated(scenario({"at": "4s", "target": "worker", "inject": "restart", "workers": "all"}))
    assert {e.result for e in history.all(RequestDone)} == {"ok"}
    assert len([e for e in history.all(WorkerUp) if e.generation == 1]) == 4


def test_pauses_and_redis_ends_are_told() -> None:
    pause = {"at": "2s", "for": "1s", "target": "worker", "inject": "pause", "workers": "1.2"}
    kill = {"at": "4s", "for": "1s", "target": "redis", "inject": "kill"}
    history = simulated(scenario(pause, kill))
    [paused], [resumed] = list(history.all(WorkerPaused)), list(history.all(WorkerResumed))
    assert (paused.t, resumed.t, paused.worker) == (2.0, 3.0, resumed.worker)
    assert [e.on for e in history.all(FaultInjected)] == [(paused.worker,), ("redis",)]
    assert [(e.t, e.how) for e in history.all(RedisDown)] == [(4.0, "killed")]
    assert [(e.t, e.empty) for e in history.all(RedisUp)] == [(5.0, True)]


def test_who_retries_sends_what_failed_again_and_is_told_each_time() -> None:
    broken = [
        {"at": "1s", "for": "2s", "target": f"provider/{name}", "inject": "error"} for name in ("openai", "anthropic")
    ]
    history = simulated(scenario(load=[{"arrival": "constant", "rate": "10/s", "retry": 2}], faults=broken))
    done = {e.request: e for e in history.all(RequestDone)}
    sent = {e.request: e for e in history.all(RequestSent)}
    again = [name for name in sent if "." in name]
    assert sent.keys() == done.keys()
    assert again
    for name in again:
        first, _, number = name.partition(".")
        before = done[first if number == "1" else f"{first}.{int(number) - 1}"]
        assert before.result == "fail"
        assert sent[name].t - before.t == pytest.approx(before.retry_after_s or 0.5 * 2 ** (int(number) - 1), abs=1e-6)
    assert {name.partition(".")[2] for name in again} <= {"1", "2"}


def test_closed_users_send_their_next_request_after_the_last_answer() -> None:
    history = simulated(scenario(load=[{"closed": {"users": 3, "pace": "500ms"}}]))
    sent = [e.request for e in history.all(RequestSent)]
    assert {name.rsplit("-", 1)[0] for name in sent} == {"r0-1", "r0-2", "r0-3"}
    assert 3 * 14 <= len(sent) <= 3 * 16


def test_what_never_ends_is_recorded_as_such() -> None:
    slow = scenario(providers=[{"name": "openai", "latency": "50s"}], request={"attempt_timeout": "60s"}, drain="1s")
    history = simulated(slow)
    assert {(e.result, e.t) for e in history.all(RequestDone)} == {("info", 9.0)}
    assert {e.how for e in history.all(WorkerDown)} == {"terminated"}
    assert history.entries[-1].t < 8 + 1 + 6  # the run, its drain, the grace of a shutdown


def test_a_hundred_workers_run() -> None:
    many = scenario(OUTAGE, topology={"instances": 10, "workers": 10}, duration="5s")
    history = simulated(many)
    assert len(list(history.all(WorkerUp))) == 100
    assert {e.result for e in history.all(RequestDone)} == {"ok"}


_HASH = """
import sys
from tests.harness.sim.test_sim_world import FAULTS, scenario, simulated
faults = [{k: v for k, v in f.items() if v is not None} for f in FAULTS if f["inject"] in ("error", "kill", "refuse")]
print(simulated(scenario(*faults), int(sys.argv[1])).sha256())
"""


def _hash_in_another_process(seed: int, hash_seed: str) -> str:
    env = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", _HASH, str(seed)], env=env, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


def test_the_same_seed_gives_the_same_bytes_in_any_process_and_another_seed_others() -> None:
    first = _hash_in_another_process(7, "0")
    assert first == _hash_in_another_process(7, "12345")
    assert first != _hash_in_another_process(8, "0")


def test_a_worker_that_is_woken_takes_what_waited_even_if_nothing_of_its_own_was_due() -> None:
    pause = {"at": "2s", "for": "30ms", "target": "worker", "inject": "pause"}
    load = [{"arrival": "constant", "rate": "100/s", "at": "2s", "for": "20ms"}]
    quiet = {"reconcile_interval": "60s", "health_interval": "60s"}
    history = simulated(scenario(pause, load=load, sync=quiet, topology={"instances": 1, "workers": 1}))
    sent, done = list(history.all(RequestSent)), list(history.all(RequestDone))
    assert {d.result for d in done} == {"ok"}
    assert sent[0].t < 2.03 < done[0].t


def test_an_instance_joins_once() -> None:
    late = {"target": "worker", "inject": "late_join", "instance": 2}
    history = simulated(scenario({**late, "at": "1s"}, {**late, "at": "2s"}))
    assert Counter((e.instance, e.slot) for e in history.all(WorkerUp)) == {(1, 1): 1, (1, 2): 1, (2, 1): 1, (2, 2): 1}


def test_a_redis_that_is_far_from_one_worker_is_as_near_as_ever_to_the_others() -> None:
    far = {"at": "1s", "for": "4s", "target": "redis", "inject": "latency", "add": "300ms", "workers": "1.1"}
    history = simulated(scenario(far, OUTAGE))
    homes = {e.worker: (e.instance, e.slot) for e in history.all(WorkerUp)}
    heard: dict[tuple[int, int], float] = {}
    for e in history.all(RecordApplied):
        if e.state is State.OPEN:
            heard.setdefault(homes[e.worker], e.t)
    slow = heard.pop((1, 1))
    assert len(heard) == 3
    assert max(heard.values()) - min(heard.values()) < 0.1
    assert slow - min(heard.values()) > 0.25
