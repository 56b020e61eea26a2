"""Spans, as OpenTelemetry's SDK collects them."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Sequence
from typing import Any

import pytest
from client_parts import HELLO, Scripted, Speaking, fleet, forever, status
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from flexiai.client import AsyncFlexiAI
from flexiai.core.outcome import Outcome
from flexiai.errors import ConfigurationError, FlexiAIError
from flexiai.events import AttemptEnded, RequestEnded
from flexiai.tracing import TraceListener, traces

SECRET_WORDS = "the caller's own words"


class Collected:
    """A tracer provider of its own, and what it collected."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._spans))

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self._spans.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def request(self) -> ReadableSpan:
        (span,) = self.named("flexiai.request")
        return span


def told(span: ReadableSpan) -> dict[str, Any]:
    return {name.removeprefix("flexiai."): value for name, value in (span.attributes or {}).items()}


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def client(collected: Collected, *scripts: list[Any], kind: type[Scripted] = Scripted) -> AsyncFlexiAI:
    return fleet(*scripts, listeners=[traces(collected.provider)], kind=kind).client


def asked(collected: Collected, *scripts: list[Any], stream: bool = False, **more: Any) -> None:
    """One request over providers `a`, `b` with these scripts, whatever becomes of it."""

    async def run() -> None:
        async with client(collected, *scripts, kind=Speaking if stream else Scripted) as made:
            try:
                answer: Any = await made.chat.completions.create(
                    messages=HELLO, stream=stream, request_id="r-1", **more
                )
                if stream:
                    async for _ in answer:
                        pass
            except FlexiAIError:
                pass

    asyncio.run(run())


def test_a_request_is_a_span_and_each_attempt_one_within_it() -> None:
    collected = Collected()
    asked(collected, [status(503)], [])
    request = collected.request()
    assert told(request).items() >= {"request_id": "r-1", "result": "ok", "attempts": 2, "provider": "b"}.items()
    assert request.status.status_code is StatusCode.UNSET
    (failed,), (answered,) = collected.named("flexiai.attempt a"), collected.named("flexiai.attempt b")
    for attempt in (failed, answered):
        assert attempt.context is not None
        assert request.context is not None
        assert parent_of(attempt) == request.context.span_id
        assert request.start_time <= attempt.start_time <= attempt.end_time <= request.end_time  # type: ignore[operator] # they ended
    assert failed.status.status_code is StatusCode.ERROR
    assert told(failed).items() >= {"outcome": "failure", "http.response.status_code": 503, "attempt": 1}.items()
    assert told(answered).items() >= {"outcome": "success", "provider": "b", "probe": False, "attempt": 2}.items()


def test_a_request_that_nobody_answered_is_an_error() -> None:
    collected = Collected()
    asked(collected, [status(503)])
    assert collected.request().status.status_code is StatusCode.ERROR
    assert told(collected.request())["result"] == "failed"


def test_the_callers_own_error_is_none_of_the_services() -> None:
    collected = Collected()
    asked(collected, [status(400)])
    assert {span.status.status_code for span in collected.spans} == {StatusCode.UNSET}
    assert told(collected.request())["result"] == "rejected"


def test_a_stream_tells_its_first_token() -> None:
    collected = Collected()
    asked(collected, [], stream=True)
    (attempt,) = collected.named("flexiai.attempt a")
    assert told(attempt)["first_token_s"] >= 0
    assert told(collected.request())["streamed"] is True


def test_a_caller_that_leaves_ends_its_spans() -> None:
    async def run() -> None:
        async with client(collected, [forever]) as made:
            asking = asyncio.create_task(made.chat.completions.create(messages=HELLO))
            await asyncio.sleep(0.01)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    collected = Collected()
    asyncio.run(run())
    assert told(collected.request())["result"] == "cancelled"
    assert [told(span)["outcome"] for span in collected.named("flexiai.attempt a")] == ["neutral"]


def test_the_request_goes_on_with_the_trace_in_which_it_was_made() -> None:
    async def run() -> None:
        async with client(collected, []) as made:
            with collected.provider.get_tracer("outer").start_as_current_span("outer"):
                await made.chat.completions.create(messages=HELLO)

    collected = Collected()
    asyncio.run(run())
    (outer,) = collected.named("outer")
    assert outer.context is not None
    assert parent_of(collected.request()) == outer.context.span_id


def test_no_span_tells_what_was_said() -> None:
    collected = Collected()
    asked(collected, [], temperature=0.5, user=SECRET_WORDS)
    shown = " ".join(span.to_json() for span in collected.spans)
    assert SECRET_WORDS not in shown
    assert "hello" not in shown


def test_ends_without_a_begin_are_no_matter() -> None:
    listener = TraceListener(Collected().provider)
    listener(AttemptEnded(t=1, worker="w", request="r", attempt=1, provider="a", outcome=Outcome.SUCCESS))
    listener(RequestEnded(t=1, worker="w", request="r", result="ok", attempts=1))


def test_without_opentelemetry_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str, *more: Any, **named: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ImportError(name)
        return real(name, *more, **named)

    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ConfigurationError, match=r"pip install 'flexiai\[otel\]'"):
        traces()
