"""The operator's log."""

from __future__ import annotations

import io
import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import msgspec
import pytest

from flexiai.core.circuit import Cause, State
from flexiai.core.outcome import Outcome, Trouble
from flexiai.events import (
    AttemptEnded,
    Event,
    ListenerRestarted,
    ProbeLease,
    RecordApplied,
    RecordRestored,
    RequestEnded,
    RequestStarted,
    SyncDown,
    SyncUp,
    Transition,
    WorkerReady,
    WorkerStopped,
)
from flexiai.logs import JsonFormatter, LogListener, configure_logging, log


def told(caplog: pytest.LogCaptureFixture, event: Event) -> list[tuple[str, str]]:
    with caplog.at_level(logging.DEBUG, "flexiai"):
        LogListener(12345)(event)
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def transition(to: State, cause: Cause) -> Transition:
    return Transition(t=1, worker="w", provider="openai", frm=State.CLOSED, to=to, cause=cause, epoch=0, open_for_s=30)


def ended(result: str, **more: object) -> Event:
    return RequestEnded(t=1, worker="w", request="r-1", result=result, attempts=1, **more)  # type: ignore[arg-type] # built by name


def applied(state: State, accepted: bool) -> RecordApplied:
    return RecordApplied(
        t=1,
        worker="w",
        provider="openai",
        epoch=1,
        state=state,
        reason=Cause.START,
        origin="o",
        via="notice",
        accepted=accepted,
    )


@pytest.mark.parametrize(
    ("event", "lines"),
    [
        (WorkerReady(t=1, worker="w", synced=True), [("INFO", "Worker 12345 ready to handle requests")]),
        (ended("ok", provider="openai"), [("INFO", "Worker 12345 processed request with provider: openai")]),
        (applied(State.OPEN, False), [("INFO", "State sync received: openai circuit opened")]),
        (applied(State.CLOSED, False), [("INFO", "State sync received: openai circuit closed")]),
        (transition(State.CLOSED, Cause.PROBE_SUCCEEDED), [("INFO", "Circuit breaker closed for provider: openai")]),
    ],
)
def test_the_guides_lines_are_logged_word_for_word(
    caplog: pytest.LogCaptureFixture, event: Event, lines: list[tuple[str, str]]
) -> None:
    assert told(caplog, event) == lines


def test_an_opening_is_a_warning_and_then_says_why_and_for_how_long(caplog: pytest.LogCaptureFixture) -> None:
    opening, why = told(caplog, transition(State.OPEN, Cause.CONSECUTIVE_FAILURES))
    assert opening == ("WARNING", "Circuit breaker opened for provider: openai")
    assert why == ("INFO", "Provider openai is left alone for 30.0 s (consecutive_failures)")


def test_an_opening_upon_our_own_report_to_the_fleet_is_our_decision(caplog: pytest.LogCaptureFixture) -> None:
    listener = LogListener(12345)
    with caplog.at_level(logging.DEBUG, "flexiai"):
        listener(applied(State.OPEN, True))
        listener(transition(State.OPEN, Cause.SYNC))
        listener(applied(State.CLOSED, False))
        listener(transition(State.CLOSED, Cause.SYNC))
    assert [record.getMessage() for record in caplog.records] == [
        "Circuit breaker opened for provider: openai",
        "Provider openai is left alone for 30.0 s (start)",
        "State sync received: openai circuit closed",
    ]


@pytest.mark.parametrize(
    "event",
    [
        transition(State.OPEN, Cause.SYNC),  # the record that caused it is logged
        applied(State.OPEN, True),  # our own transition is logged
        RequestStarted(t=1, worker="w", request="r"),
        AttemptEnded(t=1, worker="w", request="r", attempt=1, provider="p", outcome=Outcome.SUCCESS),
        AttemptEnded(
            t=1, worker="w", request="r", attempt=1, provider="p", outcome=Outcome.NEUTRAL, trouble=Trouble.CANCELLED
        ),
    ],
)
def test_what_is_logged_elsewhere_or_is_no_news_is_not_logged(caplog: pytest.LogCaptureFixture, event: Event) -> None:
    assert told(caplog, event) == []


