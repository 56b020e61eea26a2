"""A worker's end in good order, with uvicorn's real processes and signals."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from uvicorn_process import PATIENCE_S, address_in, listening, read_until, rest_of, uvicorn

from tests.contracts.real_redis import BINARIES, running_redis
from tests.provider_process import provider_process

HERE = Path(__file__).parent
BODY = {"model": "flexiai", "messages": [{"role": "user", "content": "hi"}]}
pytestmark = pytest.mark.real


class Streaming:
    """A stream under way: its first piece is here."""

    def __init__(self, address: str) -> None:
        self._connection = connection_to(address)
        self._connection.request("POST", "/v1/chat/completions", json.dumps(BODY | {"stream": True}))
        self._answer = self._connection.getresponse()
        assert b"first" in self._answer.readline()

    def rest(self) -> str:
        """All that still comes."""
        try:
            return self._answer.read().decode()
        finally:
            self._connection.close()


def connection_to(address: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE_S)


def asked(address: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    connection = connection_to(address)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


@contextmanager
def gated(folder: Path, *arguments: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str, Path]]:
    """The service, ready: its process, its address, and the gate that lets a stream end once it exists."""
    gate = folder / "gate"
    with uvicorn(
        HERE, *arguments, app="gated_service:app", GATE=str(gate), JOURNAL=str(folder), **variables
    ) as process:
        told = read_until(process, "Uvicorn running on")
        yield process, listening(address_in(told)), gate


def journal(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in folder.glob("*.jsonl") for line in file.read_text().splitlines()]


@pytest.mark.parametrize("arguments", [(), ("--workers", "2")])
def test_a_stream_under_way_when_sigterm_comes_is_told_to_its_end(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with gated(tmp_path, *arguments) as (process, address, gate):
        stream = Streaming(address)
        process.send_signal(signal.SIGTERM)
        read_until(process, "Waiting for connections to close")
        gate.touch()
        rest = stream.rest()
        rest_of(process)
    assert "rest" in rest
    assert rest.endswith("data: [DONE]\n\n")
    ended = [event for event in journal(tmp_path) if event["kind"] == "request.ended"]
    assert [(event["result"], event["provider"]) for event in ended] == [("ok", "p")]
    stops = sum(event["kind"] == "worker.stopped" for event in journal(tmp_path))
    assert stops == sum(event["kind"] == "worker.started" for event in journal(tmp_path))


def test_what_does_not_end_in_time_is_cut_short_and_says_so(tmp_path: Path) -> None:
    with gated(tmp_path, GRACE_S="0.2") as (process, address, _):
        stream = Streaming(address)
        process.send_signal(signal.SIGTERM)
        rest = stream.rest()
        told = rest_of(process)
    assert json.loads(rest.strip().removeprefix("data: "))["error"]["code"] == "not_serving"
    assert "1 requests were not done in time and are cut short" in told
    assert journal(tmp_path)[-1]["kind"] == "worker.stopped"


@pytest.mark.parametrize("arguments", [(), ("--workers", "2")])
def test_a_caller_that_takes_nothing_keeps_no_worker_from_its_end(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    body = json.dumps(BODY | {"stream": True}).encode()
    with gated(tmp_path, *arguments, GRACE_S="0.1", FLOOD="1") as (process, address, _), socket.socket() as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        place = urlsplit(address)
        caller.connect((place.hostname, place.port))
        caller.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        assert caller.recv(12) == b"HTTP/1.1 200"
        process.send_signal(signal.SIGTERM)
        told = rest_of(process)
    assert "1 requests were not done in time and are cut short" in told
    stops = sum(event["kind"] == "worker.stopped" for event in journal(tmp_path))
    assert stops == sum(event["kind"] == "worker.started" for event in journal(tmp_path))


def test_a_draining_worker_serves_but_is_not_ready_until_it_is_told_again(tmp_path: Path) -> None:
    with gated(tmp_path, DRAIN_S="60") as (process, address, gate):
        gate.touch()
        ready_before = asked(address, "GET", "/health/ready")[0]
        process.send_signal(signal.SIGTERM)
        read_until(process, "not ready any more")
        ready = asked(address, "GET", "/health/ready")
        chat = asked(address, "POST", "/v1/chat/completions", BODY)
        process.send_signal(signal.SIGTERM)
        rest_of(process)
    assert ready_before == 200
    assert (ready[0], ready[1]["status"]) == (503, "stopping")
    assert chat[0] == 200
    assert journal(tmp_path)[-1]["kind"] == "worker.stopped"


def test_a_drain_ends_by_itself(tmp_path: Path) -> None:
    with gated(tmp_path, DRAIN_S="0.2") as (process, _, _):
        process.send_signal(signal.SIGTERM)
        assert "worker.stopped" in str(rest_of(process) and journal(tmp_path)[-1])


def test_a_probe_lease_is_given_back(tmp_path: Path) -> None:
    variables = {
        "OPENAI_API_KEY": "k",
        "FLEXIAI_BREAKER__FAILURE_THRESHOLD": "1",
        "FLEXIAI_BREAKER__RESET_TIMEOUT_S": "0.05",
        "FLEXIAI_SYNC__LEASE_S": "3600",
        "FLEXIAI_SHUTDOWN_GRACE_S": "0.1",
    }
    with (
        running_redis(BINARIES[0]) as server,
        provider_process(tmp_path) as provider,
        uvicorn(tmp_path, REDIS_PORT=str(server.port), OPENAI_BASE_URL=provider.openai_url, **variables) as process,
        redis.Redis(port=server.port) as client,
    ):
        address = listening(address_in(read_until(process, "Uvicorn running on")))
        provider.put(1, inject="error", status=500)
        assert asked(address, "POST", "/v1/chat/completions", BODY)[0] == 503
        provider.heal(1)
        provider.put(2, inject="hang")
        probes = ThreadPoolExecutor(64)
        answers = []
        while not provider.fault(2).shaped:  # a request that finds a probe due makes this worker compete for the right
            answers.append(probes.submit(asked, address, "POST", "/v1/chat/completions", BODY))
            wait(answers[-1:], timeout=0.05)
        held = client.keys("circuit_breaker:lease:*")
        process.send_signal(signal.SIGTERM)
        rest_of(process)
        probes.shutdown()
        left = client.keys("circuit_breaker:lease:*")
    assert held == [b"circuit_breaker:lease:openai"]
    assert left == []
    assert {answer.result()[0] for answer in answers} == {503}
