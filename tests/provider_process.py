"""A provider server in a process of its own, for tests."""

from __future__ import annotations

import http.client
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from harness.history import ProviderServed
from harness.real.provider.control import FaultState, State

COMMAND = (sys.executable, "-m", "harness.real.provider_server")
BOUND_S = 20.0


class ProviderProcess:
    """`url` and `openai_url` are what its clients need."""

    def __init__(self, ledger: Path, *options: str, name: str = "openai") -> None:
        command = (*COMMAND, "--name", name, "--ledger", str(ledger), *options)
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self._ledger = ledger
        try:
            word, port, control = first_line(self.process).split()
            assert word == "READY"
            self.port, self.control_port = int(port), int(control)
        except BaseException:
            self.kill()
            raise

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        return f"{self.url}/v1"

    def put(self, index: int, **order: Any) -> int:
        """Put a fault; the HTTP status of the answer."""
        return self._control("PUT", f"/_control/faults/{index}", msgspec.json.encode(order))[0]

    def heal(self, index: int) -> int:
        """Heal a fault; the HTTP status of the answer."""
        return self._control("DELETE", f"/_control/faults/{index}")[0]

    def state(self) -> State:
        return msgspec.json.decode(self._control("GET", "/_control/state")[1], type=State)

    def fault(self, index: int) -> FaultState:
        return next(f for f in self.state().faults if f.index == index)

    def heal_all(self) -> None:
        for fault in self.state().faults:
            if fault.standing:
                self.heal(fault.index)

    def served(self) -> list[ProviderServed]:
        """The ledger so far."""
        lines = self._ledger.read_bytes().splitlines() if self._ledger.exists() else []
        return [msgspec.json.decode(line, type=ProviderServed) for line in lines]

    def of(self, request: str) -> ProviderServed:
        """What the ledger says of one request."""
        (entry,) = (e for e in self.served() if e.request == request)
        return entry

    def _control(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.control_port, timeout=BOUND_S)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def terminate(self) -> int:
        """End it in good order; its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(BOUND_S)
        finally:
            self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(BOUND_S)
        if self.process.stdout is not None:
            self.process.stdout.close()


def first_line(process: subprocess.Popen[bytes]) -> str:
    """The first line a process says, awaited for a bounded time."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], BOUND_S)
    assert ready, "the process said nothing"
    return process.stdout.readline().decode()


@contextmanager
def provider_process(folder: Path, *options: str, name: str = "openai") -> Iterator[ProviderProcess]:
    """A running provider server whose ledger is in `folder`."""
    process = ProviderProcess(folder / f"{name}-{os.urandom(4).hex()}.jsonl", *options, name=name)
    try:
        yield process
    finally:
        process.kill()
