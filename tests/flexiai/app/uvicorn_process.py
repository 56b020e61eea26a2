"""The service as uvicorn's own process, with workers as they are asked for."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from harness.real.ports import HOST, HeldPort

PATIENCE_S = 30.0


@contextmanager
def uvicorn(
    folder: Path, *arguments: str, app: str = "flexiai.app:app", **variables: str
) -> Iterator[subprocess.Popen[str]]:
    """A uvicorn of its own in `folder`, killed at the end together with its workers if it still runs."""
    inherited = {n: v for n, v in os.environ.items() if not n.startswith(("OPENAI", "ANTHROPIC", "REDIS", "FLEXIAI"))}
    held = HeldPort()  # with several workers uvicorn would tell its port as 0
    command = [sys.executable, "-m", "uvicorn", app, "--host", HOST, "--port", str(held.number), *arguments]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**inherited, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    watchdog = threading.Timer(2 * PATIENCE_S, os.killpg, (process.pid, signal.SIGKILL))
    watchdog.daemon = True
    watchdog.start()  # ends what a test waits for in vain
    try:
        yield process
    finally:
        watchdog.cancel()
        held.release()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE_S)
        if process.stderr:
            process.stderr.close()


def read_until(process: subprocess.Popen[str], marker: str) -> str:
    """Standard error up to the line that contains `marker`."""
    assert process.stderr is not None
    told = ""
    for line in process.stderr:
        told += line
        if marker in line:
            return told
    raise AssertionError(f"{marker!r} never came: {told}")


def address_in(told: str) -> str:
    """The address at which it serves, as it said."""
    return told.rsplit("Uvicorn running on ", 1)[1].split(" ", 1)[0]


def listening(address: str) -> str:
    """The address, once somebody accepts connections there: uvicorn says that it is ready a little before that."""
    where = urlsplit(address)
    for _ in range(int(PATIENCE_S / 0.02)):
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection((where.hostname or HOST, where.port or 0), PATIENCE_S).close()
            return address
        time.sleep(0.02)
    raise AssertionError(f"nobody listens at {address}")


def rest_of(process: subprocess.Popen[str]) -> str:
    """What else it says until it ends; it must end."""
    return process.communicate(timeout=PATIENCE_S)[1]
