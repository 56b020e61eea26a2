"""A small builder of histories for tests: what happened, line by line, in the words of the domain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flexiai.core.circuit import Cause, State
from flexiai.core.outcome import Outcome
from flexiai.events import (
    AttemptEnded,
    AttemptStarted,
    RecordApplied,
    RequestEnded,
    RequestStarted,
    SyncDown,
    SyncUp,
    Transition,
    WorkerReady,
    WorkerStarted,
    WorkerStopped,
)
from harness.checkers import CHECKERS, Case, Finding
from harness.history import (
    Entry,
    FaultEffect,
    FaultHealed,
    FaultInjected,
    History,
    RequestDone,
    RequestSent,
    RunEnded,
    RunStarted,
    WorkerDown,
    WorkerPaused,
    WorkerResumed,
    WorkerUp,
)
from harness.scenario import Scenario

C, O, H = State.CLOSED, State.OPEN, State.HALF_OPEN  # noqa: E741 - the three letters keep histories readable
OUTAGE = {"at": "10s", "for": "20s", "target": "provider/a", "inject": "error"}


def scenario(*faults: dict[str, Any], **more: Any) -> Scenario:
    """Two providers, `a` before `b`, three workers, 60 s."""
    return Scenario.model_validate(
        {
            "name": "test",
            "description": "a test",
            "duration": "60s",
            "topology": {"instances": 1, "workers": 3},
            "providers": [{"name": "a", "priority": 1}, {"name": "b", "priority": 2}],
            "breaker": {"failure_threshold": 2, "reset_timeout": "5s"},
            "load": [{"arrival": "poisson", "rate": "10/s"}],
            "faults": list(faults),
            **more,
        }
    )


class Story:
    """Entries in the making. Workers w1, w2, w3 are ready from the start; times are seconds."""

    def __init__(self, *faults: dict[str, Any], workers: Sequence[str] = ("w1", "w2", "w3"), **more: Any) -> None:
        self.scenario = scenario(*faults, **more)
        self.entries: list[Entry] = [RunStarted(t=0.0, scenario="test", mode="sim", seed=1)]
        self.end = 70.0
        self._requests = 0
        for slot, worker in enumerate(workers, 1):
            self.joins(worker, -1.0, slot=slot)

    def add(self, *entries: Entry) -> Story:
        self.entries += entries
        return self

    def joins(self, worker: str, t: float, *, slot: int = 1, generation: int = 0, synced: bool = True) -> Story:
        self.add(
            WorkerUp(t=t, worker=worker, instance=1, slot=slot, generation=generation),
            WorkerStarted(t=t + 0.01, worker=worker, pid=slot, providers=("a", "b")),
        )
        if synced:
            self.up(worker, t + 0.02)
        return self.add(WorkerReady(t=t + 0.03, worker=worker, synced=synced))

    def killed(self, worker: str, t: float) -> Story:
        return self.add(WorkerDown(t=t, worker=worker, how="killed"))

    def stopped(self, worker: str, t: float) -> Story:
        return self.add(WorkerStopped(t=t, worker=worker))

    def paused(self, worker: str, t: float, until: float) -> Story:
        return self.add(WorkerPaused(t=t, worker=worker), WorkerResumed(t=until, worker=worker))

    def up(self, worker: str, t: float) -> Story:
        return self.add(SyncUp(t=t, worker=worker, reconnects=0))

    def down(self, worker: str, t: float, error: str = "gone") -> Story:
        return self.add(SyncDown(t=t, worker=worker, error=error))

    def fault(self, index: int = 0, on: tuple[str, ...] = (), count: int = 10) -> Story:
        """The scenario's fault as it was planned, with evidence."""
        fault = self.scenario.faults[index]
        end = fault.until(self.scenario.duration)
        self.add(
            FaultInjected(t=fault.at, fault=index, target=fault.target, inject=fault.inject, on=on),
            FaultEffect(t=end, fault=index, what="answered 503", count=count),
        )
        return self if fault.instant else self.add(FaultHealed(t=end, fault=index))

    def moves(self, worker: str, t: float, frm: State, to: State, cause: Cause, **more: Any) -> Story:
        fields: dict[str, Any] = {
            "provider": "a",
            "epoch": 0,
            "failure_count": 2,
            "open_for_s": 5.0 if to is O else 0.0,
        }
        return self.add(Transition(t=t, worker=worker, frm=frm, to=to, cause=cause, **{**fields, **more}))

    def opens(self, worker: str, t: float, **more: Any) -> Story:
        return self.moves(worker, t, C, O, Cause.CONSECUTIVE_FAILURES, **more)

    def told(self, worker: str, t: float, epoch: int, state: State = O, **more: Any) -> Story:
        """A record reaches a worker; with `move`, its breaker follows."""
        move: tuple[State, State] | None = more.pop("move", None)
        reason = Cause.CONSECUTIVE_FAILURES if state is O else Cause.PROBE_SUCCEEDED
        fields: dict[str, Any] = {"provider": "a", "reason": reason, "origin": "w1", "via": "notice", "since_ms": epoch}
        record = RecordApplied(t=t, worker=worker, epoch=epoch, state=state, **{**fields, **more})
        self.add(record)
        if move:
            self.moves(worker, t, *move, Cause.SYNC, epoch=epoch, provider=record.provider)
        return self

    def asks(
        self,
        worker: str,
        t: float,
        *attempts: tuple[str, Outcome],
        took: float = 0.1,
        skipped: tuple[str, ...] = (),
        probe: bool = False,
        **more: Any,
    ) -> Story:
        """A whole request, from its sender to its worker and back."""
        self._requests += 1
        request, at = f"r{self._requests}", t
        self.add(RequestSent(t=t, request=request, instance=1, intended=t))
        self.add(RequestStarted(t=t, worker=worker, request=request))
        for n, (provider, outcome) in enumerate(attempts, 1):
            of = {"worker": worker, "request": request, "attempt": n, "provider": provider, "probe": probe and n == 1}
            why: Any = tuple(more.get("skipped_for", ())) if n == 1 else ()
            self.add(AttemptStarted(t=at, skipped=skipped if n == 1 else (), skipped_for=why, **of))
            self.add(AttemptEnded(t=at + took, outcome=outcome, retry_after_s=more.get("retry_after_s"), **of))
            at += took
        end = at + more.get("overhead", 0.0)
        last = attempts[-1] if attempts else None
        result: Any = "failed"
        if last is not None and not last[1].fails_over:
            result = "ok" if last[1] is Outcome.SUCCESS else "rejected"
        provider = last[0] if last is not None and result == "ok" else None
        self.add(RequestEnded(t=end, worker=worker, request=request, result=result, attempts=len(attempts)))
        done = "ok" if result == "ok" else "fail"
        return self.add(RequestDone(t=end, request=request, result=done, provider=provider))

    def streams(
        self,
        worker: str,
        t: float,
        *attempts: tuple[str, Outcome, int],
        got: int | None = None,
        by: str | None = None,
        **more: Any,
    ) -> Story:
        """A request for a stream: (provider, outcome, pieces told) of each attempt, 100 ms each, its first token half-way.

        `got`: pieces that its sender got, and `by` whom it says (None: as the last attempt told).
        """
        self._requests += 1
        request, at = f"r{self._requests}", t
        self.add(RequestSent(t=t, request=request, instance=1, intended=t, stream=True))
        self.add(RequestStarted(t=t, worker=worker, request=request))
        for n, (provider, outcome, chunks) in enumerate(attempts, 1):
            of = {"worker": worker, "request": request, "attempt": n, "provider": provider}
            first = 0.05 if chunks else None
            self.add(AttemptStarted(t=at, **of))
            at += 0.1
            self.add(AttemptEnded(t=at, outcome=outcome, streamed=True, first_token_s=first, chunks=chunks, **of))
        provider, outcome, chunks = attempts[-1]
        ok = outcome is Outcome.SUCCESS
        ended: dict[str, Any] = {
            "result": "ok" if ok else "failed",
            "attempts": len(attempts),
            "streamed": True,
            **more,
        }
        self.add(RequestEnded(t=at, worker=worker, request=request, **ended))
        done = RequestDone(
            t=at,
            request=request,
            result="ok" if ok else "fail",
            provider=by or provider,
            chunks=chunks if got is None else got,
            first_token_s=at - 0.05 - t,
        )
        return self.add(done)

    def serves(self, worker: str, t: float, provider: str = "a", **more: Any) -> Story:
        return self.asks(worker, t, (provider, Outcome.SUCCESS), **more)

    def case(self) -> Case:
        history = History.of([*self.entries, RunEnded(t=self.end)])
        return Case(self.scenario, 1, history)

    def check(self, id: str) -> Finding:
        """What one checker finds."""
        (checker,) = (c for c in CHECKERS if c.id == id)
        return checker.check(self.case())
