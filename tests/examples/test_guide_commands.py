"""The commands of docs/guide.md, typed into a shell as they stand there, at a deployment as it is described there.

Only what this machine decides is put in their place: the ports, and how long a load lasts.
"""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness.real.redis_server import find_redis
from tests.contracts.real_redis import running_redis
from tests.flexiai.app.uvicorn_process import PATIENCE_S, address_in, listening, read_until, rest_of, uvicorn
from tests.provider_process import ProviderProcess, provider_process

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "fastapi_multiworker"
GUIDE = (ROOT / "docs" / "guide.md").read_text()
OURS = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d - (DEBUG|INFO|WARNING|ERROR|CRITICAL) - \[Worker:\d+\] - \S.*")
UVICORNS = re.compile(r"(INFO|WARNING):  +\S.*")
pytestmark = pytest.mark.real


@dataclass
class Shell:
    """A shell in the example's folder, before a running deployment."""

    port: int
    redis_port: int
    openai: ProviderProcess
    log: list[str] = field(default_factory=list)

    def type(self, command: str, **others: str) -> str:
        """What a command of the guide prints. `others`: further words to put in place of others."""
        assert command in GUIDE
        client = shlex.join([sys.executable, "-m", "flexiai.cli"])
        typed = command.replace("localhost:8000", f"127.0.0.1:{self.port}")
        typed = typed.replace("redis-cli", f"redis-cli -p {self.redis_port}")
        typed = re.sub(r"^flexiai (\w+)", rf"{client} \1 --url http://127.0.0.1:{self.port}", typed)
        for old, new in others.items():
            typed = typed.replace(old.replace("_", " "), new)
        ran = subprocess.run(
            ["bash", "-c", typed], cwd=EXAMPLE, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert ran.returncode == 0, (typed, ran.stderr)
        return ran.stdout

    def type_until(self, command: str, done: Callable[[str], bool]) -> str:
        """What a command prints once that is as it should be; each time another worker may answer."""
        for _ in range(200):
            if done(told := self.type(command)):
                return told
        raise AssertionError(told)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    missing = [tool for tool in ("bash", "curl", "jq", "redis-cli") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)} here")
    folder = tmp_path_factory.mktemp("commands")
    with (
        running_redis(find_redis()) as redis,
        provider_process(folder) as openai,
        provider_process(folder, name="anthropic") as anthropic,
        uvicorn(
            EXAMPLE,
            *("--workers", "4"),
            app="app:app",
            OPENAI_API_KEY="your-openai-key",
            ANTHROPIC_API_KEY="your-anthropic-key",
            OPENAI_BASE_URL=openai.openai_url,
            ANTHROPIC_BASE_URL=anthropic.url,
            REDIS_HOST="localhost",
            REDIS_PORT=str(redis.port),
            REDIS_DB="0",
            TMPDIR=str(folder),
        ) as process,
    ):
        told = read_until(process, "Uvicorn running on")
        while told.count("ready to handle requests") < 4:
            told += read_until(process, "ready to handle requests")
        port = urlsplit(listening(address_in(told))).port
        assert port is not None
        made = Shell(port, redis.port, openai, [told])
        yield made
        process.send_signal(signal.SIGTERM)
        made.log.append(rest_of(process))
    _every_line_has_the_guides_format("".join(made.log))


def _every_line_has_the_guides_format(log: str) -> None:
    lines = [line for line in log.splitlines() if not UVICORNS.fullmatch(line)]
    assert [line for line in lines if not OURS.fullmatch(line)] == []
    assert any("Circuit breaker opened for provider: openai" in line for line in lines)


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ("redis-cli ping", r"PONG\n"),
        ("for i in {1..5}; do curl -s http://localhost:8000/health | jq '.worker_id'; done", r"(\d+\n){5}"),
        (
            "curl -s localhost:8000/chat/direct -H 'Content-Type: application/json' -d '{\"message\": \"Hello\"}'",
            r'\{"response":".+","provider":"openai","model":"gpt-4o-mini","usage":\{.+\},"worker_id":\d+,"request_id":".+"\}',
        ),
        (
            "curl -s http://localhost:8000/health | jq",
            r'\{\s+"status": "healthy",\s+"worker_id": \d+,\s+"redis_connected": true,\s+"sync_enabled": true,.+\}\n',
        ),
        ("curl -s http://localhost:8000/health/ready", r'\{"status":"ready","worker_id":\d+\}'),
        ("curl -s http://localhost:8000/health/live", r'\{"worker_id":\d+,"status":"alive"\}'),
        (
            "curl -s http://localhost:8000/metrics | jq",
            r'\{\s+"worker_id": \d+,\s+"timestamp": "\d{4}-\S+",\s+"redis_status": "connected",\s+"sync_enabled": true,'
            r'\s+"circuit_breakers": \{\s+"openai": \{\s+"state": "CLOSED",\s+"failure_count": 0,\s+"success_count": .+',
        ),
        (
            "redis-cli PUBSUB CHANNELS 'circuit_breaker:*'",
            r"(circuit_breaker:(state|streak):(openai|anthropic)\n){4}",
        ),
        ("redis-cli PUBSUB NUMSUB circuit_breaker:state:openai", r"circuit_breaker:state:openai\n4\n"),
        (
            "curl -s localhost:8000/chat/direct -H 'content-type: application/json' "
            '-d \'{"message":"x","temperature":3,"max_tokens":4001}\'',
            r'\{"error":"invalid_request","message":"body\.temperature: .+; body\.max_tokens: .+',
        ),
    ],
    ids=lambda value: value[:40] if "$" not in value else None,
)
def test_a_command_prints_what_the_guide_says(shell: Shell, command: str, printed: str) -> None:
    told = shell.type(command)
    assert re.fullmatch(printed, told, re.DOTALL), told


