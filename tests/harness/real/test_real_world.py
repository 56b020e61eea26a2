"""The real world: whole runs, with faults on Redis and on workers, and what they leave behind."""

from __future__ import annotations

import ast
import json
import tempfile
from collections import Counter
from pathlib import Path

import jsonschema
import psutil
import pytest
import yaml

import harness
from flexiai.core.outcome import Outcome, Trouble
from flexiai.events import AttemptEnded, ListenerRestarted, RequestEnded, RequestStarted
from harness.faults import KINDS
from harness.history import (
    FaultEffect,
    FaultHealed,
    FaultInjected,
    RedisDown,
    RedisUp,
    RequestDone,
    RequestSent,
    RunEnded,
    WorkerDown,
    WorkerUp,
)
from harness.scenario import Scenario
from harness.session import Finished, carry_out
from harness.world import Unsupported
from tests.harness.small import SMALL

pytestmark = pytest.mark.real

SCHEMA = json.loads((Path(harness.__path__[0]) / "summary.schema.json").read_text())
CLOCKS_AGREE_S = 0.001


@pytest.fixture
def carried_out(tmp_path, monkeypatch):
    """Runs the small scenario, changed, for real; whatever becomes of it, nothing may be left behind."""
    own = tmp_path / "temporary"
    own.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(own))

    def carried_out(**changes: object) -> Finished:
        scenario = Scenario.model_validate(yaml.safe_load(SMALL) | changes)
        before = set(psutil.Process().children(recursive=True))
        finished = carry_out(scenario, "real", 1, tmp_path / "runs", report=False)
        assert finished.error is None
        assert not finished.interrupted
        assert list(own.iterdir()) == []
        assert set(psutil.Process().children(recursive=True)) <= before
        every_request_is_accounted_for(finished)
        every_fault_shows(finished)
        return finished

    return carried_out


def every_request_is_accounted_for(finished: Finished) -> None:
    history = finished.record.history
    sent = {r.request: r.t for r in history.all(RequestSent)}
    assert sent
    assert Counter(list(sent)) == Counter(r.request for r in history.all(RequestDone))
    started = [r for r in history.all(RequestStarted) if r.request in sent]
    assert started
    assert min(r.t - sent[r.request] for r in started) > -CLOCKS_AGREE_S


def every_fault_shows(finished: Finished) -> None:
    wanted = set(range(len(finished.record.scenario.faults)))
    history = finished.record.history
    assert {f.fault for f in history.all(FaultInjected)} == wanted
    assert {f.fault for f in history.all(FaultEffect)} == wanted
    assert all(f.evidence for f in finished.record.judged.faults)


def test_a_good_run_passes_and_leaves_a_complete_directory(carried_out):
    finished = carried_out()
    record, folder = finished.record, finished.rundir.path
    assert record.judged.verdict == "pass", record.judged.reason
    (ended,) = record.history.all(RunEnded)
    assert ended.complete
    assert record.history.entries[-1] is ended
    assert sorted((w.instance, w.slot, w.generation) for w in record.history.all(WorkerUp)) == [(1, 1, 0), (1, 2, 0)]
    assert {r.status for r in record.history.all(RequestDone)} == {200}
    assert {path.name for path in folder.iterdir()} == {"capsule.yaml", "history.jsonl", "logs", "summary.json"}
    summary = json.loads((folder / "summary.json").read_text())
    jsonschema.validate(summary, SCHEMA)
    assert summary["mode"] == "real"
    assert summary["verdict"] == "pass"
    logs = {path.name for path in (folder / "logs").iterdir()}
    assert {"instance-1.log", "load.log", "provider-anthropic.log", "provider-openai.log", "proxy.log"} <= logs


def test_a_load_may_end_long_before_its_run(carried_out):
    finished = carried_out(load=[{"arrival": "constant", "rate": "40/s", "for": "2s"}])
    record = finished.record
    assert record.judged.verdict == "pass", record.judged.reason
    assert max(r.t for r in record.history.all(RequestSent)) < 3.0
    assert record.history.entries[-1].t >= record.scenario.duration


def test_redis_is_paused_killed_and_cut_off(carried_out):
    finished = carried_out(
        duration="5s",
        faults=[
            {"at": "0.3s", "for": "0.6s", "target": "redis", "inject": "pause"},
            {"at": "1.3s", "for": "0.8s", "target": "redis", "inject": "kill"},
            {"at": "2.6s", "for": "2s", "target": "redis", "inject": "partition", "workers": "1 of 2"},
        ],
    )
    history = finished.record.history
    assert [e.how for e in history.all(RedisDown)] == ["paused", "killed"]
    assert [e.empty for e in history.all(RedisUp)] == [False, True]
    assert [e.fault for e in history.all(FaultHealed)] == [0, 1, 2]
    (cut_off,) = [f.on for f in history.all(FaultInjected) if f.inject == "partition"]
    assert len(cut_off) == 1
    assert {w.worker for w in history.all(WorkerUp)} >= set(cut_off)
    assert {r.status for r in history.all(RequestDone)} == {200}


