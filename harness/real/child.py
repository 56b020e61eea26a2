"""Child processes that are never left behind.

Each child runs in a session of its own (a terminal's Ctrl-C reaches the harness alone, which then stops its children
in order) and is ended by the kernel when the harness dies, however it dies (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.world import WorldError

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)  # resolved here: nothing may be imported or allocated between fork and exec
LOG_TAIL = 8


class Silent(WorldError):
    """A child lives, but did not say in time what was awaited of it."""


def die_with_parent() -> None:
    """Between fork and exec: ask the kernel for a SIGTERM when the parent ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


class Child:
    """One child process, its log, and what it says on standard output."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log

    @classmethod
    async def spawn(
        cls,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Child:
        """Start `command`; its standard error goes to `log`, its standard output can be awaited by `said`."""
        with log.open("ab") as errors:
            try:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=errors,
                    env=dict(env) if env is not None else None,
                    cwd=cwd,
                    start_new_session=True,
                    preexec_fn=die_with_parent,
                )
            except OSError as error:
                raise WorldError(f"{name} cannot be started: {error.strerror}") from error
        return cls(name, process, log)

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.process.returncode is None

    async def said(self, word: str, timeout_s: float) -> list[str]:
        """The rest of the line that begins with `word`, in words; Silent if none comes, WorldError if it ends."""
        stdout = self.process.stdout or asyncio.StreamReader()  # it is there: spawn asked for a pipe
        try:
            async with asyncio.timeout(timeout_s):
                while line := await stdout.readline():
                    first, *rest = line.decode(errors="replace").split() or [""]
                    if first == word:
                        return rest
                await self.process.wait()
        except TimeoutError:
            raise Silent(self._told(f"did not say {word} within {timeout_s:g} s")) from None
        raise self.trouble(f"ended with exit code {self.process.returncode} before it said {word}")

    def trouble(self, what: str) -> WorldError:
        """An error about this child, with the last lines of its log."""
        return WorldError(self._told(what))

    def _told(self, what: str) -> str:
        return "\n".join([f"{self.name} {what}", *(f"  | {line}" for line in self._tail())])

    def _tail(self) -> list[str]:
        with contextlib.suppress(OSError):
            return self.log.read_text(errors="replace").splitlines()[-LOG_TAIL:]
        return []

    async def stop(self, grace_s: float = 5.0) -> None:
        """End it: SIGTERM, and after `grace_s` SIGKILL to its whole session."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGCONT)
                self.process.terminate()
        try:
            async with asyncio.timeout(grace_s):
                await self.process.wait()
        except TimeoutError:
            pass
        self._kill_session()
        await self.process.wait()

    def _kill_session(self) -> None:
        """Whatever is left of its session (its own children, if it died before it could end them)."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)


class Children:
    """Children that are stopped together, also those whose start was interrupted."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._all: list[Child] = []

    async def spawn(
        self, name: str, command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> Child:
        """Start one; its log is named after it."""
        log = self._logs / f"{name.replace(' ', '-')}.log"
        child = await Child.spawn(name, command, log, env=env, cwd=cwd)
        self._all.append(child)
        return child

    def check(self) -> None:
        """Raise WorldError if one of them has ended."""
        for child in self._all:
            if not child.alive:
                raise child.trouble(f"ended with exit code {child.process.returncode}")

    async def stop(self, grace_s: float = 5.0) -> None:
        """End them all, side by side."""
        await asyncio.gather(*(child.stop(grace_s) for child in self._all))