def test_several_workers_answer(shell: Shell) -> None:
    command = "for i in {1..5}; do curl -s http://localhost:8000/health | jq '.worker_id'; done"
    seen: set[str] = set()
    for _ in range(200):
        seen |= set(shell.type(command).split())
        if len(seen) == 4:
            return
    raise AssertionError(f"only {seen} answered")


def test_prometheus_can_read_what_it_gets(shell: Shell) -> None:
    shell.type("curl -s localhost:8000/chat/direct -H 'Content-Type: application/json' -d '{\"message\": \"Hello\"}'")
    command = (
        "curl -s 'http://localhost:8000/metrics?format=prometheus' "
        "| grep -E '^flexiai_(requests_total|circuit_state|workers)'"
    )
    told = list(text_string_to_metric_families(shell.type(command)))
    values = {(s.name, *s.labels.values()): s.value for family in told for s in family.samples}
    assert values["flexiai_requests_total", "openai", "success"] >= 1
    assert (values["flexiai_circuit_state", "openai"], values["flexiai_workers",]) == (0, 4)


def test_a_circuit_that_is_open_and_its_reset(shell: Shell) -> None:
    look = (
        "curl -s http://localhost:8000/providers "
        "| jq -c '.providers[0]|{name,circuit_state,reason,by,reporter,since,until,retry_in_s}'"
    )
    reset = "curl -s -X POST http://localhost:8000/providers/openai/reset | jq -c '.provider|[.circuit_state,.by]'"
    shell.openai.put(1, inject="error", status=500)
    chat = "curl -s localhost:8000/chat/direct -H 'Content-Type: application/json' -d '{\"message\": \"Hello\"}'"
    for _ in range(8):
        assert '"provider":"anthropic"' in shell.type(chat)
    told = shell.type_until(look, lambda told: '"OPEN"' in told)
    assert re.search(r'"reason":"consecutive_failures","by":"worker","reporter":".+","since":"\S+","until":"\S+"', told)
    assert re.match(r'openai\n\{"epoch":\d+,"state":"OPEN"', shell.type("redis-cli HGETALL circuit_breaker:records"))
    shell.openai.heal_all()
    assert shell.type(reset) == '["CLOSED","operator"]\n'
    shell.type_until(look, lambda told: '"CLOSED"' in told)


def test_the_operators_command(shell: Shell) -> None:
    opened = shell.type('flexiai open openai --for 10m --reason "billing"')
    assert re.match(r"openai +OPEN +not available \(forced_open\).+because: billing\n", opened)
    assert re.match(r"openai +CLOSED +available \(reset\)", shell.type("flexiai reset openai"))


@pytest.mark.parametrize(
    ("command", "shorter", "printed"),
    [
        (
            "ab -n 1000 -c 10 -l -p request.json -T application/json http://localhost:8000/chat/direct",
            {"-n_1000": "-n 200"},
            r"Complete requests: +200\nFailed requests: +0\n",
        ),
        (
            "wrk -t 4 -c 100 -d 60s --latency -s post.lua http://localhost:8000/chat/direct",
            {"-d_60s": "-d 1s"},
            r"Requests/sec: +[1-9]",
        ),
    ],
    ids=["ab", "wrk"],
)
def test_load(shell: Shell, command: str, shorter: dict[str, str], printed: str) -> None:
    tool = command.partition(" ")[0]
    if shutil.which(tool) is None:
        pytest.skip(f"no {tool} here")
    told = shell.type(command, **shorter)
    assert re.search(printed, told), told
    assert "Non-2xx" not in told


PYTHON = [code for code in re.findall(r"^```python\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL) if "import" in code]


@pytest.mark.parametrize("code", PYTHON)
def test_code_of_the_guide_runs(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "your-openai-key")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "your-anthropic-key")
    names: dict[str, object] = {}
    exec(compile(code, "guide.md", "exec"), names)
    client = names["client"]
    assert [provider.name for provider in client.providers] == ["openai", "anthropic"]  # type: ignore[attr-defined]
