"""`/metrics` of a real uvicorn with three workers, whichever of them answers."""

from __future__ import annotations

import http.client
import json
import os
import signal
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from test_telemetry import Samples, parsed, requests_in
from uvicorn_process import PATIENCE_S, address_in, listening, read_until, rest_of, uvicorn

HERE = Path(__file__).parent
WORKERS = 3
ENOUGH = 200  # connections: that the kernel gives none of them to one of three workers is as good as impossible
pytestmark = pytest.mark.real


class Asker:
    """Asks on a connection of its own each time, so that any worker may answer."""

    def __init__(self, address: str) -> None:
        self._netloc = urlsplit(address).netloc

    def __call__(self, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self._netloc, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def chat(self) -> int:
        """One request served; the worker that did."""
        status, body = self("POST", "/chat/direct", '{"message": "hi"}')
        assert status == 200
        pid: int = json.loads(body)["worker_id"]
        return pid

    def scrape(self) -> Samples:
        status, text = self("GET", "/metrics", Accept="text/plain; version=0.0.4")
        assert status == 200
        return parsed(text)


def serve_by_all(ask: Asker, workers: set[int]) -> int:
    """Requests until every one of `workers` has served one; how many that took."""
    waiting, served = set(workers), 0
    while waiting:
        assert served < ENOUGH, f"{waiting} never served"
        waiting.discard(ask.chat())
        served += 1
    return served


def alive_in(samples: Samples) -> set[int]:
    return {int(dict(labels)["pid"]) for name, labels in samples if name == "flexiai_requests_in_flight"}


def test_whoever_is_scraped_tells_of_all_and_of_the_killed(tmp_path: Path) -> None:
    variables = {"GATE": str(tmp_path / "gate"), "JOURNAL": str(tmp_path), "TMPDIR": str(tmp_path)}
    with uvicorn(HERE, "--workers", str(WORKERS), app="gated_service:app", **variables) as process:
        told = read_until(process, "Uvicorn running on")
        for _ in range(WORKERS):
            read_until(process, "Application startup complete")
        ask = Asker(listening(address_in(told)))
        first = alive_in(ask.scrape())
        served = serve_by_all(ask, first)
        scrapes = [ask.scrape() for _ in range(12)]
        victim = min(first)
        os.kill(victim, signal.SIGKILL)
        read_until(process, "Application startup complete")
        after_kill = ask.scrape()
        second = alive_in(after_kill)
        served_then = serve_by_all(ask, second)
        at_last = [ask.scrape() for _ in range(12)]
        as_json = json.loads(ask("GET", "/metrics")[1])
        directories = list(tmp_path.glob("flexiai-metrics-*/*"))
        process.send_signal(signal.SIGTERM)
        rest_of(process)
    assert len(first) == len(second) == WORKERS
    assert len(first & second) == WORKERS - 1
    assert victim not in second
    assert {requests_in(scrape, "p") for scrape in scrapes} == {served}
    assert requests_in(after_kill, "p") == served, "what the killed worker had counted is lost"
    assert {requests_in(scrape, "p") for scrape in at_last} == {served + served_then}
    for scrape in at_last:
        assert scrape[("flexiai_response_seconds_count", (("provider", "p"),))] == served + served_then
        assert scrape[("flexiai_workers", ())] == WORKERS
        assert sum(value for (name, _), value in scrape.items() if name == "flexiai_requests_in_flight") == 0
    assert as_json["instance"] == {"workers": WORKERS, "requests": as_json["instance"]["requests"]}
    assert as_json["instance"]["requests"]["success"] == served + served_then
    assert len(directories) == 1
    assert not directories[0].exists(), "the instance left its directory behind"


def test_two_instances_on_one_host_count_apart(tmp_path: Path) -> None:
    variables = {"GATE": str(tmp_path / "gate"), "JOURNAL": str(tmp_path), "TMPDIR": str(tmp_path)}
    with (
        uvicorn(HERE, app="gated_service:app", **variables) as one,
        uvicorn(HERE, app="gated_service:app", **variables) as two,
    ):
        asks = [Asker(listening(address_in(read_until(process, "Uvicorn running on")))) for process in (one, two)]
        asks[0].chat()
        assert [requests_in(ask.scrape(), "p") for ask in asks] == [1, 0]
