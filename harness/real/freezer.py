"""Processes that are frozen, and thawed whatever becomes of the harness.

A frozen worker cannot end when it is asked to, and its supervisor waits for it. So a shell stands beside every freeze
and reads from a pipe of ours: it is closed when the freeze is over, or by the kernel when the harness is killed; in
both cases the shell wakes the frozen.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence

import psutil

SEEN_S = 2.0
WOKEN_S = 10.0
POLL_S = 0.002
_WAKE = 'read -r _; kill -CONT "$@"'


class Freezer:
    """Freezes processes (SIGSTOP) and thaws them (SIGCONT)."""

    def __init__(self) -> None:
        self._wakers: dict[tuple[int, ...], subprocess.Popen[bytes]] = {}

    async def freeze(self, pids: Sequence[int]) -> int:
        """Freeze these; how many were seen to stop."""
        self._wakers[tuple(pids)] = _waker(pids)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        return sum([await becomes_stopped(pid) for pid in pids])

    def stand_by(self, pids: Sequence[int]) -> None:
        """Somebody else stops and wakes these, again and again, until `thaw`: they will not be left frozen."""
        self._wakers[tuple(pids)] = _waker(pids)

    async def thaw(self, pids: Sequence[int]) -> None:
        """Let these, frozen together before, run again."""
        waker = self._wakers.pop(tuple(pids))
        if waker.stdin is not None:
            waker.stdin.close()
        await asyncio.to_thread(waker.wait, WOKEN_S)

    async def thaw_all(self) -> None:
        """Let all that is still frozen run again."""
        for pids in list(self._wakers):
            await self.thaw(pids)


def _waker(pids: Sequence[int]) -> subprocess.Popen[bytes]:
    """The shell that wakes these, in a session of its own: a terminal's Ctrl-C reaches the harness alone."""
    command = ["/bin/sh", "-c", _WAKE, "waker", *map(str, pids)]
    null = subprocess.DEVNULL
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=null, stderr=null, start_new_session=True)


async def becomes_stopped(pid: int) -> bool:
    """Whether a process to which SIGSTOP was sent stops within SEEN_S."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SEEN_S):
            while not stopped(pid):  # noqa: ASYNC110 - a stop is no event of ours
                await asyncio.sleep(POLL_S)
            return True
    return False


def stopped(pid: int) -> bool:
    """Whether a process is stopped (SIGSTOP)."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.NoSuchProcess:
        return False
