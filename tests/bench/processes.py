"""Processes to measure: started with a line or a port to wait for, and always ended."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

START_BOUND_S = 120.0
END_BOUND_S = 10.0


@contextmanager
def serving(command: Sequence[str | Path], port: int, env: Mapping[str, str] | None = None) -> Iterator[psutil.Process]:
    """A server that is accepting on `port` while the context is open; RuntimeError with its words if it never does."""
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            [str(part) for part in command],
            stdout=said,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        try:
            _await_port(child, port, said)
            yield psutil.Process(child.pid)
        finally:
            _end(child.pid)
            child.wait(END_BOUND_S)


def uvicorn(app: str, port: int) -> tuple[str | Path, ...]:
    """The command of one uvicorn worker without an access log, on uvloop and httptools."""
    options = ("--host", "127.0.0.1", "--port", str(port), "--no-access-log", "--log-level", "warning")
    return (sys.executable, "-m", "uvicorn", app, *options)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def whole(process: psutil.Process) -> list[psutil.Process]:
    """A process with all its descendants."""
    return [process, *process.children(recursive=True)]


def cpu_s(process: psutil.Process) -> float:
    """CPU seconds, user and system, that a process and its descendants have used."""
    return sum(t.user + t.system for t in (p.cpu_times() for p in whole(process)))


def memory_mib(process: psutil.Process) -> float:
    """Resident memory of a process and its descendants, in MiB."""
    return float(sum(p.memory_info().rss for p in whole(process))) / 2**20


def _await_port(child: subprocess.Popen[bytes], port: int, said: object) -> None:
    until = time.monotonic() + START_BOUND_S
    while time.monotonic() < until and child.poll() is None:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    said.seek(0)  # type: ignore[attr-defined]
    told = said.read().decode(errors="replace")[-800:]  # type: ignore[attr-defined]
    raise RuntimeError(f"{child.args!r} does not listen on {port}: {told}")


def _end(pid: int) -> None:
    try:
        processes = whole(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return
    for process in processes:
        process.terminate()
    _, alive = psutil.wait_procs(processes, END_BOUND_S)
    for process in alive:
        process.kill()
