"""What happened, in words: one sentence for each kind of entry of a history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flexiai.core.circuit import Cause
from flexiai.events import (
    AttemptEnded,
    AttemptStarted,
    EvidenceHeard,
    EvidenceSent,
    NoticeIgnored,
    OperatorActed,
    ProbeLease,
    ProposalFailed,
    ProposalSent,
    RecordApplied,
    RecordRestored,
    RequestEnded,
    RequestStarted,
    SyncDown,
    SyncUp,
    Transition,
    WorkerReady,
    WorkerStarted,
)
from harness.history import (
    Entry,
    FaultEffect,
    FaultHealed,
    FaultInjected,
    RedisDown,
    RedisUp,
    RequestDone,
    RequestSent,
    WorkerDown,
    WorkerPaused,
    WorkerResumed,
    WorkerTrouble,
)

_VIA = {"notice": "a notice", "read": "reading the store", "reply": "the store's answer to its own proposal"}
_BECAUSE = {
    Cause.CONSECUTIVE_FAILURES: "after failures in a row",
    Cause.FAILURE_RATE: "for its rate of failures",
    Cause.SLOW_RATE: "for its share of slow calls",
    Cause.RETRY_AFTER: "because it asked to be left alone",
    Cause.MISCONFIGURED: "because it refused our credentials",
    Cause.PROBE_GRANTED: "to probe it",
    Cause.PROBE_SUCCEEDED: "because a probe succeeded",
    Cause.PROBE_FAILED: "because a probe failed",
    Cause.PROBE_ABANDONED: "because the right to probe was gone",
    Cause.RESET: "because an operator said so",
    Cause.SYNC: "because the fleet had",
}
_LEASE = {
    "won": "won the right to probe",
    "denied": "was denied the right to probe",
    "released": "gave back the right to probe",
    "lost": "lost the right to probe",
    "alone": "set out to probe without asking the store:",
}


def told(entry: Entry) -> str:
    """The entry as a sentence, without its time."""
    words = _WORDS.get(type(entry))
    return words(entry) if words is not None else f"{type(entry).__name__} {entry!r}"


def _attempted(e: AttemptStarted) -> str:
    how = "probes" if e.probe else "asks"
    passing = f", passing over {', '.join(e.skipped)}" if e.skipped else ""
    return f"{e.worker} {how} {e.provider} (request {e.request}, attempt {e.attempt}){passing}"


def _attempt_ended(e: AttemptEnded) -> str:
    status = f" {e.status}" if e.status is not None else ""
    why = f" ({e.trouble.value}{status})" if e.trouble is not None else ""
    dropped = "" if e.counted else ", which is not counted: it began in an earlier life of the breaker"
    return f"{e.worker} has {e.outcome.value} from {e.provider}{why}, request {e.request}{dropped}"


def _request_ended(e: RequestEnded) -> str:
    return f"request {e.request} ends on {e.worker}: {e.result} after {e.attempts} attempts{_said(e.error)}"


def _changed(e: Transition) -> str:
    lasting = f", for {e.open_for_s:.3g} s" if e.open_for_s else ""
    because = _BECAUSE.get(e.cause, f"because of {e.cause.value}")
    return f"{e.worker} turns {e.provider} from {e.frm} to {e.to} {because}{lasting}"


def _applied(e: RecordApplied) -> str:
    whose = "its own" if e.origin == e.worker else f"{e.origin}'s"
    return f"{e.worker} learns from {_VIA.get(e.via, e.via)} {whose} epoch {e.epoch}: {e.provider} is {e.state}"


def _said(error: str | None) -> str:
    return f": {error}" if error else ""


def _effect(e: FaultEffect) -> str:
    return f"fault {e.fault + 1} has had an effect: {e.what} ({e.count})"


_WORDS: dict[type, Callable[[Any], str]] = {
    FaultInjected: lambda e: f"fault {e.fault + 1} begins: {e.inject} of {e.target}, on {', '.join(e.on) or 'nobody'}",
    FaultHealed: lambda e: f"fault {e.fault + 1} is over",
    FaultEffect: _effect,
    RequestSent: lambda e: f"request {e.request} is sent to instance {e.instance}",
    RequestStarted: lambda e: f"{e.worker} takes request {e.request}",
    AttemptStarted: _attempted,
    AttemptEnded: _attempt_ended,
    RequestEnded: _request_ended,
    RequestDone: lambda e: f"the sender of {e.request} has {e.result}{_said(e.error)}",
    Transition: _changed,
    ProbeLease: lambda e: f"{e.worker} {_LEASE.get(e.action, e.action)} {e.provider}",
    ProposalSent: lambda e: f"{e.worker} tells the store that {e.provider} is {e.state} (on epoch {e.base})",
    ProposalFailed: lambda e: f"{e.worker} cannot tell the store of {e.provider}{_said(e.error)}",
    EvidenceSent: lambda e: f"{e.worker} tells the store of {e.failures} failures of {e.provider} (on epoch {e.base})",
    EvidenceHeard: lambda e: f"{e.worker} hears of {e.failures} failures of {e.provider}, of {e.workers} workers",
    OperatorActed: lambda e: f"{e.worker} is told by an operator to {e.action} {e.provider}",
    RecordApplied: _applied,
    NoticeIgnored: lambda e: f"{e.worker} ignores {e.provider}'s epoch {e.epoch}: it knows {e.known}",
    RecordRestored: lambda e: f"{e.worker} writes {e.provider}'s epoch {e.epoch} back to a store that had lost it",
    SyncUp: lambda e: f"{e.worker} hears the fleet ({e.reconnects} reconnects so far)",
    SyncDown: lambda e: f"{e.worker} no longer hears the fleet{_said(e.error)}",
    WorkerStarted: lambda e: f"{e.worker} begins",
    WorkerReady: lambda e: f"{e.worker} is ready, {'with' if e.synced else 'without'} the fleet's view",
    WorkerDown: lambda e: f"{e.worker} is gone ({e.how})",
    WorkerPaused: lambda e: f"{e.worker} is frozen",
    WorkerResumed: lambda e: f"{e.worker} runs again",
    WorkerTrouble: lambda e: f"{e.worker} has an exception that nobody observes{_said(e.error)}",
    RedisDown: lambda e: f"Redis is {e.how}",
    RedisUp: lambda e: f"Redis answers again{', empty' if e.empty else ''}",
}
