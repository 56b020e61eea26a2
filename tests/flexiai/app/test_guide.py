"""What the deployment guide shows, done to the example as the guide does it: its options, its commands, its answers."""

from __future__ import annotations

import http.client
import json
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from uvicorn_process import PATIENCE_S, address_in, listening, read_until, rest_of, uvicorn

from tests.contracts.real_redis import BINARIES, running_redis
from tests.provider_process import ProviderProcess, provider_process

EXAMPLE = Path(__file__).parents[3] / "examples" / "fastapi_multiworker"
# The guide's "Full Configuration" and "Uvicorn Tuning", but for --worker-class, which uvicorn does not have.
OPTIONS = (
    *("--workers", "4", "--timeout-keep-alive", "65", "--limit-concurrency", "1000"),
    *("--limit-max-requests", "10000", "--log-level", "info", "--backlog", "2048"),
)
LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d - (INFO|WARNING|ERROR) - \[Worker:(\d+)\] - (.+)$", re.MULTILINE)
pytestmark = pytest.mark.real


@dataclass
class Deployment:
    """The example with four workers, its Redis and its providers."""

    address: str
    redis_port: int
    openai: ProviderProcess
    anthropic: ProviderProcess
    log: list[str]

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        """The answer to one request, on a connection of its own."""
        connection = http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def chat(self) -> tuple[int, Any]:
        """What `ab -p request.json -T application/json` sends."""
        body = (EXAMPLE / "request.json").read_bytes()
        return self.ask("POST", "/chat/direct", body, **{"Content-Type": "application/json"})

    def seen_by(self, workers: int, path: str, until: Any) -> dict[int, Any]:
        """An answer of each worker that is as it should be; the kernel chooses who answers."""
        seen: dict[int, Any] = {}
        for _ in range(2000):
            told = self.ask("GET", path)[1]
            if until(told):
                seen[told["worker_id"]] = told
            if len(seen) == workers:
                return seen
        raise AssertionError(f"only {sorted(seen)} told that")


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("guide")
    with (
        running_redis(BINARIES[0]) as server,
        provider_process(folder) as openai,
        provider_process(folder, name="anthropic") as anthropic,
        uvicorn(
            EXAMPLE,
            *OPTIONS,
            app="app:app",
            OPENAI_API_KEY="your-openai-key",
            ANTHROPIC_API_KEY="your-anthropic-key",
            OPENAI_BASE_URL=openai.openai_url,
            ANTHROPIC_BASE_URL=anthropic.url,
            REDIS_HOST="localhost",
            REDIS_PORT=str(server.port),
            REDIS_DB="0",
            TMPDIR=str(folder),
        ) as process,
    ):
        told = read_until(process, "Uvicorn running on")
        while told.count("ready to handle requests") < 4:
            told += read_until(process, "ready to handle requests")
        made = Deployment(listening(address_in(told)), server.port, openai, anthropic, [told])
        yield made
        process.send_signal(signal.SIGTERM)
        made.log.append(rest_of(process))
    _the_log_is_the_guides("".join(made.log))


def _the_log_is_the_guides(log: str) -> None:
    """The lines of "Application Logs", after all that the tests did."""
    said = [(level, int(pid), message) for level, pid, message in LINE.findall(log)]
    assert any(m == f"Worker {pid} ready to handle requests" for _, pid, m in said)
    assert any(m == f"Worker {pid} processed request with provider: openai" for _, pid, m in said)
    assert ("WARNING", "Circuit breaker opened for provider: openai") in [(level, m) for level, _, m in said]
    assert "State sync received: openai circuit opened" in [m for _, _, m in said]


def test_health(deployment: Deployment) -> None:
    status, told = deployment.ask("GET", "/health")
    assert (status, told["status"], told["redis_connected"], told["sync_enabled"]) == (200, "healthy", True, True)
    guides = {"name": "openai", "available": True, "circuit_state": "CLOSED", "failure_count": 0}
    assert told["providers"][0].items() >= guides.items()


def test_several_workers_answer(deployment: Deployment) -> None:
    assert len(deployment.seen_by(4, "/health", lambda told: True)) == 4


@pytest.mark.parametrize("path", ["/health/ready", "/health/live"])
def test_probes(deployment: Deployment, path: str) -> None:
    assert deployment.ask("GET", path)[0] == 200


def test_metrics(deployment: Deployment) -> None:
    deployment.chat()
    status, told = deployment.ask("GET", "/metrics")
    assert status == 200
    assert told.keys() >= {"worker_id", "timestamp", "redis_status", "sync_enabled", "circuit_breakers"}
    assert told["redis_status"] == "connected"
    for name in ("openai", "anthropic"):
        assert told["circuit_breakers"][name].keys() >= {"state", "failure_count", "success_count"}


def test_chat_as_ab_and_as_wrk_send_it(deployment: Deployment) -> None:
    script = (EXAMPLE / "post.lua").read_text()
    body = re.search(r"wrk\.body\s*=\s*'(.*)'", script)
    assert body is not None
    assert deployment.chat()[0] == 200
    status, told = deployment.ask("POST", "/chat/direct", body[1].encode(), **{"Content-Type": "application/json"})
    assert (status, told["provider"]) == (200, "openai")


def test_pubsub_has_a_channel_for_each_provider_and_every_worker_on_it(deployment: Deployment) -> None:
    with redis.Redis(port=deployment.redis_port) as client:
        channels = {channel.decode() for channel in client.pubsub_channels("circuit_breaker:*")}
        ((_, subscribers),) = client.pubsub_numsub("circuit_breaker:state:openai")
    assert channels >= {"circuit_breaker:state:openai", "circuit_breaker:state:anthropic"}
    assert subscribers == 4


def test_an_opened_circuit_is_everybodys_and_is_reset_by_hand(deployment: Deployment) -> None:
    deployment.openai.put(1, inject="error", status=500)
    for _ in range(4 * 5):
        status, told = deployment.chat()
        assert (status, told["provider"]) == (200, "anthropic")
    opened = deployment.seen_by(4, "/providers", lambda told: told["providers"][0]["circuit_state"] == "OPEN")
    deployment.openai.heal_all()
    status, _ = deployment.ask("POST", "/providers/openai/reset")
    closed = deployment.seen_by(4, "/providers", lambda told: told["providers"][0]["circuit_state"] == "CLOSED")
    assert (len(opened), status, len(closed)) == (4, 200, 4)
    assert deployment.chat()[1]["provider"] == "openai"
