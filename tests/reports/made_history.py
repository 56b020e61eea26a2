"""Histories made up by a script, for the reports' tests: what a primary's outage leaves behind, without any world.

The fleet here follows the real one's rules closely enough to be drawn: the first worker with five failures opens, the
others hear of it some milliseconds later, one worker probes, a failed probe doubles the time, a good one closes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random

from flexiai import events as ev
from flexiai.core.circuit import Cause, State
from flexiai.core.outcome import Outcome, Trouble
from harness import history as hs
from harness.scenario import Scenario
from harness.verdict import judge
from harness.workload import arrivals
from reports.view import RunView

OUTAGE = {"at": "15s", "for": "20s", "target": "provider/openai", "inject": "error", "status": 503}
_THRESHOLD = 5
_OPEN_S = 5.0


def a_scenario(instances: int = 3, workers: int = 4, rate: str = "60/s", **changes: object) -> Scenario:
    """The primary's outage, or what `changes` make of it."""
    content: dict[str, object] = {
        "name": "primary-outage",
        "description": "The primary answers 503 for 20 s. Every worker moves to the secondary, no request fails.",
        "duration": "60s",
        "topology": {"instances": instances, "workers": workers},
        "providers": [
            {"name": "openai", "priority": 1, "latency": {"median": "120ms", "p99": "900ms"}},
            {"name": "anthropic", "priority": 2, "latency": {"median": "180ms", "p99": "1.2s"}},
        ],
        "breaker": {"failure_threshold": _THRESHOLD, "reset_timeout": "5s"},
        "load": [{"arrival": "poisson", "rate": rate}],
        "faults": [OUTAGE],
        "expect": ["failed_requests == 0", "sync_latency.p99 < 50ms", "duplicate_attempts <= 60"],
    }
    return Scenario.model_validate({**content, **changes})


@dataclass
class _Fleet:
    """The one circuit of `openai`, and when each worker comes to know of its changes."""

    rng: Random
    workers: list[str]
    out: list[hs.Entry]
    epoch: int = 0
    rounds: int = 0
    due: float = 0.0
    state: dict[str, State] = field(default_factory=dict)
    pending: list[tuple[float, float, str, int, State, Cause, str]] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)

    def settle(self, now: float) -> None:
        """Let every worker hear what has reached it by `now`."""
        for heard in sorted(p for p in self.pending if p[0] <= now):
            self.pending.remove(heard)
            t, seen, worker, epoch, to, cause, origin = heard
            self.out.append(
                ev.RecordApplied(
                    t=t,
                    worker=worker,
                    provider="openai",
                    epoch=epoch,
                    state=to,
                    reason=cause,
                    origin=origin,
                    via="notice",
                    since_ms=round(seen * 1000),
                )
            )
            self._move(worker, to, Cause.SYNC, t)

    def change(self, worker: str, to: State, cause: Cause, now: float) -> None:
        """A worker's own transition, and the news of it to the others."""
        self._move(worker, to, cause, now)
        if to is State.HALF_OPEN:
            return
        reply = now + 0.0008
        self.out.append(ev.ProposalSent(t=now, worker=worker, provider="openai", state=to, base=self.epoch))
        self.epoch += 1
        self.out.append(
            ev.RecordApplied(
                t=reply, worker=worker, provider="openai", epoch=self.epoch, state=to, reason=cause, origin=worker,
                via="reply", accepted=True, since_ms=round(now * 1000),
            )
        )  # fmt: skip
        for other in self.workers:
            if other != worker:
                late = self.rng.lognormvariate(math.log(0.0014), 0.6)
                self.pending.append((reply + late, now, other, self.epoch, to, cause, worker))

    def _move(self, worker: str, to: State, cause: Cause, now: float) -> None:
        frm = self.state.get(worker, State.CLOSED)
        if frm is to:
            return
        self.out.append(
            ev.Transition(
                t=now,
                worker=worker,
                provider="openai",
                frm=frm,
                to=to,
                cause=cause,
                epoch=self.epoch,
                open_for_s=max(0.0, self.due - now) if to is State.OPEN else 0.0,
                failure_count=self.failures.get(worker, 0),
            )
        )
        self.state[worker] = to
        self.failures[worker] = 0


