"""The service's start and end, in this process and as uvicorn's workers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from asgi_driver import StartRefused, started
from fleets import Answers, service
from uvicorn_process import PATIENCE_S, address_in, read_until, uvicorn

from flexiai.app import create_app
from flexiai.app.settings import AppSettings
from flexiai.types import ProviderConfig


def test_a_start_without_a_provider_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def start() -> None:
        async with started(create_app()):
            raise AssertionError("it started")

    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StartRefused, match=r"^FlexiAI cannot start: no LLM provider .*OPENAI_API_KEY"):
        asyncio.run(start())


def test_a_start_that_fails_leaves_no_metrics_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("a bug")

    async def start(settings: AppSettings) -> None:
        async with started(create_app(settings, broken)):
            raise AssertionError("it started")

    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr("flexiai.app.worker.traces", broken)
    for traced in (False, True):
        with pytest.raises(StartRefused, match="a bug"):
            asyncio.run(start(AppSettings(providers=(ProviderConfig(name="a", model="m"),), traces=traced)))
    assert list(tmp_path.glob("flexiai-metrics-*/*")) == []


def test_a_start_that_fails_by_a_bug_keeps_its_traceback() -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("a bug")

    one_provider = AppSettings(providers=(ProviderConfig(name="openai", model="m"),))

    async def start() -> None:
        async with started(create_app(one_provider, broken)):
            raise AssertionError("it started")

    with pytest.raises(StartRefused, match="Traceback"):
        asyncio.run(start())


def test_a_journal_holds_a_life_from_start_to_stop(tmp_path: Path) -> None:
    async def live() -> None:
        async with started(service({"openai": Answers("openai")}, journal_dir=tmp_path)):
            pass

    asyncio.run(live())
    lines = (tmp_path / f"{os.getpid()}.jsonl").read_text().splitlines()
    kinds = [json.loads(line)["kind"] for line in lines]
    assert kinds[0] == "worker.started"
    assert kinds[-1] == "worker.stopped"


@pytest.mark.real
@pytest.mark.parametrize("workers", ["1", "2"])
def test_uvicorn_without_a_key_says_so_once_and_ends(tmp_path: Path, workers: str) -> None:
    with uvicorn(tmp_path, "--workers", workers) as process:
        _, told = process.communicate(timeout=PATIENCE_S)
    assert told.count("FlexiAI cannot start: no LLM provider is configured") == 1
    assert "Traceback" not in told


@pytest.mark.real
def test_uvicorn_serves_and_ends_clean_on_sigterm(tmp_path: Path) -> None:
    variables = {"OPENAI_API_KEY": "k", "FLEXIAI_SYNC__ENABLED": "false", "FLEXIAI_JOURNAL_DIR": str(tmp_path)}
    with uvicorn(tmp_path, **variables) as process:
        head = read_until(process, "Uvicorn running on")
        address = address_in(head)
        with urllib.request.urlopen(f"{address}/health", timeout=PATIENCE_S) as response:
            health = json.load(response)
        process.send_signal(signal.SIGTERM)
        tail = process.communicate(timeout=PATIENCE_S)[1]
    assert health["status"] == "healthy"
    assert health["worker_id"] == process.pid
    assert f"[Worker:{process.pid}] - Worker {process.pid} ready to handle requests" in head
    assert f"[Worker:{process.pid}] - Worker {process.pid} stopped" in tail
    assert "Application shutdown complete" in tail
    assert json.loads((tmp_path / f"{process.pid}.jsonl").read_text().splitlines()[-1])["kind"] == "worker.stopped"


@pytest.mark.real
def test_a_worker_that_is_killed_is_replaced(tmp_path: Path) -> None:
    variables = {"OPENAI_API_KEY": "k", "FLEXIAI_SYNC__ENABLED": "false"}
    with uvicorn(tmp_path, "--workers", "2", **variables) as process:
        head = read_until(process, "ready to handle requests") + read_until(process, "ready to handle requests")
        pids = [int(part.split("]")[0]) for part in head.split("[Worker:")[1:]]
        assert len(set(pids)) == 2
        os.kill(pids[0], signal.SIGKILL)
        assert f"Worker {pids[0]} " not in read_until(process, "ready to handle requests")
        process.send_signal(signal.SIGTERM)
        assert "stopped" in process.communicate(timeout=PATIENCE_S)[1]


@pytest.mark.real
def test_with_the_examples_log_config_every_line_is_json(tmp_path: Path) -> None:
    config = Path(__file__).parents[3] / "examples" / "fastapi_multiworker" / "logging.json"
    with uvicorn(tmp_path, "--log-config", str(config), OPENAI_API_KEY="k", FLEXIAI_SYNC__ENABLED="false") as process:
        told = read_until(process, "Uvicorn running on")
        process.send_signal(signal.SIGTERM)
        told += process.communicate(timeout=PATIENCE_S)[1]
    lines = [json.loads(line) for line in told.splitlines()]
    assert {line["logger"] for line in lines} >= {"flexiai", "uvicorn.error"}
    assert "worker.ready" in [line.get("event", {}).get("kind") for line in lines]