def test_streams_are_cut_and_stalled_and_callers_leave(carried_out):
    finished = carried_out(
        duration="8s",
        load=[{"arrival": "constant", "rate": "40/s", "stream": "70%", "cancel": "10%"}],
        request={"first_token_timeout": "500ms"},
        faults=[
            {"at": "0.5s", "for": "1s", "target": "provider/openai", "inject": "cut", "after_tokens": 2},
            {"at": "3.5s", "for": "1s", "target": "provider/openai", "inject": "stall", "add": "20s"},
            {"at": "6s", "for": "1s", "target": "provider/openai", "inject": "error_body"},
        ],
    )
    findings = {f.id: f for f in finished.record.judged.findings}
    assert findings["no-failover-after-first-token"].verdict == "pass"
    assert [f.summary for f in findings.values() if f.verdict == "fail"] == []
    figures = finished.record.judged.metrics
    assert figures["broken_streams"] == figures["failed_requests"] > 0
    assert figures["cancelled_requests"] > 0
    history = finished.record.history
    left = {r.request for r in history.all(RequestDone) if r.result == "left"}
    ends = {r.request: r.result for r in history.all(RequestEnded)}
    assert {ends[request] for request in left & ends.keys()} <= {"cancelled", "ok", "failed"}
    assert "cancelled" in {ends[request] for request in left & ends.keys()}
    assert all(ends[request] != "cancelled" for request in ends.keys() - left)
    broken_off = [e for e in history.all(AttemptEnded) if ends[e.request] == "cancelled" and e.chunks]
    assert {(e.outcome, e.trouble) for e in broken_off} == {(Outcome.NEUTRAL, Trouble.CANCELLED)}


def test_a_worker_that_is_the_only_one_is_replaced_too(carried_out):
    finished = carried_out(
        duration="4s",
        topology={"instances": 1, "workers": 1},
        faults=[{"at": "0.2s", "target": "worker", "inject": "restart", "workers": "all"}],
    )
    history = finished.record.history
    assert [w.generation for w in history.all(WorkerUp)] == [0, 1]
    assert [w.how for w in history.all(WorkerDown)] == ["terminated"]


def test_a_killed_worker_is_replaced_and_a_paused_one_goes_on(carried_out):
    finished = carried_out(
        faults=[
            {"at": "0.5s", "target": "worker", "inject": "kill", "workers": "1.1"},
            {"at": "4s", "for": "0.8s", "target": "worker", "inject": "pause", "workers": "1.2"},
        ],
    )
    history = finished.record.history
    ups = {(w.instance, w.slot, w.generation): w for w in history.all(WorkerUp)}
    assert set(ups) == {(1, 1, 0), (1, 2, 0), (1, 1, 1)}
    (down,) = history.all(WorkerDown)
    assert (down.worker, down.how) == (ups[1, 1, 0].worker, "killed")
    killed, paused = (f.on for f in history.all(FaultInjected))
    assert killed == (ups[1, 1, 0].worker,)
    assert paused == (ups[1, 2, 0].worker,)
    healed = [f.t for f in history.all(FaultHealed)][-1]
    assert any(r.worker == paused[0] and r.t > healed for r in history.all(RequestStarted))


def test_redis_answers_errors_and_loses_its_clients(carried_out):
    finished = carried_out(
        duration="11s",
        breaker={"failure_threshold": 3, "reset_timeout": "300ms", "max_reset_timeout": "300ms"},
        faults=[
            {"at": "0.2s", "target": "provider/openai", "inject": "error"},
            {"at": "0.5s", "target": "redis", "inject": "subscribers_killed"},
            {"at": "1s", "target": "redis", "inject": "overflow"},
            {"at": "1.5s", "target": "redis", "inject": "reset", "workers": "1 of 2"},
            {"at": "2s", "for": "1s", "target": "redis", "inject": "readonly"},
            {"at": "3.5s", "for": "1s", "target": "redis", "inject": "loading"},
            {"at": "5s", "for": "1s", "target": "redis", "inject": "noauth"},
            {"at": "6.5s", "for": "1.5s", "target": "redis", "inject": "drop_messages"},
            {"at": "8.5s", "for": "1.5s", "target": "redis", "inject": "failover"},
        ],
    )
    assert {r.status for r in finished.record.history.all(RequestDone)} == {200}


def test_workers_are_blocked_deafened_throttled_joined_late_and_cut_off(carried_out):
    finished = carried_out(
        duration="12s",
        topology={"instances": 2, "workers": 1},
        faults=[
            {"at": "0.2s", "target": "worker", "inject": "late_join", "instance": 2},
            {"at": "0.5s", "for": "200ms", "target": "worker", "inject": "block", "workers": "1.1"},
            {"at": "1s", "target": "worker", "inject": "deaf", "workers": "1.1"},
            {"at": "1.5s", "for": "1s", "target": "worker", "inject": "throttle", "share": "50%", "workers": "1.1"},
            {"at": "3s", "for": "500ms", "target": "network", "inject": "partition", "workers": "1.1"},
            {"at": "4s", "for": "1s", "target": "network", "inject": "latency", "median": "5ms", "p99": "20ms"},
            {"at": "8s", "for": "2s", "target": "network", "inject": "swizzle"},
        ],
    )
    history = finished.record.history
    assert {r.status for r in history.all(RequestDone)} == {200}
    assert len(list(history.all(ListenerRestarted))) == 1
    assert {w.instance for w in history.all(WorkerUp) if w.t > 0.2} == {2}


