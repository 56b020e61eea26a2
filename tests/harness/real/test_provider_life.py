"""A provider server begins and ends in good order, however it is ended."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from pathlib import Path
from random import Random
from statistics import quantiles

import aiohttp
import psutil
import pytest

from harness.real.provider.latency import LogNormal
from tests.provider_process import BOUND_S, COMMAND, ProviderProcess, first_line, provider_process

BODY = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
HEADERS = {"x-api-key": "k", "anthropic-version": "2023-06-01"}

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-m", "harness.real.provider_server", "--name", "orphan"])
print("CHILD", child.pid, flush=True)
child.wait()
"""


async def ask(server: ProviderProcess, request: str) -> int:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=BOUND_S)) as session,
        session.post(f"{server.url}/v1/messages", json=BODY, headers={**HEADERS, "X-Request-ID": request}) as answer,
    ):
        return answer.status


def refused(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=BOUND_S, check=False)


@pytest.mark.real
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_a_signal_with_requests_still_hanging_and_enters_them(
    tmp_path: Path, number: signal.Signals
) -> None:
    async def scene(server: ProviderProcess) -> None:
        server.put(4, inject="hang")
        hanging = asyncio.create_task(ask(server, "hanging"))
        async with asyncio.timeout(BOUND_S):
            while server.state().in_flight == 0:
                await asyncio.sleep(0.01)
        server.process.send_signal(number)
        with pytest.raises(aiohttp.ClientConnectionError):
            await hanging

    with provider_process(tmp_path, "--wire", "anthropic") as server:
        asyncio.run(scene(server))
        assert server.process.wait(BOUND_S) == 0
        assert (server.of("hanging").result, server.of("hanging").fault) == ("hung", 4)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port), timeout=1)


@pytest.mark.real
def test_a_killed_server_has_lost_no_line_of_its_ledger(tmp_path: Path) -> None:
    async def scene(server: ProviderProcess) -> None:
        for i in range(20):
            assert await ask(server, f"r{i}") == 200
        server.process.send_signal(signal.SIGKILL)

    with provider_process(tmp_path) as server:
        asyncio.run(scene(server))
        server.process.wait(BOUND_S)
        assert [entry.request for entry in server.served()] == [f"r{i}" for i in range(20)]


@pytest.mark.real
def test_it_ends_when_the_process_that_started_it_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    child: psutil.Process | None = None
    try:
        child = psutil.Process(int(first_line(parent).split()[1]))
        first_line(parent)  # READY, from the child
        parent.kill()
        parent.wait(BOUND_S)
        child.wait(BOUND_S)
        assert not child.is_running()
    finally:
        parent.kill()
        parent.wait(BOUND_S)
        if parent.stdout is not None:
            parent.stdout.close()
        if child is not None and child.is_running():
            child.kill()


@pytest.mark.real
def test_a_format_it_does_not_speak_is_not_found(tmp_path: Path) -> None:
    with provider_process(tmp_path, "--wire", "openai") as server:
        assert asyncio.run(ask(server, "misrouted")) == 404
        assert server.terminate() == 0


@pytest.mark.real
def test_a_port_in_use_is_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = refused("--name", "openai", "--port", str(port))
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == f"provider-server: port 127.0.0.1:{port}: is in use\n"


@pytest.mark.real
@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--latency-median", "2", "--latency-p99", "1"], "latency-p99"),
        (["--ledger", "/nonexistent/ledger.jsonl"], "/nonexistent"),
        (["--wire", "telegraph"], "telegraph"),
        (["--port", "99999"], "99999"),
    ],
)
def test_arguments_that_cannot_work_are_told_in_one_line(options: list[str], word: str) -> None:
    done = refused("--name", "openai", *options)
    assert (done.returncode, done.stdout) == (64, "")
    assert word in done.stderr
    assert done.stderr.count("\n") == 1


def test_latencies_have_the_median_and_the_p99_they_were_given() -> None:
    latency = LogNormal(0.12, 0.9, Random(1))
    drawn = quantiles((latency.draw() for _ in range(40_000)), n=100)
    assert drawn[49] == pytest.approx(0.12, rel=0.05)
    assert drawn[98] == pytest.approx(0.9, rel=0.1)


def test_latencies_follow_from_the_seed() -> None:
    a, b = LogNormal(0.12, 0.9, Random(3)), LogNormal(0.12, 0.9, Random(3))
    assert [a.draw() for _ in range(10)] == [b.draw() for _ in range(10)]


@pytest.mark.parametrize("median", [0.0, 0.05])
def test_a_p99_like_the_median_is_a_constant_latency(median: float) -> None:
    latency = LogNormal(median, median, Random(1))
    assert {latency.draw() for _ in range(10)} == {median}


@pytest.mark.parametrize(("median", "p99"), [(-1.0, 1.0), (2.0, 1.0)])
def test_impossible_latencies_are_refused(median: float, p99: float) -> None:
    with pytest.raises(ValueError, match="latency-median"):
        LogNormal(median, p99, Random(1))
