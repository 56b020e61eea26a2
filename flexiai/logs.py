"""The operator's log of a worker: what happened, one line each, in the deployment guide's words.

Rules
-----
* A transition is logged where it was decided ("Circuit breaker opened …", a warning); the other workers log that they
  were told ("State sync received: …").
* What a request costs a provider is logged once: the failed attempt, not the record that came of it.
* In the format `json` each line is an object with `time`, `level`, `logger`, `worker` and `message`, and the `event` it
  tells of, so that nobody need take the message apart.
* The logger is `flexiai`. Where the deployment configured logging, its handlers and format are used; else lines go
  to stderr in the format asked for, the guide's by default. The server's own loggers are left alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from flexiai.core.circuit import Cause, State
from flexiai.decisions import Decisions
from flexiai.events import (
    AttemptEnded,
    Event,
    ListenerRestarted,
    OperatorActed,
    ProbeLease,
    RecordApplied,
    RecordRestored,
    RequestEnded,
    SyncDown,
    SyncUp,
    Transition,
    WorkerReady,
    WorkerStopped,
)

FORMAT = "%(asctime)s - %(levelname)s - [Worker:%(process)d] - %(message)s"
DATE_FORMAT = "%Y-%m-%d %H:%M:%S"

_WORDS = {State.CLOSED: "closed", State.OPEN: "opened", State.HALF_OPEN: "half-opened"}

log = logging.getLogger("flexiai")


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON. A server's own loggers can be given it too (uvicorn: `--log-config`)."""

    def format(self, record: logging.LogRecord) -> str:
        """The line that tells of `record`."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "worker": record.process,
            "message": record.getMessage(),
        }
        if isinstance(event := getattr(record, "event", None), Event):
            line["event"] = event
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def configure_logging(level: str, format: Literal["guide", "json"] = "guide") -> None:
    """Log at `level` and above; to stderr in `format` unless somebody configured logging already."""
    log.setLevel(level.upper())
    if not log.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(JsonFormatter() if format == "json" else logging.Formatter(FORMAT, DATE_FORMAT))
        log.addHandler(handler)


class LogListener:
    """A listener that logs. `pid` is how the lines call this worker."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._decisions = Decisions()
        self._tell: Mapping[type[Event], Callable[[Any], None]] = {
            WorkerReady: self._ready,
            WorkerStopped: self._stopped,
            RequestEnded: self._request_ended,
            AttemptEnded: self._attempt_ended,
            Transition: self._transition,
            OperatorActed: self._operator_acted,
            RecordApplied: self._record_applied,
            RecordRestored: self._record_restored,
            SyncUp: self._sync_up,
            SyncDown: self._sync_down,
            ListenerRestarted: self._listener_restarted,
            ProbeLease: self._probe_lease,
        }

    def __call__(self, event: Event) -> None:
        """Log `event`, if it is of interest to an operator."""
        tell = self._tell.get(type(event))
        if tell is not None:
            tell(event)

    def _ready(self, event: WorkerReady) -> None:
        _say(logging.INFO, event, "Worker %d ready to handle requests", self._pid)
        if not event.synced:
            _say(
                logging.WARNING,
                event,
                "Worker %d starts without the fleet's view: Redis did not answer; it joins later",
                self._pid,
            )

    def _stopped(self, event: WorkerStopped) -> None:
        _say(logging.INFO, event, "Worker %d stopped", self._pid)

    def _request_ended(self, event: RequestEnded) -> None:
        match event.result:
            case "ok":
                _say(logging.INFO, event, "Worker %d processed request with provider: %s", self._pid, event.provider)
            case "failed":
                _say(
                    logging.ERROR,
                    event,
                    "Worker %d could not serve request %s: %s",
                    self._pid,
                    event.request,
                    event.error,
                )
            case "rejected":
                _say(
                    logging.INFO,
                    event,
                    "Provider %s rejected request %s: %s",
                    event.provider,
                    event.request,
                    event.error,
                )
            case "cancelled":
                _say(logging.INFO, event, "Request %s ended before its answer: the caller went away", event.request)

    def _attempt_ended(self, event: AttemptEnded) -> None:
        if event.outcome.fails_over:
            why = f"status {event.status}" if event.status is not None else event.trouble
            _say(
                logging.WARNING,
                event,
                "Provider %s failed request %s: %s (%s)",
                event.provider,
                event.request,
                event.outcome,
                why,
            )

    def _transition(self, event: Transition) -> None:
        cause = self._decisions.cause_of(event)
        if cause is Cause.SYNC:
            return  # told by the record that caused it
        level = logging.WARNING if event.to is State.OPEN else logging.INFO
        _say(level, event, "Circuit breaker %s for provider: %s", _WORDS[event.to], event.provider)
        if event.to is State.OPEN:
            _say(
                logging.INFO,
                event,
                "Provider %s is left alone for %.1f s (%s)",
                event.provider,
                event.open_for_s,
                cause,
            )

    def _operator_acted(self, event: OperatorActed) -> None:
        how_long = f" for {event.for_s:g} s" if event.for_s else ""
        why = event.note or "no reason given"
        _say(logging.WARNING, event, "Operator: %s provider %s%s (%s)", event.action, event.provider, how_long, why)

    def _record_applied(self, event: RecordApplied) -> None:
        if self._decisions.is_own(event):
            return
        _say(logging.INFO, event, "State sync received: %s circuit %s", event.provider, _WORDS[event.state])
        if event.held_s:
            held = (event.provider, event.mode, event.held_s, event.note or "no reason given")
            _say(logging.WARNING, event, "Operator holds %s (%s) for another %.1f s (%s)", *held)

    def _record_restored(self, event: RecordRestored) -> None:
        _say(
            logging.WARNING,
            event,
            "Redis had lost the circuit of %s: restored as epoch %d",
            event.provider,
            event.epoch,
        )

    def _sync_up(self, event: SyncUp) -> None:
        _say(logging.INFO, event, "State sync %s Redis", "reconnected to" if event.reconnects else "connected to")

    def _sync_down(self, event: SyncDown) -> None:
        _say(logging.WARNING, event, "Failed to connect to Redis: %s", event.error)

    def _listener_restarted(self, event: ListenerRestarted) -> None:
        _say(logging.ERROR, event, "State sync listener died and was restarted: %s", event.error)

    def _probe_lease(self, event: ProbeLease) -> None:
        _say(logging.DEBUG, event, "Probe of %s: lease %s", event.provider, event.action)


def _say(level: int, event: Event, message: str, *arguments: object) -> None:
    log.log(level, message, *arguments, extra={"event": event})
