"""Traces of OpenTelemetry: a span for each request, and within it one for each attempt.

Rules
-----
* A listener like any other: the client knows nothing of it, and without OpenTelemetry nothing of it is imported.
* Spans go to the tracer provider that the deployment has set up (`opentelemetry-instrument`, or code of its own). Where
  it has set up none they cost little and go nowhere.
* A request's span is a child of whatever span is current where the request was made: in the app FastAPI's own, which
  goes on with the caller's trace.
* A span says what the events say: no message's content, no key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flexiai.errors import ConfigurationError
from flexiai.events import AttemptEnded, AttemptStarted, Event, RequestEnded, RequestStarted

if TYPE_CHECKING:
    from opentelemetry.trace import Span, TracerProvider


def traces(provider: TracerProvider | None = None) -> TraceListener:
    """A listener that makes spans with `provider` (None: the one set up for the process).

    ConfigurationError if OpenTelemetry is not installed.
    """
    try:
        import opentelemetry.trace  # noqa: PLC0415, F401 - an optional extra
    except ImportError:
        raise ConfigurationError("traces need OpenTelemetry: pip install 'flexiai[otel]'") from None
    return TraceListener(provider)


class TraceListener:
    """A listener that makes spans. See `traces`."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        from opentelemetry import trace  # noqa: PLC0415 - an optional extra

        self._otel = trace
        self._tracer = trace.get_tracer("flexiai", tracer_provider=provider)
        self._requests: dict[str, list[Span]] = {}
        self._attempts: dict[str, list[Span]] = {}
        self._trace: Mapping[type[Event], Callable[[Any], None]] = {
            RequestStarted: self._request_started,
            RequestEnded: self._request_ended,
            AttemptStarted: self._attempt_started,
            AttemptEnded: self._attempt_ended,
        }

    def __call__(self, event: Event) -> None:
        """Begin or end a span, if `event` does."""
        trace = self._trace.get(type(event))
        if trace is not None:
            trace(event)

    def _request_started(self, event: RequestStarted) -> None:
        span = self._tracer.start_span(
            "flexiai.request",
            kind=self._otel.SpanKind.INTERNAL,
            attributes={"flexiai.request_id": event.request, "flexiai.worker": event.worker},
        )
        self._requests.setdefault(event.request, []).append(span)

    def _request_ended(self, event: RequestEnded) -> None:
        span = _taken(self._requests, event.request)
        if span is None:
            return
        span.set_attributes({"flexiai.result": event.result, "flexiai.attempts": event.attempts})
        if event.provider is not None:
            span.set_attribute("flexiai.provider", event.provider)
        if event.streamed:
            span.set_attribute("flexiai.streamed", True)
        self._end(span, event.error if event.result == "failed" else None)

    def _attempt_started(self, event: AttemptStarted) -> None:
        requests = self._requests.get(event.request)
        within = self._otel.set_span_in_context(requests[-1]) if requests else None
        span = self._tracer.start_span(
            f"flexiai.attempt {event.provider}",
            context=within,
            kind=self._otel.SpanKind.CLIENT,
            attributes={
                "flexiai.provider": event.provider,
                "flexiai.attempt": event.attempt,
                "flexiai.probe": event.probe,
                "flexiai.skipped": list(event.skipped),
            },
        )
        self._attempts.setdefault(event.request, []).append(span)

    def _attempt_ended(self, event: AttemptEnded) -> None:
        span = _taken(self._attempts, event.request)
        if span is None:
            return
        span.set_attributes({"flexiai.outcome": event.outcome.value, "flexiai.counted": event.counted})
        if event.status is not None:
            span.set_attribute("http.response.status_code", event.status)
        if event.first_token_s is not None:
            span.set_attribute("flexiai.first_token_s", event.first_token_s)
        self._end(span, str(event.trouble) if event.outcome.fails_over else None)

    def _end(self, span: Span, error: str | None) -> None:
        if error is not None:
            span.set_status(self._otel.StatusCode.ERROR, error)
        span.end()


def _taken(spans: dict[str, list[Span]], request: str) -> Span | None:
    under_way = spans.get(request)
    if not under_way:
        return None
    span = under_way.pop()
    if not under_way:
        del spans[request]
    return span
