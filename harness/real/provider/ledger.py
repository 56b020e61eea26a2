"""The provider's own account of every request that reached it: a line of JSON each, written when the request ended.

A line is a `harness.history.ProviderServed` whose times are this host's CLOCK_MONOTONIC. Each is written by one call
to an append-only file, so that a process that is killed loses no line it had come to.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Literal

import msgspec

from harness.history import ProviderServed

_encoder = msgspec.json.Encoder()
Result = Literal["ok", "error", "hung", "gone"]


class Ledger:
    """Writes to `path`; OSError if that cannot be. Without a path nothing is written."""

    def __init__(self, provider: str, path: Path | None) -> None:
        self._provider = provider
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._fd = None if path is None else os.open(path, flags, 0o644)

    def enter(self, entry: Entry, result: Result, status: int | None = None) -> None:
        """Write what became of a request, now."""
        if self._fd is None:
            return
        served = ProviderServed(
            t=time.monotonic(),
            provider=self._provider,
            request=entry.request,
            began=entry.began,
            result=result,
            status=status,
            fault=entry.fault,
        )
        os.write(self._fd, _encoder.encode(served) + b"\n")

    def close(self) -> None:
        """Close the file; nothing can be entered afterwards."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class Entry:
    """A request under way. `fault`: the index of what shaped it, once something did."""

    def __init__(self, request: str | None) -> None:
        self.request = request
        self.began = time.monotonic()
        self.fault: int | None = None
