"""The app beside a bare forwarder (the floor) and beside LiteLLM's proxy: the same two providers, one worker each.

Rules
-----
* The providers answer at once; the client is bytes on a socket. What is left is the gateway.
* All are up at the same time and measured in turn, round after round; figures are medians over the rounds.
* Throughput is told beside CPU per request: on two cores the client and the providers share the machine with it.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.bench.figure import Figure
from tests.bench.peers import LITELLM, Unavailable, environment
from tests.bench.processes import cpu_s, free_port, memory_mib, serving, uvicorn
from tests.bench.raw_client import load, post
from tests.contracts.real_redis import BINARIES, running_redis
from tests.provider_process import ProviderProcess, provider_process

ROUNDS = 3
ALONE, ALONE_SLOW = 1500, 60
CROWD, CROWD_SLOW = 8000, 200
CONCURRENCY = 32
PATH = "/v1/chat/completions"
BODY = json.dumps(
    {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello there"}], "max_tokens": 16}
).encode()


@dataclass
class Gateway:
    """One way to the provider, and what was measured of it: milliseconds, requests/s, CPU µs per request, MiB."""

    name: str
    port: int
    process: psutil.Process
    slow: bool = False
    alone_ms: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    memory_mib: float = 0.0

    def measure(self) -> None:
        """One round."""
        request = post(PATH, self.port, BODY, "Authorization: Bearer sk-bench-0123456789abcdef0123456789abcdef\r\n")
        alone, crowd = (ALONE_SLOW, CROWD_SLOW) if self.slow else (ALONE, CROWD)
        load(self.port, request, connections=1, requests=alone // 10)
        self.alone_ms.append(load(self.port, request, connections=1, requests=alone).quantile_ms(0.5))
        before = cpu_s(self.process)
        busy = load(self.port, request, connections=CONCURRENCY, requests=crowd)
        if busy.wrong:
            raise RuntimeError(f"{self.name} answered {busy.wrong} of {crowd} requests with an error")
        self.cpu_us.append((cpu_s(self.process) - before) / len(busy.latencies_s) * 1e6)
        self.rate.append(busy.rate)
        self.memory_mib = memory_mib(self.process)


def run() -> list[Figure]:
    """All figures of the app."""
    notes: list[Figure] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        latency = ("--latency-median", "0.00001", "--latency-p99", "0.00001", "--port", "0")
        primary = stack.enter_context(provider_process(folder, *latency, name="openai"))
        secondary = stack.enter_context(provider_process(folder, *latency, "--wire", "anthropic", name="anthropic"))
        redis = stack.enter_context(running_redis(BINARIES[0]))
        direct = Gateway("the provider, directly", primary.port, psutil.Process(primary.process.pid))
        floor = stack.enter_context(_floor(primary))
        ours = stack.enter_context(_ours(primary, secondary, redis.url))
        gateways = [direct, floor, ours]
        try:
            gateways.append(stack.enter_context(_litellm(folder, primary, secondary)))
        except Unavailable as why:
            notes.append(Figure("LiteLLM's proxy", float("nan"), "", note=str(why)))
        for _ in range(ROUNDS):
            for gateway in gateways:
                gateway.measure()
    return [*_figures(gateways), *notes]


def _figures(gateways: list[Gateway]) -> Iterator[Figure]:
    direct, floor, ours, *others = gateways
    for gateway in gateways[1:]:
        added = _median(gateway.alone_ms) - _median(direct.alone_ms)
        yield Figure(f"{gateway.name}: latency added, concurrency 1", added, "ms")
        yield Figure(f"{gateway.name}: requests/s, concurrency {CONCURRENCY}", _median(gateway.rate), "/s")
        yield Figure(f"{gateway.name}: CPU per request", _median(gateway.cpu_us), "µs")
        yield Figure(f"{gateway.name}: memory", gateway.memory_mib, "MiB")
    base = _median(direct.alone_ms)
    yield Figure(
        "added latency over the floor's",
        (_median(ours.alone_ms) - base) / (_median(floor.alone_ms) - base),
        "x",
        "<= 2",
    )
    yield Figure("CPU per request over the floor's", _median(ours.cpu_us) / _median(floor.cpu_us), "x", "<= 2")
    for other in others:
        yield Figure(f"throughput over {other.name}'s", _median(ours.rate) / _median(other.rate), "x", ">= 15")
        yield Figure(f"memory over {other.name}'s", ours.memory_mib / other.memory_mib, "x", "<= 0.25")


@contextmanager
def _floor(provider: ProviderProcess) -> Iterator[Gateway]:
    port = free_port()
    env = {"FLOOR_TARGET": f"{provider.openai_url}/chat/completions"}
    with serving(uvicorn("tests.bench.floor_app:app", port), port, env) as process:
        yield Gateway("bare FastAPI + aiohttp", port, process)


@contextmanager
def _ours(primary: ProviderProcess, secondary: ProviderProcess, redis_url: str) -> Iterator[Gateway]:
    port = free_port()
    env = {
        "OPENAI_API_KEY": "sk-bench",
        "OPENAI_BASE_URL": primary.openai_url,
        "ANTHROPIC_API_KEY": "sk-bench",
        "ANTHROPIC_BASE_URL": secondary.url,
        "REDIS_URL": redis_url,
        "FLEXIAI_LOG_LEVEL": "warning",
    }
    with serving(uvicorn("flexiai.app:app", port), port, env) as process:
        yield Gateway("FlexiAI", port, process)


@contextmanager
def _litellm(folder: Path, primary: ProviderProcess, secondary: ProviderProcess) -> Iterator[Gateway]:
    programs = environment("litellm", LITELLM)
    port, config = free_port(), folder / "litellm.yaml"
    config.write_text(
        json.dumps(
            {
                "model_list": [
                    _deployment("gpt-4o-mini", "openai/gpt-4o-mini", primary.openai_url),
                    _deployment("second", "anthropic/claude-3-5-haiku-20241022", secondary.url),
                ],
                "router_settings": {"fallbacks": [{"gpt-4o-mini": ["second"]}], "num_retries": 0},
                "litellm_settings": {"telemetry": False},
            }
        )
    )
    command = (
        programs / "litellm",
        "--config",
        config,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--num_workers",
        "1",
    )
    offline = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "LITELLM_MASTER_KEY": "sk-bench-0123456789abcdef0123456789abcdef",
    }
    with serving(command, port, offline) as process:
        yield Gateway("LiteLLM's proxy", port, process, slow=True)


def _deployment(name: str, model: str, url: str) -> dict[str, object]:
    return {"model_name": name, "litellm_params": {"model": model, "api_base": url, "api_key": "sk-bench"}}


def _median(values: list[float]) -> float:
    return statistics.median(values)


if __name__ == "__main__":
    sys.exit("run it by `python -m tests.bench app`")
