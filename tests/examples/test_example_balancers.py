"""nginx and HAProxy by the example's configurations, before two instances that live and one that does not."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from harness.real.ports import HOST, HeldPort
from harness.real.redis_server import RedisServer, find_redis
from tests.contracts.real_redis import running_redis
from tests.flexiai.app.uvicorn_process import PATIENCE_S, address_in, listening, read_until, uvicorn
from tests.provider_process import provider_process

EXAMPLE = Path(__file__).parents[2] / "examples" / "fastapi_multiworker"
pytestmark = pytest.mark.real

Configured = Callable[[Path, str, str], list[str]]


def binary(name: str) -> str:
    found = shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin")
    if found is None:
        pytest.skip(f"no {name} here")
    return found


def nginx(folder: Path, nginx_conf: str, listens: str) -> list[str]:
    """The command, with its configuration as it is but for where it listens, writes, and how often one may ask."""
    places = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    told = nginx_conf.replace("http {", f"http {{ access_log off; {places}").replace("listen 80;", f"listen {listens};")
    seldom = told.replace("rate=10r/s", "rate=1r/m")  # else how fast this machine is would decide
    (folder / "nginx.conf").write_text(seldom)
    (folder / "logs").mkdir()
    settings = f"daemon off; pid {folder}/nginx.pid; error_log stderr;"
    return [binary("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", settings]


def haproxy(folder: Path, haproxy_cfg: str, listens: str) -> list[str]:
    """The command, with its configuration as it is but for where it listens."""
    (folder / "haproxy.cfg").write_text(haproxy_cfg.replace("bind *:80", f"bind {listens}"))
    return [binary("haproxy"), "-f", str(folder / "haproxy.cfg")]


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """`host:port` of two instances, and of one where nobody listens."""
    folder = tmp_path_factory.mktemp("instances")
    with ExitStack() as stack:
        redis: RedisServer = stack.enter_context(running_redis(find_redis()))
        openai = stack.enter_context(provider_process(folder))
        variables = {
            "OPENAI_API_KEY": "your-openai-key",
            "OPENAI_BASE_URL": openai.openai_url,
            "REDIS_PORT": str(redis.port),
            "TMPDIR": str(folder),
        }
        started = [stack.enter_context(uvicorn(EXAMPLE, app="app:app", **variables)) for _ in range(2)]
        addresses = [listening(address_in(read_until(process, "Uvicorn running on"))) for process in started]
        dead = HeldPort()
        stack.callback(dead.release)
        yield (*(urlsplit(address).netloc for address in addresses), f"{HOST}:{dead.number}")


@contextmanager
def balanced(configured: Configured, name: str, folder: Path, instances: tuple[str, ...]) -> Iterator[str]:
    """`host:port` of a balancer by the example's file `name`."""
    held = HeldPort()
    conf = (EXAMPLE / name).read_text()
    for port, instance in zip((8001, 8002, 8003), instances, strict=True):
        conf = conf.replace(f"127.0.0.1:{port}", instance)
    process = subprocess.Popen(configured(folder, conf, f"{HOST}:{held.number}"), stderr=subprocess.DEVNULL)
    try:
        listening(f"http://{HOST}:{held.number}")
        yield f"{HOST}:{held.number}"
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        finally:
            process.kill()
            held.release()


def ask(where: str, method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection(where, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def chat(where: str) -> tuple[int, Any]:
    status, told = ask(where, "POST", "/chat/direct", (EXAMPLE / "request.json").read_bytes())
    return status, json.loads(told) if status == 200 else told


def streamed(where: str) -> str:
    body = {"model": "flexiai", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    return ask(where, "POST", "/v1/chat/completions", json.dumps(body).encode())[1]


@pytest.mark.parametrize(("configured", "name"), [(nginx, "nginx.conf"), (haproxy, "haproxy.cfg")])
def test_behind_a_balancer(configured: Configured, name: str, tmp_path: Path, instances: tuple[str, ...]) -> None:
    with balanced(configured, name, tmp_path, instances) as where:
        answers = [chat(where) for _ in range(12)]
        assert [status for status, _ in answers] == [200] * 12  # the dead instance costs nobody an answer
        assert len({told["worker_id"] for _, told in answers}) == 2
        assert streamed(where).rstrip().endswith("data: [DONE]")
        assert ask(where, "GET", "/health/ready")[0] == 200
        assert ask(where, "POST", "/providers/openai/reset")[0] == 403  # who comes through it is not this host


def test_nginx_limits_rates(tmp_path: Path, instances: tuple[str, ...]) -> None:
    with balanced(nginx, "nginx.conf", tmp_path, instances) as where:
        assert [chat(where)[0] for _ in range(22)] == [200] * 21 + [429]  # one, and a burst of 20
        assert ask(where, "GET", "/metrics")[0] == 404


@pytest.mark.parametrize(
    "command",
    [("nginx", "-t", "-q", "-g", "pid {folder}/pid; error_log stderr;", "-c"), ("haproxy", "-c", "-q", "-f")],
    ids=lambda command: command[0],
)
def test_it_takes_the_file_as_it_is(command: tuple[str, ...], tmp_path: Path) -> None:
    name = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}[command[0]]
    options = [option.format(folder=tmp_path) for option in command[1:]]
    ran = subprocess.run(
        [binary(command[0]), *options, EXAMPLE / name], capture_output=True, check=False, text=True, timeout=PATIENCE_S
    )
    assert ran.returncode == 0 or "Permission denied" in ran.stderr, ran.stderr


def test_redis_takes_the_file_as_it_is_but_for_its_port(tmp_path: Path) -> None:
    held = HeldPort()
    conf = re.sub(r"^port 6379$", f"port {held.number}", (EXAMPLE / "redis.conf").read_text(), flags=re.MULTILINE)
    (tmp_path / "redis.conf").write_text(conf)
    command = [str(find_redis()), str(tmp_path / "redis.conf"), "--bind", HOST, "--dir", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        listening(f"http://{HOST}:{held.number}")
    finally:
        process.terminate()
        told, _ = process.communicate(timeout=PATIENCE_S)
        held.release()
    assert "Ready to accept connections" in told