def an_outage(scenario: Scenario, seed: int = 7, *, complete: bool = True) -> hs.History:
    """The history of a run of `scenario`, whose first provider fails from 15 s to 35 s."""
    rng = Random(seed)
    out: list[hs.Entry] = [hs.RunStarted(t=0.0, scenario=scenario.name, mode="sim", seed=seed)]
    fleet = _Fleet(rng, [], out)
    for n, (instance, slot) in enumerate(scenario.topology.places):
        worker = f"host-{instance}:{4000 + n}"
        fleet.workers.append(worker)
        out += [
            hs.WorkerUp(t=-0.9 + n * 1e-3, worker=worker, instance=instance, slot=slot),
            ev.WorkerStarted(t=-0.8, worker=worker, pid=4000 + n, providers=("openai", "anthropic")),
            ev.SyncUp(t=-0.5, worker=worker, reconnects=0),
            ev.WorkerReady(t=-0.5, worker=worker, synced=True),
        ]
    out += _faults(scenario)
    for t, request in arrivals(scenario, seed):
        _request(t, request, rng.choice(fleet.workers), fleet, scenario)
    fleet.settle(math.inf)
    out.append(hs.RunEnded(t=scenario.duration + 1.5, complete=complete))
    return hs.History.of(out)


def _faults(scenario: Scenario) -> list[hs.Entry]:
    out: list[hs.Entry] = []
    for i, fault in enumerate(scenario.faults):
        out.append(hs.FaultInjected(t=fault.at, fault=i, target=fault.target, inject=fault.inject, on=(fault.target,)))
        out.append(hs.FaultEffect(t=fault.at + 1, fault=i, what="requests answered with an error", count=9))
        if not fault.instant:
            out.append(hs.FaultHealed(t=fault.until(scenario.duration), fault=i))
    return out


def _request(t: float, request: str, worker: str, fleet: _Fleet, scenario: Scenario) -> None:
    out, rng = fleet.out, fleet.rng
    fleet.settle(t)
    instance = int(worker.removeprefix("host-").partition(":")[0])
    out.append(hs.RequestSent(t=t, request=request, instance=instance, intended=t))
    out.append(ev.RequestStarted(t=t + 0.001, worker=worker, request=request))
    state, now, attempt = fleet.state.get(worker, State.CLOSED), t + 0.001, 0
    probing = state is State.OPEN and t >= fleet.due and State.HALF_OPEN not in fleet.state.values()
    if probing:
        fleet.change(worker, State.HALF_OPEN, Cause.PROBE_GRANTED, now)
    served = None
    if state is State.CLOSED or probing:
        attempt += 1
        broken = any(f.at <= now < f.until(scenario.duration) for f in scenario.faults if f.target == "provider/openai")
        took = 0.02 * rng.uniform(0.6, 1.6) if broken else rng.lognormvariate(math.log(0.12), 0.87)
        _attempt(fleet, worker, request, attempt, "openai", now, now + took, probing, broken)
        now += took
        _count(fleet, worker, now, probing, broken)
        served = None if broken else "openai"
    if served is None:
        attempt += 1
        took = rng.lognormvariate(math.log(0.18), 0.8)
        skipped = () if attempt > 1 else ("openai",)
        _attempt(fleet, worker, request, attempt, "anthropic", now, now + took, False, False, skipped)
        now, served = now + took, "anthropic"
    out.append(ev.RequestEnded(t=now, worker=worker, request=request, result="ok", attempts=attempt, provider=served))
    out.append(hs.RequestDone(t=now + 0.001, request=request, result="ok", provider=served, status=200))