def failing(**more: object) -> AttemptEnded:
    return AttemptEnded(t=1, worker="w", request="r-1", attempt=1, provider="openai", outcome=Outcome.FAILURE, **more)  # type: ignore[arg-type] # built by name


@pytest.mark.parametrize(
    ("event", "level", "words"),
    [
        (WorkerReady(t=1, worker="w", synced=False), "WARNING", "without the fleet's view"),
        (WorkerStopped(t=1, worker="w"), "INFO", "Worker 12345 stopped"),
        (ended("failed", error="nobody"), "ERROR", "r-1: nobody"),
        (ended("rejected", provider="openai", error="bad"), "INFO", "openai rejected request r-1: bad"),
        (ended("cancelled"), "INFO", "caller went away"),
        (failing(status=503, trouble=Trouble.STATUS), "WARNING", "status 503"),
        (failing(trouble=Trouble.TIMEOUT), "WARNING", "timeout"),
        (SyncUp(t=1, worker="w", reconnects=0), "INFO", "connected to Redis"),
        (SyncUp(t=1, worker="w", reconnects=2), "INFO", "reconnected to Redis"),
        (
            SyncDown(t=1, worker="w", error="Connection refused"),
            "WARNING",
            "Failed to connect to Redis: Connection refused",
        ),
        (RecordRestored(t=1, worker="w", provider="openai", epoch=4), "WARNING", "epoch 4"),
        (ListenerRestarted(t=1, worker="w", error="ValueError"), "ERROR", "ValueError"),
        (ProbeLease(t=1, worker="w", provider="openai", action="won"), "DEBUG", "lease won"),
    ],
)
def test_what_an_operator_should_know_is_logged(
    caplog: pytest.LogCaptureFixture, event: Event, level: str, words: str
) -> None:
    said_at, message = told(caplog, event)[-1]
    assert said_at == level
    assert words in message


@contextmanager
def nobody_configured_logging() -> Iterator[logging.Logger]:
    """Neither the root logger nor ours has a handler (pytest's own is taken away for a while)."""
    root = logging.getLogger()
    kept = root.handlers[:], log.handlers[:], log.level
    root.handlers[:], log.handlers[:] = [], []
    try:
        yield root
    finally:
        root.handlers[:], log.handlers[:] = kept[0], kept[1]
        log.setLevel(kept[2])


def test_lines_go_to_stderr_in_the_guides_format(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    with nobody_configured_logging():
        configure_logging("info")
        configure_logging("info")
        log.info("Worker %d ready to handle requests", 7)
        log.debug("unheard")
    line = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d - INFO - \[Worker:\d+\] - Worker 7 ready to handle requests\n"
    assert re.fullmatch(line, stderr.getvalue())


def test_a_deployments_own_logging_is_left_alone() -> None:
    with nobody_configured_logging() as root:
        root.addHandler(logging.StreamHandler(io.StringIO()))
        configure_logging("warning")
        assert log.handlers == []
        assert log.level == logging.WARNING


def test_a_line_of_json_holds_the_event_it_tells_of() -> None:
    event = ended("ok", provider="openai")
    with logged_as_json() as lines:
        LogListener(12345)(event)
        log.warning("plain %s", "words")
    first, second = (json.loads(line) for line in lines.getvalue().splitlines())
    assert first["level"] == "INFO"
    assert first["worker"] == os.getpid()
    assert first["logger"] == "flexiai"
    assert datetime.fromisoformat(first["time"]).utcoffset() is not None
    assert first["message"] == "Worker 12345 processed request with provider: openai"
    assert first["event"] == msgspec.to_builtins(event)
    assert (second["message"], "event" in second) == ("plain words", False)


def test_an_exception_is_one_line_of_json_too() -> None:
    with logged_as_json() as lines:
        try:
            raise RuntimeError("two\nlines")
        except RuntimeError:
            log.exception("it broke")
    (line,) = lines.getvalue().splitlines()
    assert "RuntimeError: two\nlines" in json.loads(line)["exception"]


@contextmanager
def logged_as_json() -> Iterator[io.StringIO]:
    """What the logger writes with the JSON format."""
    lines, handler = io.StringIO(), logging.StreamHandler()
    handler.setStream(lines)
    handler.setFormatter(JsonFormatter())
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        yield lines
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
