"""One chat request of a caller with a trace of its own; prints the spans. A process's tracer provider is set but once."""

from __future__ import annotations

import asyncio
import json

from asgi_driver import ask, started
from fleets import Answers, Fails, service
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)


async def main() -> None:
    fleet = {"first": Fails("first", 503), "second": Answers("second")}
    async with started(service(fleet, traces=True)) as app:
        headers = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
        await ask(app, "POST", "/chat/direct", {"message": "hi"}, headers=headers)


asyncio.run(main())
for span in spans.get_finished_spans():
    told = json.loads(span.to_json(indent=None))
    print(
        json.dumps(
            {
                "name": told["name"],
                "trace": told["context"]["trace_id"],
                "id": told["context"]["span_id"],
                "parent": told["parent_id"],
            }
        )
    )
