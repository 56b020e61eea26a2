"""Traces of the service: its callers' go on in it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from asgi_driver import StartRefused, started
from fleets import Answers, service

from flexiai.errors import ConfigurationError

HERE = Path(__file__).parent
PATIENCE_S = 60


def test_a_callers_trace_goes_on_through_the_request_to_each_attempt() -> None:
    command = [sys.executable, "traced_request.py"]
    told = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout
    spans = [json.loads(line) for line in told.splitlines()]
    (request,) = (span for span in spans if span["name"] == "flexiai.request")
    attempts = [span for span in spans if span["name"].startswith("flexiai.attempt ")]
    assert [span["name"] for span in attempts] == ["flexiai.attempt first", "flexiai.attempt second"]
    assert {span["parent"] for span in attempts} == {request["id"]}
    assert {span["trace"] for span in spans} == {"0x0af7651916cd43dd8448eb211c80319c"}
    assert request["parent"] is not None


def test_a_start_with_traces_but_without_opentelemetry_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ConfigurationError("traces need OpenTelemetry: pip install 'flexiai[otel]'")

    async def start() -> None:
        async with started(service({"openai": Answers("openai")}, traces=True)):
            raise AssertionError("it started")

    monkeypatch.setattr("flexiai.app.worker.traces", missing)
    with pytest.raises(StartRefused, match=r"FlexiAI cannot start: traces need OpenTelemetry"):
        asyncio.run(start())