def test_providers_fail_in_every_way_and_operators_act(carried_out):
    openai = {"for": "600ms", "target": "provider/openai"}
    carried_out(
        duration="12s",
        breaker={"failure_threshold": 3, "reset_timeout": "200ms", "max_reset_timeout": "200ms"},
        load=[{"arrival": "constant", "rate": "20/s", "to": "60/s", "retry": 1}],
        request={"attempt_timeout": "300ms"},
        faults=[
            {"at": "0.2s", **openai, "inject": "error"},
            {"at": "1.2s", **openai, "inject": "rate_limit"},
            {"at": "2.2s", **openai, "inject": "hang"},
            {"at": "3.2s", **openai, "inject": "refuse"},
            {"at": "4.2s", **openai, "inject": "latency", "add": "100ms"},
            {"at": "5.2s", **openai, "inject": "malformed"},
            {"at": "6.2s", **openai, "inject": "partition", "workers": "1 of 2"},
            {"at": "7.2s", **openai, "inject": "reset"},
            {"at": "8s", **openai, "inject": "operator_open"},
            {"at": "9.2s", **openai, "inject": "operator_drain"},
            {"at": "10.5s", "target": "provider/openai", "inject": "operator_reset"},
            {"at": "10.8s", **openai, "inject": "capacity", "most": 1},
        ],
    )


def test_redis_is_slow_full_flushed_refusing_and_restarted_and_the_network_narrow(carried_out):
    carried_out(
        duration="11s",
        breaker={"failure_threshold": 3, "reset_timeout": "300ms", "max_reset_timeout": "300ms"},
        faults=[
            {"at": "0.2s", "target": "provider/openai", "inject": "error"},
            {"at": "0.5s", "for": "1s", "target": "redis", "inject": "latency", "add": "20ms"},
            {"at": "2s", "for": "1s", "target": "redis", "inject": "oom"},
            {"at": "3.5s", "target": "redis", "inject": "flush"},
            {"at": "4s", "for": "1s", "target": "redis", "inject": "refuse", "workers": "1 of 2"},
            {"at": "6s", "for": "500ms", "target": "redis", "inject": "restart", "data": "persisted"},
            {"at": "8s", "for": "1s", "target": "network", "inject": "bandwidth", "bytes_per_s": 5000},
        ],
    )


def test_workers_roll_and_crash_again_and_again(carried_out):
    finished = carried_out(
        duration="14s",
        faults=[
            {"at": "0.2s", "for": "3s", "target": "worker", "inject": "rolling_restart"},
            {"at": "7s", "for": "4s", "target": "worker", "inject": "crash_loop", "workers": "1.1"},
        ],
    )
    downs = [w.how for w in finished.record.history.all(WorkerDown)]
    assert downs.count("terminated") == 2
    assert downs.count("killed") >= 1


def test_without_faults_nothing_has_an_effect(carried_out):
    finished = carried_out(duration="3s", faults=[])
    history = finished.record.history
    assert [*history.all(FaultInjected), *history.all(FaultEffect)] == []
    assert {r.status for r in history.all(RequestDone)} == {200}
    assert [e for e in history.all(AttemptEnded) if e.outcome is not Outcome.SUCCESS] == []
    assert [*history.all(ListenerRestarted), *history.all(WorkerDown), *history.all(RedisDown)] == []


def test_every_fault_that_can_be_done_for_real_is_done_here():
    text = Path(__file__).read_text()
    done = {(d["target"].partition("/")[0], d["inject"]) for d in _literal_faults(text)}
    assert done >= {(kind.of, kind.name) for kind in KINDS if "real" in kind.worlds}


def _literal_faults(text: str) -> list[dict[str, str]]:
    """Every mapping in this module that names a target and what is injected."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            given = {k.value: v.value for k, v in pairs if isinstance(k, ast.Constant) and isinstance(v, ast.Constant)}
            given.setdefault("target", "provider/openai")  # of those that share the rest
            found += [given] if "inject" in given else []
    return found


def test_a_fault_that_only_a_simulation_can_do_is_refused_with_the_reason(tmp_path):
    scenario = Scenario.model_validate(
        yaml.safe_load(SMALL) | {"faults": [{"at": "1s", "target": "clock", "inject": "jump", "by": "5s"}]}
    )
    with pytest.raises(Unsupported, match=r"'jump' on clock cannot be done for real: .* share its monotonic clock"):
        carry_out(scenario, "real", 1, tmp_path / "runs", report=False)