def _attempt(
    fleet: _Fleet, worker: str, request: str, attempt: int, provider: str, began: float, ended: float,
    probe: bool, broken: bool, skipped: tuple[str, ...] = (),
) -> None:  # fmt: skip
    fleet.out.append(
        ev.AttemptStarted(
            t=began, worker=worker, request=request, attempt=attempt, provider=provider, probe=probe, skipped=skipped
        )
    )
    fleet.out.append(
        ev.AttemptEnded(
            t=ended, worker=worker, request=request, attempt=attempt, provider=provider, probe=probe,
            outcome=Outcome.FAILURE if broken else Outcome.SUCCESS,
            trouble=Trouble.STATUS if broken else None, status=503 if broken else None,
        )
    )  # fmt: skip
    fleet.out.append(
        hs.ProviderServed(
            t=ended, provider=provider, request=request, began=began, result="error" if broken else "ok",
            status=503 if broken else 200, fault=0 if broken else None,
        )
    )  # fmt: skip


def _count(fleet: _Fleet, worker: str, now: float, probing: bool, broken: bool) -> None:
    if probing:
        fleet.rounds += broken
        fleet.due = now + _OPEN_S * 2**fleet.rounds
        to, cause = (State.OPEN, Cause.PROBE_FAILED) if broken else (State.CLOSED, Cause.PROBE_SUCCEEDED)
        fleet.change(worker, to, cause, now)
        return
    fleet.failures[worker] = fleet.failures.get(worker, 0) + 1 if broken else 0
    if fleet.failures[worker] >= _THRESHOLD and fleet.state.get(worker) is not State.OPEN:
        fleet.rounds, fleet.due = 0, now + _OPEN_S
        fleet.change(worker, State.OPEN, Cause.CONSECUTIVE_FAILURES, now)


def replaced(history: hs.History, worker: str, died: float, back: float) -> hs.History:
    """The same run, in which `worker` was killed and another took its place, reading that the circuit is open."""
    old = next(up for up in history.all(hs.WorkerUp) if up.worker == worker)
    new = f"{worker}0"
    kept = [e for e in history.entries if getattr(e, "worker", None) != worker or e.t < died]
    joined = [
        hs.WorkerDown(t=died, worker=worker, how="killed"),
        hs.WorkerUp(t=back, worker=new, instance=old.instance, slot=old.slot, generation=old.generation + 1),
        ev.WorkerStarted(t=back, worker=new, pid=9999, providers=("openai", "anthropic")),
        ev.Transition(
            t=back + 0.01, worker=new, provider="openai", frm=State.CLOSED, to=State.OPEN, cause=Cause.SYNC, epoch=1
        ),
    ]
    return hs.History.of([*kept, *joined])


def frozen(history: hs.History, worker: str, since: float, until: float) -> hs.History:
    """The same run, in which `worker` did not run for a while."""
    pause = [hs.WorkerPaused(t=since, worker=worker), hs.WorkerResumed(t=until, worker=worker)]
    return hs.History.of([*history.entries, *pause])


def all_failed(scenario: Scenario, seed: int = 7) -> hs.History:
    """A run in which no request was answered."""
    out: list[hs.Entry] = [hs.RunStarted(t=0.0, scenario=scenario.name, mode="sim", seed=seed)]
    for t, request in arrivals(scenario, seed):
        out.append(hs.RequestSent(t=t, request=request, instance=1, intended=t))
        out.append(hs.RequestDone(t=t + 0.05, request=request, result="fail", status=503, error="no provider"))
    return hs.History.of([*out, hs.RunEnded(t=scenario.duration)])


def a_view(scenario: Scenario, history: hs.History, seed: int = 7) -> RunView:
    """A run as the reports see it, judged by the real checkers."""
    judgement = judge(scenario, seed, history)
    return RunView(scenario, "sim", seed, history, judgement, {"python": "3.11", "system": "Linux x86_64"})
